"""Customers checked part by part: the rows, the quarantine, the report and the messages are those of the whole table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from churn.data import synthetic, tables
from churn.errors import ChurnError
from churn.files import parts, spool
from churn.serving import batch_scoring
from churn.serving.ranking import shards, source_parts
from churn.settings.data import File, Source, Synthetic
from churn.settings.dataset import Dataset, from_dump
from churn.settings.score import Score
from churn.validation import validation
from churn.validation.in_parts.screening import Screening

ROWS, SIZE = 300, 75


@pytest.fixture(scope="module")
def customers(narrow: Dataset) -> pd.DataFrame:
    """Rows as they are read from a text file: an integer column with gaps, and text."""
    rows = synthetic.generate(narrow, ROWS, seed=5).drop(columns="Churn")
    return rows.astype(object).where(rows.notna(), "").astype("str").assign(extra=[str(row) for row in range(ROWS)])


def _harm(table: pd.DataFrame, cells: dict[tuple[int, str], str]) -> pd.DataFrame:
    harmed = table.copy()
    for (row, name), cell in cells.items():
        harmed.loc[row, name] = cell
    return harmed


HARMS: dict[str, dict[tuple[int, str], str]] = {
    "none": {},
    "values and ranges": {(3, "Contract"): "Monthly", (130, "tenure"): "-1", (299, "tenure"): "900"},
    "an incomplete column of integers": {(3, "tenure"): "", (130, "tenure"): "-1", (200, "tenure"): "x"},
    "blank here, unreadable there": {(5, "tenure"): "", (150, "tenure"): "abc", (151, "tenure"): "12 months"},
    "words for nothing": {(row, "tenure"): f"none{'!' * (row % 4)}" for row in range(10, 280, 30)},
    "many words": {(row, "tenure"): f"word{'!' * row}" for row in range(10, 280, 10)},
    "decimals among integers": {(20, "tenure"): "1.5", (220, "tenure"): "2.25"},
    "ids that come again": {(100, "customerID"): "C000000002", (250, "customerID"): "C000000002"},
    "ids that are missing": {(30, "customerID"): "", (190, "customerID"): "", (191, "customerID"): "C000000001"},
    "spellings": {(60, "Contract"): " month-to-month ", (200, "Contract"): "MONTH-TO-MONTH"},
}


def _parts(table: pd.DataFrame, size: int = SIZE) -> list[pd.DataFrame]:
    return [table.iloc[start : start + size].reset_index(drop=True) for start in range(0, len(table), size)]


@pytest.mark.parametrize("quarantine", [0.5, 0.0])
@pytest.mark.parametrize("harm", HARMS)
def test_parts_are_judged_as_the_whole(narrow: Dataset, customers: pd.DataFrame, harm: str, quarantine: float) -> None:
    table = _harm(customers, HARMS[harm])
    header = pd.DataFrame([list(table.columns)], columns=table.columns)
    table = pd.concat([table.iloc[:90], header, header, table.iloc[90:]], ignore_index=True)
    whole = validation.screen(table, narrow, quarantine, "file")
    screening = Screening(narrow, quarantine, "file")
    for part in _parts(table):
        screening.add(part)
    report, aside = screening.finish()
    assert report == whole.report
    assert aside.to_csv(index=False) == whole.quarantine.to_csv(index=False)
    if not report.errors:
        found = pd.concat([part.astype({"Contract": "str"}) for part in screening.tables()], ignore_index=True)
        assert found.to_csv(index=False) == whole.table.to_csv(index=False)
        assert {part.tenure.dtype for part in screening.tables()} == {whole.table.tenure.dtype}


@pytest.mark.parametrize("harm", ["a key twice", "a missing id twice", "none"])
def test_a_key_of_id_and_time_is_found_in_other_parts(narrow: Dataset, customers: pd.DataFrame, harm: str) -> None:
    described = narrow.model_dump(mode="json")
    described["columns"]["at"] = {"type": "timestamp", "role": "time"}
    timed = from_dump(described)
    table = customers.assign(at=[f"2024-01-{1 + row % 28:02d}" for row in range(ROWS)], customerID="C1")
    table["customerID"] = [f"C{row // 28}" for row in range(ROWS)]
    cells = {"a key twice": "C1", "a missing id twice": ""}
    if harm != "none":
        table.loc[[2, 2 + 28 * 8], "customerID"] = cells[harm]
    whole = validation.screen(table, timed, 0.5, "file")
    screening = Screening(timed, 0.5, "file")
    for part in _parts(table):
        screening.add(part)
    report, aside = screening.finish()
    assert report == whole.report
    assert aside.to_csv(index=False) == whole.quarantine.to_csv(index=False)


def test_a_table_of_header_lines_only_is_refused(narrow: Dataset, customers: pd.DataFrame) -> None:
    header = pd.DataFrame([list(customers.columns)] * 3, columns=customers.columns)
    screening = Screening(narrow, 0.5, "file")
    for part in _parts(header, 2):
        screening.add(part)
    with pytest.raises(ChurnError) as whole:
        validation.screen(header, narrow, 0.5, "file")
    with pytest.raises(ChurnError) as found:
        screening.finish()
    assert str(found.value) == str(whole.value)


def _same(origins: list[Source], dataset: Dataset, rule: Score) -> shards.Screened:
    """Screened in shards, after a comparison with the whole table."""
    table, aside, notes = batch_scoring.screen(origins, dataset, rule)
    found = shards.screen(origins, dataset, rule)
    assert found.notes == notes
    assert found.quarantined.to_csv(index=False) == aside.to_csv(index=False)
    assert [first for first, _ in found.ranges] == list(range(0, len(table), rule.shard_rows))
    assert found.ranges[-1][1] == len(table)
    stored = tables.typed(tables.to_bytes(table), dataset)
    pieces = [
        shards.customers(content.read(), first, dataset)
        for content, (first, _) in zip(found.artifacts.values(), found.ranges, strict=True)
    ]
    assert pd.concat(piece.astype("str") for piece in pieces).equals(stored.astype("str"))
    for piece in pieces:
        assert {name: dtype.kind for name, dtype in piece.dtypes.items()} == {
            name: dtype.kind for name, dtype in stored.dtypes.items()
        }
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "BLOCK", 1_500)
    monkeypatch.setattr(parts, "LARGE", 3_000)
    monkeypatch.setattr(parts, "ROWS", 70)


def test_files_of_many_parts_become_shards(
    narrow: Dataset, customers: pd.DataFrame, tmp_path: Path, small: None
) -> None:
    table = _harm(customers, HARMS["values and ranges"] | HARMS["ids that come again"])
    table["Churn"] = ["yes" if row % 9 == 0 else "No" for row in range(ROWS)]
    table.iloc[:170].to_csv(tmp_path / "1.csv", index=False)
    lines = table.iloc[170:, ::-1].to_csv(index=False).splitlines()
    blank = "," * (len(table.columns) - 1)
    (tmp_path / "2.csv").write_text("\n".join([*lines[:20], blank, *lines[20:90], blank, blank, *lines[90:], lines[0]]))
    origins = [File(kind="file", path=str(tmp_path / name)) for name in ("1.csv", "2.csv")]
    found = _same(origins, narrow, Score(quarantine=0.1, shard_rows=64))
    assert found.notes[0] == f"{tmp_path / '2.csv'}: 3 rows with nothing in any cell left out"
    assert len(found.quarantined) == 5
    _same([File(kind="file", path=str(tmp_path))], narrow, Score(quarantine=0.1, shard_rows=1000))


@pytest.mark.parametrize("kind", ["integers with a gap", "ids that are floats", "mixed", "synthetic"])
def test_sources_of_other_types_become_shards(narrow: Dataset, tmp_path: Path, small: None, kind: str) -> None:
    rows, path = synthetic.generate(narrow, ROWS, seed=5).drop(columns="Churn"), tmp_path / "customers.parquet"
    if kind == "integers with a gap":  # in one batch of rows; the others are to be floats too
        rows.loc[290, "tenure"], rows["customerID"] = -7, np.arange(ROWS)
        rows = rows.astype({"tenure": "Int64", "MonthlyCharges": "float64"})
        rows.loc[200, "tenure"] = None
    elif kind == "ids that are floats":
        rows["customerID"] = np.arange(ROWS) + np.where(np.arange(ROWS) > 280, 0.5, 0)
    elif kind == "mixed":
        rows.assign(customerID=[f"D{row}" for row in range(ROWS)]).to_csv(tmp_path / "more.csv", index=False)
    rows.to_parquet(path, index=False)
    source: Source = File(kind="file", path=str(tmp_path if kind == "mixed" else path))
    origins = [Synthetic(kind="synthetic", rows=200, seed=1)] if kind == "synthetic" else [source]
    _same(origins, narrow, Score(quarantine=0.1, shard_rows=130))


def test_of_many_customers_each_shard_is_larger(
    narrow: Dataset, customers: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BRANCHES", 4)
    customers.to_csv(tmp_path / "customers.csv", index=False)
    origins = [File(kind="file", path=str(tmp_path / "customers.csv"))]
    assert len(shards.screen(origins, narrow, Score(shard_rows=10)).ranges) == 4
    assert shards.screen(origins, narrow, Score(shard_rows=200)).ranges == [(0, 200), (200, 300)]


def test_only_files_without_joins_are_read_in_parts() -> None:
    file = File(kind="file", path="customers.csv")
    assert source_parts.streamable([file, file])
    assert not source_parts.streamable([file, File(kind="file", path="more.csv", join=True)])
    assert not source_parts.streamable([file, Synthetic(kind="synthetic")])


def test_what_is_set_aside_on_disk_pickles_as_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = spool.Spool()
    first, second = kept.add(b"one"), kept.add(b"two")
    assert pickle.loads(pickle.dumps([second, first])) == [b"two", b"one"]
    frame = pd.DataFrame({"a": [1, 2], "b": pd.Series(["x", None], dtype="category")})
    pd.testing.assert_series_equal(kept.add_table(frame).table(["b"]).b, frame.b)
    for content in (b"abc", lambda file: file.write(b"abc")):
        with spool.as_file(content) as whole:
            assert whole.read() == b"abc"
    assert list(tmp_path.iterdir()) == [], "the file has no name that a killed process would leave"
