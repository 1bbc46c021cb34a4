"""What is looked at: windows of the log by days and by rows, files, labels - and everything that can be wrong with them."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from churn.data import features, synthetic
from churn.errors import ChurnError
from churn.monitoring import assessment, labels, windows
from churn.serving import prediction_log
from churn.serving.reference_data import Reference
from churn.settings.core import from_dict
from churn.settings.dataset import Dataset, from_dump
from churn.settings.monitor import MonitorConfig

NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
DAYS = from_dict(
    MonitorConfig, {"window": {"days": 1.0, "last": 3, "min_rows": 30}, "performance": {"min_labels": 50}}, "test"
)
ROWS = from_dict(
    MonitorConfig, {"window": {"rows": 100, "last": 3, "min_rows": 30}, "performance": {"min_labels": 50}}, "test"
)


@pytest.fixture(scope="module")
def reference(telco: Dataset) -> Reference:
    rng = np.random.default_rng(0)
    table = synthetic.generate(telco, 500, seed=1)
    probability = rng.beta(1, 3, 500)
    known = {"probability": probability, "decision": probability >= 0.4, "outcome": rng.random(500) < probability}
    return Reference(
        SimpleNamespace(name="churn", version="3", tags={}), telco, 0.4, table[list(telco.raw)].assign(**known)
    )


def write(telco: Dataset, at: Path, moment: datetime, rows: int, version: str = "3", drop: str = "") -> list[str]:
    """A part of the log; the prediction ids."""
    table = synthetic.generate(telco, rows, seed=rows)
    raw = features.from_frame(telco, table)
    ids = [uuid.uuid4().hex for _ in range(rows)]
    written = prediction_log.schema(telco)
    micros = int(moment.timestamp() * 1e6)
    made: list[tuple[Any, ...]] = []
    for i, name in enumerate(ids):
        values = [None if v is None or v != v or v == "" else v for v in (raw[c][i] for c in telco.raw)]
        made.append((name, micros + i, version, "d", i / rows, i / rows >= 0.4, *values))
    content = prediction_log.encode(written, made)
    if drop:
        from pyarrow import BufferOutputStream, BufferReader, parquet

        out = BufferOutputStream()
        parquet.write_table(parquet.read_table(BufferReader(content)).drop_columns([drop]), out)
        content = out.getvalue().to_pybytes()
    prediction_log.store(str(at), prediction_log.part_name(prediction_log.PREDICTIONS, micros), content)
    return ids


def feedback(at: Path, ids: list[str], outcome: bool = True, ago: timedelta = timedelta(microseconds=1)) -> None:
    micros = int((NOW - ago).timestamp() * 1e6)
    content = prediction_log.encode(prediction_log.feedback_schema(), [(name, micros, outcome) for name in ids])
    prediction_log.store(str(at), prediction_log.part_name(prediction_log.FEEDBACK, micros), content)


def sizes(found: windows.Analysis) -> list[int]:
    return [window.rows for window in found.windows]


def test_windows_by_days_end_now_and_start_where_the_log_does(
    telco: Dataset, reference: Reference, tmp_path: Path
) -> None:
    for hours, rows in ((60, 10), (30, 20), (20, 40), (1, 50), (-1, 60)):
        write(telco, tmp_path, NOW - timedelta(hours=hours), rows)
    assert sizes(windows.from_log(reference, DAYS, NOW, at=str(tmp_path))) == [10, 20, 90]
    assert sizes(windows.from_log(reference, DAYS, NOW - timedelta(hours=24), at=str(tmp_path))) == [10, 20]


def test_windows_by_rows_are_the_newest(telco: Dataset, reference: Reference, tmp_path: Path) -> None:
    for days, rows in ((9, 70), (5, 120), (1, 90)):
        write(telco, tmp_path, NOW - timedelta(days=days), rows)
    found = windows.from_log(reference, ROWS, NOW, at=str(tmp_path))
    assert sizes(found) == [80, 100, 100]
    *_, (_, newest) = found.each(reference)
    assert newest.probability.tail(90).tolist() == [i / 90 for i in range(90)]


@pytest.mark.parametrize("config", [DAYS, ROWS])
def test_an_empty_log_is_one_window_without_rows(reference: Reference, config: MonitorConfig, tmp_path: Path) -> None:
    found = windows.from_log(reference, config, NOW, at=str(tmp_path / "none"))
    assert sizes(found) == [0]
    assert judged(reference, found, config).summary == "Not enough to judge: 0 predictions in the newest window."


def judged(reference: Reference, found: windows.Analysis, config: MonitorConfig) -> Any:
    distances = assessment.drift(reference, found, config)
    _, assessed = assessment.conclude(found, distances, *assessment.performance(reference, found, config), config)
    return assessed


@pytest.mark.parametrize("config", [DAYS, ROWS])
def test_answers_of_other_versions_are_left_out_and_told(
    telco: Dataset, reference: Reference, config: MonitorConfig, tmp_path: Path
) -> None:
    write(telco, tmp_path, NOW - timedelta(hours=2), 100)
    write(telco, tmp_path, NOW - timedelta(hours=1), 40, version="2")
    found = windows.from_log(reference, config, NOW, at=str(tmp_path))
    assert (sizes(found), found.others) == ([100], {"2": 40})
    assert "40 by version 2" in judged(reference, found, config).lights[3].answer


def test_only_other_versions_is_nothing_to_judge(telco: Dataset, reference: Reference, tmp_path: Path) -> None:
    write(telco, tmp_path, NOW - timedelta(hours=1), 40, version="2")
    assessed = judged(reference, windows.from_log(reference, ROWS, NOW, at=str(tmp_path)), ROWS)
    assert assessed.summary.startswith("Not enough to judge")
    assert "40 by version 2" in assessed.lights[3].answer


def test_a_column_that_the_log_lost_is_named(telco: Dataset, reference: Reference, tmp_path: Path) -> None:
    write(telco, tmp_path, NOW - timedelta(hours=1), 100, drop="tenure")
    assessed = judged(reference, windows.from_log(reference, ROWS, NOW, at=str(tmp_path)), ROWS)
    assert assessed.columns == ("tenure",)
    assert "tenure (100.0% more or fewer missing values)" in assessed.lights[0].answer


def test_outcomes_find_their_predictions_and_strangers_are_counted(
    telco: Dataset, reference: Reference, tmp_path: Path
) -> None:
    ids = write(telco, tmp_path, NOW - timedelta(days=40), 80)
    other = write(telco, tmp_path, NOW - timedelta(days=40), 10, version="2")
    feedback(tmp_path, [*ids[:60], *other, "stranger"], outcome=False)
    (tmp_path / "labels.csv").write_text("prediction_id,outcome\n" + "".join(f"{i},Yes\n" for i in ids[50:]) + "x,No\n")
    found = labels.from_log(reference, str(tmp_path / "labels.csv"), 90, NOW, str(tmp_path))
    assert (len(found.table), found.unknown, found.others) == (80, 2, 10)
    assert found.table.outcome.sum() == 30  # the file comes after the feedback


def test_nobody_overwrites_an_outcome_and_conflicts_are_told(
    telco: Dataset, reference: Reference, tmp_path: Path
) -> None:
    ids = write(telco, tmp_path, NOW - timedelta(days=40), 80)
    feedback(tmp_path, ids[:60], outcome=False, ago=timedelta(hours=1))
    feedback(tmp_path, ids[:10], outcome=True)
    found = labels.from_log(reference, "", 90, NOW, str(tmp_path))
    assert (len(found.table), found.table.outcome.sum(), found.conflicts) == (60, 0, 10)
    analysis = windows.from_log(reference, ROWS, NOW, at=str(tmp_path))
    assessed = judged(reference, analysis, ROWS)
    assert "10 predictions were given different outcomes; the first of each counts" in assessed.lights[3].answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prediction_id,churned\na,1\n", "no column outcome"),
        ("prediction_id,outcome\na,perhaps\n", "'perhaps' is not an outcome; use Yes and No"),
        ("prediction_id,outcome\n", "no rows"),
    ],
)
def test_labels_that_say_nothing_are_refused(telco: Dataset, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(ChurnError, match=said) as refused:
        labels.read(str(path), telco)
    assert "labels.csv" in str(refused.value)


def test_outcomes_are_read_in_the_spellings_of_training() -> None:
    target = {"role": "target", "values": ["Stayed", "Lost", "Churned"], "positive": ["Churned", "Lost"]}
    dataset = from_dump({"name": "bank", "columns": {"x": {"type": "number"}, "status": target}})
    found = labels.outcomes(pd.Series(["stayed", " LOST", "churned", "TRUE", "0"]), dataset, "x")
    assert found.tolist() == [False, True, True, True, False]
    with pytest.raises(
        ChurnError, match="'gone' is not an outcome; use Lost and Churned and Stayed, or true and false"
    ):
        labels.outcomes(pd.Series(["gone"]), dataset, "x")


def file(telco: Dataset, path: Path, **columns: object) -> str:
    synthetic.generate(telco, 200, seed=3).assign(probability=0.3, **columns).to_csv(path, index=False)
    return str(path)


def test_a_file_is_one_window_with_the_outcomes_it_has(telco: Dataset, reference: Reference, tmp_path: Path) -> None:
    found = windows.from_file(reference, file(telco, tmp_path / "a.csv", model_version=["3"] * 150 + ["2"] * 50))
    assert (sizes(found), found.others) == ([150], {"2": 50})
    (_, rows), *_ = found.each(reference)
    assert not rows.decision.any()
    assert len(pd.read_parquet(__import__("io").BytesIO(found.labelled))) == 150


def test_header_lines_among_the_rows_of_a_file_are_left_out(
    telco: Dataset, reference: Reference, tmp_path: Path
) -> None:
    path = Path(file(telco, tmp_path / "a.csv"))
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    found = windows.from_file(reference, str(path))
    assert (sizes(found), found.notes) == ([200], (f"{path}: left out: repeated header lines (1)",))


def test_rows_of_a_file_without_an_outcome_have_none(telco: Dataset, reference: Reference, tmp_path: Path) -> None:
    target = telco.columns["Churn"].model_copy(update={"leave_out": ("Joined",), "missing_values": ("?",)})
    described = replace(reference, dataset=telco.model_copy(update={"columns": {**telco.columns, "Churn": target}}))
    outcomes = ["YES", "joined", "", "?", "no "] * 40
    found = windows.from_file(described, file(telco, tmp_path / "a.csv", Churn=outcomes))
    assert (sizes(found), found.outcomes) == ([200], 80)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tenure": "long"}, "column tenure: 200 cells are not of type integer, the first is 'long'"),
        ({"probability": 1.5}, "column probability: '1.5' is not between 0 and 1"),
        ({"Churn": "Maybe"}, "'Maybe' is not an outcome"),
    ],
)
def test_bad_cells_of_a_file_are_named(
    telco: Dataset, reference: Reference, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    path = file(telco, tmp_path / "customers.csv")
    pd.read_csv(path).assign(**change).to_csv(path, index=False)
    with pytest.raises(ChurnError, match=said) as refused:
        windows.from_file(reference, path)
    assert "customers.csv" in str(refused.value)


def test_a_file_without_a_column_is_refused(telco: Dataset, reference: Reference, tmp_path: Path) -> None:
    path = file(telco, tmp_path / "customers.csv")
    pd.read_csv(path).drop(columns=["tenure", "Contract"]).to_csv(path, index=False)
    with pytest.raises(ChurnError, match=r"customers\.csv: no column tenure, Contract"):
        windows.from_file(reference, path)


def test_a_moment_is_utc_unless_it_says_otherwise() -> None:
    assert assessment.until("2026-03-10T06:00") == NOW
    assert assessment.until("2026-03-10T08:00+02:00") == NOW
    with pytest.raises(ChurnError, match="--until yesterday"):
        assessment.until("yesterday")
