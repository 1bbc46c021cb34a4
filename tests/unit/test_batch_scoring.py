"""The ranked list: whom it names first, what it leaves out, and that a repeated step changes nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from churn.data import casting, features, synthetic
from churn.errors import ChurnError
from churn.serving import batch_scoring, prediction_log
from churn.serving.ranking import listing
from churn.settings.data import File
from churn.settings.dataset import Dataset
from churn.settings.environment import STATE
from churn.settings.score import Score
from churn.settings.train import Family
from churn.training import estimators, onnx_scorer, shapley
from churn.validation import ingestion

FAMILY = Family(name="linear", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True)
WORTH = {"contact_cost": 5.0, "success_rate": 0.3, "margin_column": "MonthlyCharges"}


@pytest.fixture(scope="module")
def customers(telco: Dataset) -> pd.DataFrame:
    return casting.cast(synthetic.generate(telco, 300, seed=5), telco)[0]


@pytest.fixture(scope="module")
def scorers(
    telco: Dataset, customers: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, onnx_scorer.Scorer]:
    """One model that goes by the probability, and by the value."""
    inputs, outcome = features.frame(telco, customers), features.outcome(telco, customers)
    pipeline = estimators.build_pipeline(FAMILY, telco, 0, {}).fit(inputs, outcome)
    about = {"dataset": telco.model_dump(mode="json"), "threshold": 0.3}
    about[shapley.BACKGROUND] = shapley.background(telco, customers, 0)
    made = {}
    for by, worth in (("by probability", None), ("by value", WORTH)):
        folder = tmp_path_factory.mktemp("model")
        onnx_scorer.write(folder, pipeline, {**about, "value": worth})
        made[by] = onnx_scorer.Scorer(folder)
    return made


@pytest.mark.parametrize("by", ["by probability", "by value"])
def test_the_best_to_contact_come_first(
    scorers: dict[str, onnx_scorer.Scorer],
    customers: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path))
    scorer, worth = scorers[by], by == "by value"
    shards = [customers.iloc[start : start + 120] for start in range(0, 300, 120)]
    scored = [(batch_scoring.score(scorer, shard, "run"), shard) for shard in shards[::-1]]
    found = listing.rank(scorer, scored, worth, Score(explained=10), "list")
    listed = pd.read_csv(found.place)
    key = "expected_value" if worth else "probability"
    assert listed[key].is_monotonic_decreasing
    assert (listed["rank"] == np.arange(1, 301)).all()
    expected = pd.Series(scorer.table(customers).astype(float), customers.customerID)
    assert listed.probability.to_numpy() == pytest.approx(expected[listed.customerID].to_numpy(), abs=1e-12)
    yes = listed.expected_value > 0 if worth else listed.probability >= 0.3
    assert (listed.decision == yes).all()
    assert 0 < found.churning == yes.sum() < 300
    assert listed.reason_1.notna().sum() == listed.reason_3.notna().sum() == 10
    assert ("expected_value" in listed) == found.by_value == worth


def test_a_reason_names_the_customers_own_value(
    scorers: dict[str, onnx_scorer.Scorer],
    telco: Dataset,
    customers: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path))
    scorer = scorers["by probability"]
    scored = batch_scoring.score(scorer, customers, "run")
    found = listing.rank(scorer, [(scored, customers)], False, Score(explained=5), "list")
    first = pd.read_csv(found.place).iloc[0]
    name, text = first.reason_1.split(" = ")
    value = text.rsplit(" (", 1)[0]
    assert value == (f"{first[name]:g}" if telco.raw[name].numeric else first[name])


def test_a_repeated_step_logs_the_same_part_again(
    scorers: dict[str, onnx_scorer.Scorer],
    telco: Dataset,
    customers: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from datetime import UTC, datetime, timedelta

    from churn.registry.model_registry import Registered

    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", str(tmp_path / "log"))
    scorer = scorers["by probability"]
    now, model = datetime.now(UTC), Registered("churn", "3", "run", {"data_version": "abc"})
    for _ in range(2):
        scored = batch_scoring.score(scorer, customers, "run")
        batch_scoring.log(scorer, model, customers, scored, int(now.timestamp() * 1e6), "score-run-0")
    logged = prediction_log.read(telco, now - timedelta(hours=1), now + timedelta(hours=1))
    assert sorted(logged.prediction_id) == sorted(scored.prediction_id)
    assert set(logged.model_version) == {"3"}


def test_rows_with_errors_are_set_aside_and_too_many_stop_the_run(telco: Dataset, tmp_path: Path) -> None:
    rows = synthetic.generate(telco, 200, seed=6).drop(columns="Churn")
    rows.loc[[3, 8], "Contract"] = "Monthly"
    rows.to_csv(tmp_path / "customers.csv", index=False)
    origin = [File(kind="file", path=str(tmp_path / "customers.csv"))]
    table, aside, _ = batch_scoring.screen(origin, telco, Score(quarantine=0.01))
    assert (len(table), aside.row.tolist()) == (198, [4, 9])
    assert aside.reasons.str.startswith("Contract is one of").all()
    text, said = ingestion.write_quarantine(aside, "test-ranking")
    assert text.splitlines()[1].endswith(",4")
    assert said == [f"2 rows with errors set aside, with the reasons: {STATE / 'quarantine' / 'test-ranking.csv'}"]
    with pytest.raises(ChurnError, match=r"column 'Contract'.*'Monthly' in row 4"):
        batch_scoring.screen(origin, telco, Score(quarantine=0.005))


def test_customers_who_have_left_already_are_counted(telco: Dataset, tmp_path: Path) -> None:
    """They come first on a list, and nobody can keep them."""
    table, file = synthetic.generate(telco, 200, seed=5), tmp_path / "customers.csv"
    table.assign(Churn=table.Churn.str.lower()).to_csv(file, index=False)
    count = (table.Churn == "Yes").sum()
    _, _, notes = batch_scoring.screen([File(kind="file", path=str(file))], telco, Score())
    assert notes[-1].endswith(
        f": {count} of 200 customers have Churn = Yes, so they have left already; "
        "remove them to rank only those who can still be kept"
    )
    table.drop(columns="Churn").to_csv(file, index=False)
    assert batch_scoring.screen([File(kind="file", path=str(file))], telco, Score())[2] == ()


def test_header_lines_among_the_customers_are_counted(telco: Dataset, tmp_path: Path) -> None:
    rows = synthetic.generate(telco, 50, seed=6).drop(columns="Churn")
    file = tmp_path / "customers.csv"
    rows.to_csv(file, index=False)
    file.write_text(file.read_text() + file.read_text().splitlines()[0])
    table, _, notes = batch_scoring.screen([File(kind="file", path=str(file))], telco, Score())
    assert len(table) == 50
    assert notes == (f"{file}: left out: repeated header lines (1)",)


def test_a_column_with_a_name_of_the_list_is_refused(telco: Dataset) -> None:
    from churn.settings.dataset import from_dump

    described = telco.model_dump(mode="json")
    described["columns"]["rank"] = {"type": "integer"}
    with pytest.raises(ChurnError, match="rank have the names of columns that the list adds"):
        batch_scoring.screen([], from_dump(described), Score())
