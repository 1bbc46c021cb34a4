"""Models of uplift over the families of config: every learner becomes ONNX, and the holdout says what the policy is worth."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from churn.campaigns import synthetic, uplift_outcomes
from churn.cards import uplift_card
from churn.data import casting
from churn.errors import ChurnError
from churn.settings.core import from_dict, parse
from churn.settings.dataset import Dataset
from churn.settings.train import Family, Search, TrainConfig, Worth
from churn.training import estimators, expected_profit, hyperparameter_search, selection, shapley
from churn.uplift import candidates, holdout, outcome_rows, registration, scorer, success
from threadpoolctl import threadpool_limits

PEOPLE = """
name = "people"
[columns.customer_id]
role = "id"
type = "text"
[columns.tenure]
type = "number"
[columns.spend]
type = "number"
[columns.tickets]
type = "integer"
[columns.logins]
type = "integer"
[columns.left]
role = "target"
values = ["0", "1"]
positive = "1"
"""
LINEAR = {
    "name": "linear",
    "estimator": "sklearn.linear_model.LogisticRegression",
    "impute": True,
    "scale": True,
    "fixed": {"max_iter": 500},
    "search": {"C": [0.1, 1.0]},
}
TREES = {"n_estimators": 20, "max_depth": 3, "n_jobs": 1}
FAMILIES = {
    "s": {"name": "boosted", "estimator": "sklearn.ensemble.HistGradientBoostingClassifier", "fixed": {"max_iter": 5}},
    "t": {"name": "lightgbm", "estimator": "lightgbm.LGBMClassifier", "fixed": {**TREES, "verbose": -1}},
    "x": {"name": "xgboost", "estimator": "xgboost.XGBClassifier", "fixed": TREES},
    "dr": {"name": "forest", "estimator": "sklearn.ensemble.RandomForestClassifier", "impute": True, "fixed": TREES},
}
ROWS = 6000


def settings(path: Path, families: Sequence[object] = (LINEAR,), **uplift: object) -> TrainConfig:
    trial = {"path": str(path), "arm": "arm", "control": "none", "outcome": "left"}
    return from_dict(TrainConfig, {"model": families, "uplift": {"trial": trial, "trials": 1, **uplift}}, "train.toml")


@pytest.fixture(scope="module")
def people() -> Dataset:
    return parse(Dataset, PEOPLE, "people.toml")


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[synthetic.Truth, Path]:
    """A trial with three arms, of which that of letters does nothing."""
    truth = synthetic.population(ROWS, 3)
    arm = np.random.default_rng(4).choice(["none", "call", "letter"], ROWS, p=[0.45, 0.45, 0.1])
    place = tmp_path_factory.mktemp("trial") / "trial.csv"
    truth.table.assign(arm=arm, left=truth.outcome(arm == "call").astype(int)).to_csv(place, index=False)
    return truth, place


@pytest.fixture(scope="module")
def rows(people: Dataset, trial: tuple[synthetic.Truth, Path]) -> bytes:
    made, said = uplift_outcomes.gather_outcomes(settings(trial[1], arms=["call"]).uplift, people)
    assert made is not None
    assert said == ["Uplift: outcomes of 5,383 customers, 2,692 of them contacted"], "who got letters is left out"
    return made


@pytest.mark.parametrize("learner", list(FAMILIES))
def test_every_learner_is_the_same_in_onnx(learner: str, people: Dataset, rows: bytes, tmp_path: Path) -> None:
    family = from_dict(Family, FAMILIES[learner], "train.toml")
    found = outcome_rows.rows_from_bytes(rows, people)
    one = candidates.UpliftCandidate(candidates.UpliftFamily(learner, family), {}, None, None, 0.0)  # type: ignore[arg-type]
    with threadpool_limits(1):
        pipeline, expected = candidates.fit_winner(one, people, found, 0, found.inputs(people))
    assert expected.shape == (len(found.kept), 2)
    described = {"dataset": people.model_dump(mode="json"), "threshold": 0.1}
    described[shapley.BACKGROUND] = shapley.background(people, found.table, 0)
    scorer.write_uplift(tmp_path, pipeline, described)
    loaded = scorer.UpliftScorer(tmp_path)
    scorer.check_uplift_parity(loaded, estimators.whole(pipeline, people), found.table, 0)
    uplift = loaded.table(found.table)
    assert loaded.recommend(uplift) == np.where(uplift >= 0.1, "contact", "leave alone").tolist()
    raw = {name: found.table[name].to_numpy(dtype=float)[:2] for name in people.raw}
    explainer = loaded.explainer()
    assert explainer.base + explainer.contributions(raw).sum(axis=1) == pytest.approx(uplift[:2], abs=1e-5)


def test_the_best_candidate_beats_risk_on_the_holdout_and_the_policy_value_covers_the_truth(
    people: Dataset, trial: tuple[synthetic.Truth, Path], rows: bytes
) -> None:
    config, truth = settings(trial[1], [FAMILIES["x"]], arms=["call"], learners=["t", "x"]), trial[0]
    families = candidates.branches(config, rows)
    assert [one.name for one in families] == ["xgboost", "t_xgboost", "x_xgboost"]
    tuned = [candidates.tune_branch(one, config, SimpleNamespace(dataset=people), rows) for one in families[1:]]
    _, board = candidates.parted(tuned)
    found = holdout.evaluate_uplift(board, rows, people, config, Worth(contact_cost=1, success_rate=0.5, margin=100))
    assert found is not None
    assert found.scores["qini_over_risk"].low > 0
    held = outcome_rows.rows_from_bytes(rows, people)
    held = held.of(held.held_out(0.3, 42))
    places = truth.table.customer_id.isin(held.table.customer_id).to_numpy()
    by_uplift = found.uplift >= found.threshold
    real = 1 - np.where(by_uplift, truth.contacted[places], truth.alone[places]).mean()
    assert found.policies[0].robust.low < real < found.policies[0].robust.high
    assert 0.19 < by_uplift.mean() < 0.21
    verdict = registration.judge_uplift(found, None, people, config, "run")
    assert verdict is None, "without outcomes there is nothing to judge"
    assert uplift_card.parts(None, None) == []


def test_too_few_outcomes_train_churn_alone(people: Dataset, trial: tuple[synthetic.Truth, Path]) -> None:
    config = settings(trial[1], least=5000)
    made, said = uplift_outcomes.gather_outcomes(config.uplift, people)
    assert made is None
    assert "least = 5000: churn alone is trained" in said[0]
    assert candidates.branches(config, made) == list(config.model)
    assert uplift_outcomes.gather_outcomes(None, people) == (None, [])


def test_a_trial_that_does_not_fit_says_what_is_missing(people: Dataset, trial: tuple[synthetic.Truth, Path]) -> None:
    with pytest.raises(
        ChurnError, match=r"\[uplift\] arms .*: fax is not a contacted arm of column arm; it has call, letter"
    ):
        uplift_outcomes.gather_outcomes(settings(trial[1], arms=["fax"]).uplift, people)
    with pytest.raises(ChurnError, match=r"\[uplift\] families: no \[\[model\]\] is named boosted"):
        from_dict(TrainConfig, {"model": [LINEAR], "uplift": {"families": ["boosted"]}}, "train.toml")
    place = trial[1].with_name("narrow.csv")
    pd.read_csv(trial[1]).drop(columns="spend").to_csv(place, index=False)
    with pytest.raises(ChurnError, match=r"narrow.csv: no column spend, which the data set people has"):
        uplift_outcomes.gather_outcomes(settings(place).uplift, people)


def test_a_measured_success_rate_covers_the_truth_and_needs_outcomes(
    people: Dataset, trial: tuple[synthetic.Truth, Path], rows: bytes
) -> None:
    truth, known = trial[0], outcome_rows.rows_from_bytes(rows, people)
    worth = Worth(contact_cost=1, success_rate="measured", margin=100)
    found = success.measured(worth, rows, people)
    assert found is not None
    among = truth.table.customer_id.isin(known.table.customer_id).to_numpy()
    real = truth.uplift[among].sum() / truth.alone[among].sum()
    (whole,) = found.evidence
    assert whole.low < real < whole.high
    assert found.rate == whole.rate == whole.measured, "nobody's risk is known: that of all counts"
    assert (whole.contacted, whole.control) == (2692, 5383 - 2692)
    with_risk = replace(known, risk=truth.alone[among])
    tenths = [success.success_rate(with_risk, truth.alone[among] == chance) for chance in (0.55, 0.9)]
    assert tenths[0][1] < 0.3 / 0.55 < tenths[0][2], "persuadables"
    assert tenths[1][1] < 0.02 / 0.9 < tenths[1][2], "lost causes"
    with pytest.raises(ChurnError, match="there are not enough campaign outcomes"):
        success.measured(worth, None, people)
    assert success.measured(None, None, people) is None


def test_the_measured_success_rate_decides_threshold_contacts_and_profit(
    people: Dataset, trial: tuple[synthetic.Truth, Path], rows: bytes
) -> None:
    """The same customers and model, once where a contact keeps a fifth of the churners and once four fifths."""
    known, truth, search = outcome_rows.rows_from_bytes(rows, people), trial[0], Search(folds=2)
    nobody = np.zeros(len(truth.table), dtype=bool)
    table = casting.cast(truth.table.assign(left=truth.outcome(nobody).astype(int)).head(600), people)[0]
    tuned = hyperparameter_search.tune(from_dict(Family, LINEAR, "train.toml"), search, people, table)
    worth, found = Worth(contact_cost=10, success_rate="measured", margin=100), {}
    for rate in (0.2, 0.8):
        place = np.where(known.contacted, known.contacted.cumsum(), (~known.contacted).cumsum()) % 10
        lost = place < np.where(known.contacted, round(5 * (1 - rate)), 5)
        half = np.full(len(lost), 0.5)
        told = outcome_rows.rows_to_bytes(
            known.table, kept=~lost, contacted=known.contacted, share=half, risk=half * np.nan
        )
        settled = success.measured(worth, told, people)
        found[rate] = selection.finalize(tuned, search, people, table, settled)
    chances = np.linspace(0.01, 0.99, 99)
    for rate, chosen in found.items():
        assert chosen.threshold == pytest.approx(10 / (100 * rate), rel=0.01)
        assert chosen.worth is not None
        profit = expected_profit.expected(chosen.worth, {}, chances)
        assert profit == pytest.approx(100 * rate * chances - 10, abs=0.5)
        contacted = expected_profit.decide(chosen.worth, {}, chances, 0.5)
        assert contacted.tolist() == (chances > chosen.threshold).tolist()
