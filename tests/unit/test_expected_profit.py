"""Where somebody said what a customer is worth, every path decides by the expected profit, and the threshold says the same."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from churn.data import casting, features, snapshots, synthetic
from churn.errors import ChurnError
from churn.monitoring import windows
from churn.registry.model_registry import Registered
from churn.serving import batch_scoring, packaging, prediction_log, reference_data
from churn.serving.ranking import listing
from churn.serving.reference_data import Reference
from churn.serving.request import InputSettings, Reader
from churn.settings.core import parse
from churn.settings.dataset import Dataset, from_dump
from churn.settings.score import Score
from churn.settings.train import Family, MeasuredRate, Search, Slices, Worth
from churn.training import (
    estimators,
    evaluation,
    expected_profit,
    hyperparameter_search,
    onnx_scorer,
    selection,
    shapley,
)
from scipy import stats

RNG = np.random.default_rng(5)
TRUE = RNG.beta(1.2, 3, 3000)
OUTCOME = (RNG.random(3000) < TRUE).astype(int)
FAMILY = Family(
    name="linear", estimator="sklearn.linear_model.LogisticRegression", iterations=1, impute=True, scale=True
)
SEARCH = Search(folds=3)
BY_COLUMN = Worth(contact_cost=40.0, offer_cost=20.0, success_rate=0.3, margin_column="MonthlyCharges", horizon=6.0)
RATES = {
    0.0: 0.3,
    0.1: -0.2,
    0.3: 0.5,
    0.6: 0.05,
}  # from a risk on: below 0.1 that of all, the highest risks are lost causes
MEASURED = BY_COLUMN.model_copy(
    update={
        "success_rate": "measured",
        "evidence": tuple(
            MeasuredRate(above=above, up_to=1, contacted=50, control=50, measured=rate, low=-1, high=1, rate=rate)
            for above, rate in RATES.items()
        ),
    }
)


def _worth(**changed: float) -> Worth:
    return Worth(**{"contact_cost": 10.0, "offer_cost": 50.0, "success_rate": 0.5, "margin": 450.0} | changed)


def test_gains_by_hand() -> None:
    table = pd.DataFrame({"MonthlyCharges": [10.0, 20.0]})
    # A churner: 0.5 x (450 - 50) - 10; one who stays anyway: the offer and the contact are lost.
    some = np.array([0.2, 0.7])
    assert expected_profit.gains(_worth(), table, np.array([1, 0]), some).tolist() == [190.0, -60.0]
    by_column = Worth(contact_cost=0.0, success_rate=1.0, margin_column="MonthlyCharges", horizon=12.0)
    assert expected_profit.gains(by_column, table, np.array([1, 1]), some).tolist() == [120.0, 240.0]
    assert expected_profit.expected(_worth(), table, np.array([1.0, 0.24])).tolist() == pytest.approx([190.0, 0.0])


@pytest.mark.parametrize(
    ("changed", "threshold"),
    [
        ({}, 60 / 250),
        ({"offer_cost": 0.0}, 10 / 225),
        ({"margin": 60.0}, 1.0),
        ({"margin": 10.0, "success_rate": 1.0}, 1.0),
    ],
)
def test_with_a_fixed_margin_the_break_even_is_the_same_rule_as_the_profit(
    changed: dict[str, float], threshold: float
) -> None:
    worth = _worth(**changed)
    assert expected_profit.break_even(worth, worth.margin, worth.rate) == pytest.approx(threshold)
    assert expected_profit.pays_from(worth) == [expected_profit.break_even(worth, worth.margin, worth.rate)]
    chances = np.linspace(0, 0.9999, 5000)
    decided = expected_profit.decide(worth, {}, chances, 0.5)
    assert (decided == (chances > threshold)).all()
    limits = expected_profit.decision_thresholds(worth, {}, chances, 0.5)
    assert (limits == expected_profit.break_even(worth, worth.margin, worth.rate)).all()


def test_of_honest_probabilities_no_other_threshold_earns_more_than_the_break_even() -> None:
    many = np.random.default_rng(1).beta(1.2, 3, 200_000)
    gain = expected_profit.gains(_worth(), {}, (np.random.default_rng(2).random(200_000) < many).astype(int), many)
    found = expected_profit.curve(gain, expected_profit.expected(_worth(), {}, many))
    profits = [np.where(t <= many, gain, 0).mean() for t in np.linspace(0, 1, 201)]
    assert found.earned == pytest.approx(max(profits), abs=0.05)
    assert found.contacted == pytest.approx(np.mean(many > 60 / 250))
    assert found.profit.max() == pytest.approx(found.earned, abs=0.05)


def test_if_no_contact_pays_nobody_is_contacted() -> None:
    found = expected_profit.curve(np.full(len(TRUE), -1.0), np.full(len(TRUE), -1.0))
    assert (found.contacted, found.earned) == (0.0, 0.0)


def test_without_a_value_the_threshold_decides() -> None:
    chances = np.array([0.2, 0.3, 0.4], dtype=np.float32)
    assert expected_profit.decide(None, {}, chances, float(chances[1])).tolist() == [False, True, True]
    assert expected_profit.decision_thresholds(None, {}, chances, 0.3).tolist() == [0.3, 0.3, 0.3]


def test_a_customer_of_unknown_margin_counts_as_the_median_one(narrow: Dataset) -> None:
    raw = {"MonthlyCharges": np.array([np.nan, 10.0, 100.0])}
    chances = np.array([0.45, 0.45, 0.45])
    train = pd.DataFrame({"MonthlyCharges": [10.0, 80.0, np.nan, 90.0]})
    settled = expected_profit.settle(BY_COLUMN, train, narrow)
    assert settled.margin == 80.0 * 6
    profits = expected_profit.expected(settled, raw, chances)
    assert profits[0] == expected_profit.expected(settled, {"MonthlyCharges": np.array([80.0])}, chances[:1])[0]
    assert expected_profit.decide(settled, raw, chances, 0.9).tolist() == (profits > 0).tolist() == [True, False, True]
    given = BY_COLUMN.model_copy(update={"margin": 0.5})
    assert expected_profit.settle(given, train, narrow) is given, "whoever names a margin beside the column is believed"
    # A model of an older release has no margin for such a customer: its threshold decides.
    assert expected_profit.decide(BY_COLUMN, raw, chances, 0.4).tolist() == [True, False, True]
    assert expected_profit.decide(BY_COLUMN, raw, chances, 0.9).tolist() == [False, False, True]
    with pytest.raises(ChurnError, match=r"margin_column 'MonthlyCharges'.*median.*add 'margin'"):
        expected_profit.settle(BY_COLUMN, train.assign(MonthlyCharges=np.nan), narrow)


def test_a_value_needs_a_margin() -> None:
    with pytest.raises(ChurnError, match="needs 'margin' or 'margin_column'"):
        parse(Worth, "contact_cost = 1.0\nsuccess_rate = 0.5", "train.toml")


@pytest.fixture(scope="module")
def described(narrow: Dataset) -> Dataset:
    """Telco, with customers whose margin is missing."""
    text = narrow.model_dump(mode="json")
    text["columns"]["MonthlyCharges"]["missing"] = True
    return from_dump({**text, "features": {}, "slices": []})


@pytest.fixture(scope="module")
def customers(described: Dataset) -> pd.DataFrame:
    table = synthetic.generate(described, 600, seed=5)
    table.loc[::9, "MonthlyCharges"] = np.nan
    return casting.cast(table, described)[0]


@pytest.fixture(scope="module", params=[BY_COLUMN, MEASURED], ids=["one rate", "measured by risk"])
def worth(request: pytest.FixtureRequest) -> Worth:
    return request.param


@pytest.fixture(scope="module")
def tuned(described: Dataset, customers: pd.DataFrame) -> hyperparameter_search.Candidate:
    return hyperparameter_search.tune(FAMILY, SEARCH, described, customers)


@pytest.fixture(scope="module")
def chosen(
    described: Dataset, customers: pd.DataFrame, tuned: hyperparameter_search.Candidate, worth: Worth
) -> selection.Chosen:
    return selection.finalize(tuned, SEARCH, described, customers, worth)


@pytest.fixture(scope="module")
def scorer(
    described: Dataset, customers: pd.DataFrame, chosen: selection.Chosen, tmp_path_factory: pytest.TempPathFactory
) -> onnx_scorer.Scorer:
    assert chosen.worth is not None
    folder = tmp_path_factory.mktemp("model")
    manifest = {
        "dataset": described.model_dump(mode="json"), "threshold": chosen.threshold, "model_version": "1",
        "value": chosen.worth.model_dump(mode="json"), "data_version": "d", "family": "linear", "scores": {}, "params": {},
        shapley.BACKGROUND: shapley.background(described, customers, 0),
        "examples": packaging.json_rows(described, customers.head(5)),
    }  # fmt: skip
    onnx_scorer.write(folder, chosen.pipeline, json.loads(json.dumps(manifest)))
    return onnx_scorer.Scorer(folder)


@pytest.fixture(scope="module")
def pays(described: Dataset, customers: pd.DataFrame, scorer: onnx_scorer.Scorer, worth: Worth) -> np.ndarray:
    """Whether contacting a customer pays, worked out here again."""
    margin = customers.MonthlyCharges.fillna(customers.MonthlyCharges.median()) * 6
    chance = scorer.table(customers).astype(np.float64)
    rates = RATES if worth is MEASURED else {0.0: worth.rate}
    rate = np.array([next(rates[above] for above in reversed(rates) if one > above) for one in chance])
    found = (chance * rate * (margin - 20) - (1 - chance) * 20 - 40).to_numpy() > 0
    assert not found[rate < 0].any(), "whom a contact drives away is not contacted"
    single = chance >= scorer.threshold
    assert 30 < found.sum() < 570
    assert (found != single).sum() > 10, "no threshold on the probability says the same"
    return found


def test_training_decides_by_the_expected_profit(
    described: Dataset,
    customers: pd.DataFrame,
    chosen: selection.Chosen,
    pays: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 3)
    monkeypatch.setattr(evaluation, "REASON_ROWS", 2)
    data = snapshots.Snapshot("v", described, True, customers, customers)
    whole = estimators.whole(chosen.pipeline, described)
    found = evaluation.read_holdout(whole, chosen.threshold, data, 0, Slices(), chosen.worth)
    assert (found.decision == pays).all()
    assert found.scores["recall"] == pytest.approx(found.outcome[pays].sum() / found.outcome.sum())
    assert chosen.worth is not None
    raw = features.from_frame(described, customers)
    gain = expected_profit.gains(chosen.worth, raw, found.outcome, found.probability)
    assert found.scores["profit"] == pytest.approx(gain[pays].sum() / len(gain))
    if len(chosen.worth.evidence) == 0:
        assert chosen.threshold == float(expected_profit.break_even(chosen.worth, chosen.worth.margin, 0.3))
    else:
        assert chosen.threshold == 0.3, "below, a contact pays at no risk"


def test_the_ranked_list_the_log_and_the_reference_decide_alike(
    described: Dataset,
    customers: pd.DataFrame,
    scorer: onnx_scorer.Scorer,
    pays: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", str(tmp_path / "log"))
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path))
    scored = batch_scoring.score(scorer, customers, "run")
    assert (scored.decision == pays).all()
    assert ((scored.expected_value > 0) == pays).all()
    listed = listing.rank(scorer, [(scored, customers)], True, Score(explained=1), "list")
    assert str(listed) == f"{pays.sum()} of 600 customers are worth a contact"
    now = datetime.now(UTC)
    batch_scoring.log(
        scorer,
        Registered("churn", "1", "run", {"data_version": "d"}),
        customers,
        scored,
        int(now.timestamp() * 1e6),
        "x",
    )
    logged = prediction_log.read(described, now - timedelta(hours=1), now + timedelta(hours=1)).set_index(
        "prediction_id"
    )
    assert (logged.loc[scored.prediction_id, "decision"].to_numpy() == pays).all()
    kept = reference_data.holdout(scorer, customers).to_pandas()
    assert (kept.decision == pays).all()
    known = Reference(Registered("churn", "1", "run", {}), described, scorer.threshold, kept, scorer.worth)
    file = tmp_path / "customers.csv"
    customers.assign(probability=scored.probability).to_csv(file, index=False)
    ((_, rows),) = windows.from_file(known, str(file)).each(known)
    assert (rows.decision.to_numpy() == pays).all()


def test_the_service_answers_with_each_customers_own_threshold(
    described: Dataset, customers: pd.DataFrame, scorer: onnx_scorer.Scorer, pays: np.ndarray
) -> None:
    from bento.endpoints import Endpoints
    from bento.settings import ServeConfig

    endpoints = Endpoints(scorer, ServeConfig.model_validate({"log": {"enabled": False}}))
    rows = packaging.json_rows(described, customers)
    answers = json.loads(endpoints.predict_batch(json.dumps({"rows": rows}).encode()).body)
    assert [a["decision"] for a in answers] == pays.tolist()
    assert all(a["decision"] == (a["expected_value"] > 0) == (a["probability"] > a["threshold"]) for a in answers)
    if len(scorer.worth.evidence) == 0:
        assert {round(a["threshold"], 12) for a in answers[::9]} == {round(scorer.threshold, 12)}, (
            "unknown margins: the median"
        )
    told = json.loads(endpoints.explain(json.dumps(rows[1]).encode()).body)
    for name in ("decision", "threshold", "expected_value"):
        assert told[name] == pytest.approx(answers[1][name])


def test_an_answer_by_column_holds_those_by_row(
    described: Dataset, customers: pd.DataFrame, scorer: onnx_scorer.Scorer
) -> None:
    """With everything that an answer may have: the worth, the uplift, and warnings."""
    from bento.scoring.scored import Scoring

    settings = InputSettings(unknown_category="unseen", out_of_range="flag")
    uplift: Any = SimpleNamespace(
        uplift=lambda columns: np.linspace(-1, 1, len(next(iter(columns.values())))),
        recommend=lambda uplifts: ["contact" if one > 0 else "leave alone" for one in uplifts],
    )
    scoring, rows = (
        Scoring(scorer, uplift, Reader(described, settings, 600)),
        packaging.json_rows(described, customers),
    )
    given = {name: [row[name] for row in rows] for name in described.raw}
    category = next(name for name, column in described.raw.items() if column.values)
    given[category][7] = "never seen before"
    scored = scoring.scored(given)
    by_row, by_column = list(scored.by_row()), scored.by_column()
    assert [(warning["field"], warning["row"]) for warning in by_column.pop("warnings")] == [(category, 7)]
    assert [len(one.pop("warnings")) for one in by_row] == [int(i == 7) for i in range(len(rows))]
    assert by_row[0].keys() == by_column.keys() > {"uplift", "recommendation", "expected_value"}
    for name, value in by_column.items():
        assert [one[name] for one in by_row] == (value if isinstance(value, list) else [value] * len(rows))


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_empc_is_the_best_profit_over_thresholds_and_success_rates(rate: float) -> None:
    """Against its definition (Verbraken et al. 2013), integrated over a grid of success rates."""
    rng = np.random.default_rng(5)
    outcome = (rng.random(400) < 0.3).astype(int)
    probability = np.clip(0.3 + 0.3 * outcome + rng.normal(0, 0.2, 400), 0, 1)
    worth = Worth(contact_cost=2, offer_cost=10, success_rate=rate, margin=200)
    order = np.argsort(-probability, kind="stable")
    churners = np.append(0, np.cumsum(outcome[order])) / 400
    others = np.append(0, np.cumsum(1 - outcome[order])) / 400
    beta = stats.beta(20 * min(rate, 1 - 1e-6), 20 * max(1 - rate, 1e-6))
    rates = beta.ppf((np.arange(2000) + 0.5) / 2000)
    profit = [(churners * (gamma * (200 - 10) - 2) - others * (10 + 2)).max() for gamma in rates]
    assert expected_profit.empc(worth, outcome, probability) == pytest.approx(np.mean(profit), rel=0.02)
