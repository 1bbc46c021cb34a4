"""What the service writes is what monitoring reads: complete, by day, and never half a part."""

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from churn.errors import ChurnError
from churn.serving import batch_scoring, prediction_log
from churn.settings import environment
from churn.settings.core import load
from churn.settings.dataset import Dataset
from pyarrow import parquet

from bento.log import Log, LogSettings

TELCO = load(Dataset, environment.ROOT / "config" / "datasets" / "telco.toml")
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


def row(moment: datetime, name: str = "a") -> tuple[object, ...]:
    given = {"tenure": 5.0, "Contract": "One year"}
    return (name, int(moment.timestamp() * 1e6), "3", "d", 0.25, False, *(given.get(c) for c in TELCO.raw))


def log(dataset: Dataset, at: object, dropped: list[int], **settings: object) -> Log:
    chosen = LogSettings.model_validate({"close_seconds": 2.0, **settings})
    return Log(prediction_log.PREDICTIONS, prediction_log.schema(dataset), chosen, str(at), dropped.append, [].append)


def test_rows_come_back_by_time_and_day(telco: Dataset, tmp_path: Path) -> None:
    dropped: list[int] = []
    writer = log(telco, tmp_path, dropped)
    writer.add([row(MIDNIGHT, "second"), row(MIDNIGHT - timedelta(seconds=1), "first")])
    writer.close()
    assert dropped == []
    assert sorted(p.name for p in (tmp_path / "predictions").iterdir()) == ["day=2026-02-28", "day=2026-03-01"]
    found = prediction_log.read(telco, MIDNIGHT - timedelta(days=1), MIDNIGHT + timedelta(days=1), str(tmp_path))
    assert found.prediction_id.tolist() == ["first", "second"]
    assert found.tenure.tolist() == [5.0, 5.0]
    assert found.TotalCharges.isna().all()
    assert list(found.columns) == [*prediction_log.COLUMNS, *telco.raw]
    before = prediction_log.read(telco, MIDNIGHT - timedelta(days=1), MIDNIGHT, str(tmp_path))
    assert before.prediction_id.tolist() == ["first"]


def test_an_empty_log_has_its_columns(telco: Dataset, tmp_path: Path) -> None:
    found = prediction_log.read(telco, MIDNIGHT, MIDNIGHT, str(tmp_path / "nothing"))
    assert (len(found), "probability" in found) == (0, True)
    assert len(prediction_log.read_feedback(MIDNIGHT, MIDNIGHT, str(tmp_path))) == 0


def test_half_written_parts_are_not_read_and_damaged_ones_are_named_and_left_out(
    telco: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    day = tmp_path / "predictions" / "day=2026-03-01"
    day.mkdir(parents=True)
    (day / "part-1.tmp").write_bytes(b"half")
    window = (MIDNIGHT, MIDNIGHT + timedelta(hours=1))
    assert len(prediction_log.read(telco, *window, str(tmp_path))) == 0
    (day / "part-2.parquet").write_bytes(b"not parquet")
    content = prediction_log.encode(prediction_log.schema(telco), [row(MIDNIGHT, "whole")])
    (day / "part-3.parquet").write_bytes(content)
    assert prediction_log.read(telco, *window, str(tmp_path)).prediction_id.tolist() == ["whole"]
    assert "left out of the prediction log, as damaged: " + str(day / "part-2.parquet") in caplog.text
    damaged: set[str] = set()
    prediction_log.read(telco, *window, str(tmp_path), damaged)
    assert damaged == {str(day / "part-2.parquet")}


def _flips(telco: Dataset, at: Path, number: int) -> None:
    """Each time one bit of a part: its rows are all there, or all left out and the part is named."""
    day, rng = at / "predictions" / "day=2026-03-01", random.Random(number)
    day.mkdir(parents=True)
    for name, moment in (("part-1", MIDNIGHT), ("part-2", MIDNIGHT + timedelta(minutes=1))):
        rows = [row(moment, f"{name}-{i}") for i in range(20)]
        (day / f"{name}.parquet").write_bytes(prediction_log.encode(prediction_log.schema(telco), rows))
    window = (telco, MIDNIGHT, MIDNIGHT + timedelta(hours=1), str(at))
    everything, harmed = prediction_log.read(*window), day / "part-2.parquet"
    content = harmed.read_bytes()
    assert len(everything) == 40
    for _ in range(number):
        changed, bit = bytearray(content), rng.randrange(8 * len(content))
        changed[bit // 8] ^= 1 << bit % 8
        harmed.write_bytes(changed)
        damaged: set[str] = set()
        pd.testing.assert_frame_equal(prediction_log.read(*window, damaged), everything[:20])
        assert damaged == {str(harmed)}, f"bit {bit}"


def test_no_flipped_bit_of_a_part_goes_unseen(telco: Dataset, tmp_path: Path) -> None:
    _flips(telco, tmp_path, 20)


@pytest.mark.slow
def test_five_hundred_flipped_bits_of_parts(telco: Dataset, tmp_path: Path) -> None:
    _flips(telco, tmp_path, 500)


def test_a_full_queue_drops_counts_and_goes_on(telco: Dataset, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    dropped: list[int] = []
    writer = log(telco, blocked, dropped, queue_rows=3, part_seconds=0.01, close_seconds=0.5)
    writer.add([row(MIDNIGHT)] * 2)
    writer.add([row(MIDNIGHT)] * 2)
    assert dropped == [2]
    assert writer.waiting == 2
    blocked.unlink()  # the store comes back
    writer.close()
    assert dropped == [2]
    assert len(prediction_log.read(telco, MIDNIGHT, MIDNIGHT + timedelta(hours=1), str(blocked))) == 2


def test_what_cannot_be_written_at_the_end_is_counted(telco: Dataset, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    dropped: list[int] = []
    writer = log(telco, blocked, dropped, close_seconds=0.5)
    writer.add([row(MIDNIGHT)] * 7)
    writer.close()
    assert dropped == [7]


def test_a_column_named_like_the_logs_own_is_refused(telco: Dataset) -> None:
    columns = {"decision": telco.columns["tenure"], "Churn": telco.columns["Churn"]}
    clash = Dataset(name="clash", columns=columns)
    with pytest.raises(ChurnError, match="decision"):
        prediction_log.schema(clash)


def test_a_store_that_is_away_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    with pytest.raises(ChurnError, match="s3://bucket/log/feedback"):
        prediction_log.read_feedback(MIDNIGHT, MIDNIGHT, "s3://bucket/log")


def test_texts_gaps_and_numbers_come_back_as_they_were() -> None:
    schema = pa.schema([("text", pa.string()), ("number", pa.float64()), ("flag", pa.bool_())])
    for texts in (["a", None, "bc"], ["Österreich", None, "x"], ["é", "ab", "日本"], ["", "a", "b"]):
        rows = list(zip(texts, [1.5, None, -2.0], [True, False, None], strict=True))
        found = parquet.read_table(pa.BufferReader(prediction_log.encode(schema, rows))).to_pydict()
        assert list(zip(*found.values(), strict=True)) == rows


@pytest.mark.parametrize(
    "told", ["s3://", "s3:///log", "s3:bucket", "gs://bucket/log", "file:///log", "https://host/log", "://x"]
)
def test_no_other_address_is_a_root(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", told)
    with pytest.raises(ChurnError, match="a folder or s3://bucket/prefix"):
        prediction_log.root()


@pytest.mark.parametrize("told", ["s3://", "gs://bucket/scores", "file:///scores", "https://host/scores"])
def test_lists_of_customers_go_to_no_folder_that_is_named_like_an_address(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the working directory, where no erasing looked for them."""
    monkeypatch.setenv("CHURNFLOW_SCORES", told)
    with pytest.raises(ChurnError, match=r"CHURNFLOW_SCORES=.*: ranked lists go to a folder or s3://bucket/prefix"):
        batch_scoring.root()


@pytest.mark.parametrize(("told", "below"), [("lists", "lists"), (" ", "scores"), ("", "scores")])
def test_a_relative_place_of_lists_lies_below_the_state(told: str, below: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_SCORES", told)
    assert batch_scoring.root() == str(environment.STATE / below)


def test_a_relative_root_does_not_follow_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", "logs/churn")
    before = prediction_log.root()
    monkeypatch.chdir(tmp_path)
    assert prediction_log.root() == before == str(environment.STATE / "logs" / "churn")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_dies_is_told(telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lives: list[bool] = []
    monkeypatch.setattr(Log, "_encode", lambda self: sys.exit("a fault that nothing catches"))
    chosen = LogSettings(part_seconds=0.01)
    schema = prediction_log.schema(telco)
    writer = Log(prediction_log.PREDICTIONS, schema, chosen, str(tmp_path), print, print, lives.append)
    writer._thread.join(10)
    assert not writer.alive
    assert lives == [True, False]
