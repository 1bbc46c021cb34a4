"""The outcome must not get into the inputs: not from a column, and not from the holdout."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from churn.data import features, snapshots, synthetic
from churn.errors import ChurnError
from churn.serving import release
from churn.settings import core
from churn.settings.dataset import Dataset, from_dump
from churn.settings.train import Search, Slices, TrainConfig, Worth
from churn.training import estimators, evaluation, hyperparameter_search, selection
from churn.validation import leakage
from conftest import ROOT

SEARCH = Search(folds=3)


@pytest.fixture(autouse=True)
def _short_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals and Shapley values are not looked at here, and take most of the time."""
    monkeypatch.setattr(evaluation, "RESAMPLES", 5)
    monkeypatch.setattr(evaluation, "REASON_ROWS", 2)


@pytest.fixture(scope="module")
def table(telco: Dataset) -> pd.DataFrame:
    return synthetic.generate(telco, 1500, seed=11)


def _with_extra(telco: Dataset) -> Dataset:
    description = telco.model_dump(mode="json")
    description["columns"]["extra"] = {"type": "number"}
    return from_dump(description)


def _trained(
    dataset: Dataset, train: pd.DataFrame, holdout: pd.DataFrame
) -> tuple[list[hyperparameter_search.Candidate], selection.Chosen, evaluation.Evaluation]:
    families = core.load(TrainConfig, ROOT / "tests" / "quick_train.toml").model[::2]
    board = hyperparameter_search.leaderboard(
        [hyperparameter_search.tune(f, SEARCH, dataset, train) for f in families], SEARCH.metric
    )
    chosen = selection.finalize(board[0], SEARCH, dataset, train, None)
    data = snapshots.Snapshot("v", dataset, True, train, holdout)
    found = evaluation.read_holdout(
        estimators.whole(chosen.pipeline, dataset), chosen.threshold, data, SEARCH.seed, Slices(), None
    )
    return board, chosen, found


def test_a_column_that_equals_the_target_stops_the_run(telco: Dataset, table: pd.DataFrame) -> None:
    dataset = _with_extra(telco)
    for extra in (features.outcome(telco, table).astype(float), 7.5 - features.outcome(telco, table)):
        with pytest.raises(ChurnError, match=r"leakage check: column 'extra' \(ROC-AUC 1\.0000 alone\).*'ignore'"):
            leakage.require_none(dataset, table.assign(extra=extra), most=0.98)


def test_what_would_stop_a_training_at_its_end_stops_it_at_its_start(telco: Dataset, table: pd.DataFrame) -> None:
    settings = core.load(TrainConfig, ROOT / "tests" / "quick_train.toml")
    data = snapshots.Snapshot("v", telco, True, table, table)
    release.check_before_training(data, settings)
    worth = Worth(contact_cost=1.0, success_rate=0.5, margin_column="tenura")
    with pytest.raises(ChurnError, match="margin_column 'tenura' is not a numeric feature"):
        release.check_before_training(data, settings.model_copy(update={"value": worth}))
    with pytest.raises(ValueError, match="aucc is not a metric"):  # earlier still: no such settings can be made
        Slices(least={"aucc": 0.5})
    told = dataclasses.replace(data, dataset=_with_extra(telco), train=table.assign(extra=table.Churn == "Yes"))
    with pytest.raises(ChurnError, match="leakage check: column 'extra'"):
        release.check_before_training(told, settings)


def test_honest_columns_pass(telco: Dataset, table: pd.DataFrame) -> None:
    leakage.require_none(telco, table, most=0.98)


@pytest.mark.parametrize(
    "name",
    ["Churn Score", "ChurnValue", "churn_category", "CancellationReason", "cancel_date", "Exit_Reason", "closed_at", "date_left",
     "account_closed_at", "subscription_cancel_reason", "Kündigungsgrund", "date_resiliation", "Attrition risk", "is_inactive"],
)  # fmt: skip
def test_a_name_that_speaks_of_leaving_alone_tells(name: str) -> None:
    assert leakage.by_name(name, "target")


@pytest.mark.parametrize(
    "name",
    ["days_left_in_contract", "time_left", "exit_node", "num_cancellations", "cancelled_orders", "closing_balance",
     "ticket_closed_at", "Months_Inactive_12_mon", "early_termination_fee", "Kündigungsfrist", "IsActiveMember", "contract_type",
     "policy_status", "payment_status", "retention_offer", "left_handed"],
)  # fmt: skip
def test_an_innocent_name_does_not(name: str) -> None:
    assert not leakage.by_name(name, "status")


def test_no_column_of_telco_has_such_a_name(telco: Dataset) -> None:
    assert not [name for name in telco.raw if leakage.by_name(name, telco.target)]


@pytest.mark.parametrize(
    ("target", "name", "told"),
    [
        ("Renewed", "renewed_at", True),
        ("loan_default", "default_loan_date", True),
        ("loan_default", "loan_amount", False),
    ],
)
def test_a_name_that_carries_the_targets_words_tells(target: str, name: str, told: bool) -> None:
    assert leakage.by_name(name, target) == told


@pytest.mark.parametrize(
    ("separations", "ahead"),
    [
        ([0.94, 0.74, 0.74, 0.7, 0.6], {0}),
        ([0.94, 0.93, 0.74, 0.7, 0.6, 0.6], {0, 1}),  # two that say the same
        ([0.94, 0.89, 0.74, 0.7, 0.6], set()),
        ([0.89, 0.6, 0.6, 0.6, 0.6], set()),
        ([0.97, 0.6, 0.6], set()),  # too few to compare with
    ],
)
def test_a_column_far_ahead_of_all_others_is_found(separations: list[float], ahead: set[int]) -> None:
    assert leakage.far_ahead(dict(enumerate(separations))) == ahead  # type: ignore[arg-type]


@pytest.mark.long
def test_the_target_in_a_column_of_the_holdout_only_raises_no_score(telco: Dataset, table: pd.DataFrame) -> None:
    dataset = _with_extra(telco)
    train, holdout = table.iloc[:1000], table.iloc[1000:]
    noise = pd.Series(
        np.random.default_rng(0).permutation(features.outcome(telco, train)), index=train.index, dtype=float
    )
    told = features.outcome(telco, holdout).astype(float)
    constant, random = (train.assign(extra=values) for values in (0.0, noise))
    plain, leaking = (holdout.assign(extra=values) for values in (0.0, told))
    assert _trained(dataset, constant, leaking)[2].scores == _trained(dataset, constant, plain)[2].scores
    # Where the model could have taken up the column, it is worth no more than the noise it was in training.
    untold = holdout.assign(extra=np.random.default_rng(1).permutation(told))
    assert _trained(dataset, random, leaking)[2].scores["roc_auc"] < (
        _trained(dataset, random, untold)[2].scores["roc_auc"] + 0.02
    )


@pytest.mark.long
def test_shuffling_the_holdouts_target_changes_no_choice(telco: Dataset, table: pd.DataFrame) -> None:
    train, holdout = table.iloc[:1000], table.iloc[1000:]
    shuffled = holdout.assign(Churn=holdout.Churn.sample(frac=1, random_state=0).to_numpy())
    (board, chosen, found), (other_board, other, other_found) = (_trained(telco, train, h) for h in (holdout, shuffled))
    assert found.scores["roc_auc"] > 0.7 > other_found.scores["roc_auc"], "the holdout really was shuffled"
    assert [(c.family.name, c.best) for c in board] == [(c.family.name, c.best) for c in other_board]
    assert (chosen.threshold, chosen.calibration) == (other.threshold, other.calibration)
    inputs = features.frame(telco, train)
    np.testing.assert_array_equal(chosen.pipeline.predict_proba(inputs), other.pipeline.predict_proba(inputs))
