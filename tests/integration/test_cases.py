"""The inputs of ``../shared/cases``: typed as their README says, each gives what it calls right.

The unit tests of the reader, the description and the outcome hold small files of the same kinds.
"""

import csv
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from churn.data import sources, tables
from churn.errors import ChurnError
from churn.settings import core
from churn.settings.data import File, Quality
from churn.settings.dataset import Dataset
from churn.validation import validation
from clone import Clone, clone
from conftest import ROOT

from tests.bench import common

CASES = ROOT.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES.name} are not at hand")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the code for all cases."""
    return clone(tmp_path_factory.mktemp("clone"))


def test_every_case_is_tested() -> None:
    assert all(f'"{case.name}"' in Path(__file__).read_text() for case in CASES.iterdir())


def _cells(file: Path, separator: str = ",", width: int = 5) -> tuple[list[str], list[list[str]]]:
    """The header, and the first ``width`` cells of each row that holds any, as Python's own reader gives them."""
    with file.open(newline="") as lines:
        header, *rows = csv.reader(lines, delimiter=separator)
    return header[:width], [row[:width] for row in rows if any(row)]


def _described(here: Clone, name: str) -> Dataset:
    return core.load(Dataset, here.description(name))


def _read(file: Path, dataset: Dataset) -> validation.Validated:
    """What DataFlow makes of the file."""
    data, _ = sources.read(File(kind="file", path=str(file)), dataset)
    found = validation.validate(tables.from_bytes(data), dataset, Quality(), str(file))
    found.report.require(str(file))
    return found


def _versioned(here: Clone, said: str) -> pd.DataFrame:
    """All rows of the data version that DataFlow ``said`` to have made."""
    version = said.split("Data version ")[1].split()[0]
    folder = here.root / "versions" / version
    here.make("data-pull", VERSION=version, TO=folder)
    return pd.concat([pd.read_parquet(folder / name) for name in ("train.parquet", "holdout.parquet")])


def test_rows_that_end_in_a_delimiter_keep_their_cells(here: Clone) -> None:
    """Case 01."""
    file = CASES / "01-trailing-delimiter" / "wrongtarget.csv"
    header, rows = _cells(file)
    left = sum(row[header.index("Churn")] == "1" for row in rows)
    said = here.make("dataset", SOURCE=file, NAME="trailing")
    assert f"{file}: rows end in a comma; the empty cells after it are left out" in said
    assert f"'1' mean that the customer left ({left / len(rows):.1%} of the rows)?" in said
    assert (left, len(rows)) == (56, 150)
    stored = _versioned(here, here.make("data", DATASET="trailing", SOURCE=file))
    expected = pd.DataFrame(rows, columns=header).astype(dict.fromkeys(header, "float64"))
    pd.testing.assert_frame_equal(
        stored[header].astype("float64").sort_values(header, ignore_index=True),
        expected.sort_values(header, ignore_index=True),
    )


def test_rows_without_an_outcome_are_left_out_and_counted(here: Clone) -> None:
    """Case 02; a description that lets the outcome be missing is refused, and such rows stop the run where that is wished."""
    file = CASES / "02-blank-target" / "blank.csv"
    _, rows = _cells(file)
    known = {row[0]: row[-1] for row in rows if row[-1]}
    assert (len(rows), len(known)) == (150, 135)
    said = here.make("dataset", SOURCE=file, NAME="blank")
    assert "Left out: rows without an outcome (15)." in said
    assert f"({list(known.values()).count('1') / 135:.1%} of the rows with an outcome)" in said
    assert "missing = true" not in said + here.description("blank").read_text()
    said = here.make("data", DATASET="blank", SOURCE=file)
    assert "left out: rows without an outcome (15)" in said
    stored = _versioned(here, said)
    assert dict(zip(stored.customer_id, stored.Churn, strict=True)) == known
    text = here.description("blank").read_text().replace('positive = "1"', 'positive = "1"\nmissing = true')
    with pytest.raises(ChurnError, match=r"columns\.Churn: .*rows without an outcome are left out of training"):
        core.parse(Dataset, text, "blank.toml")
    table = tables.from_bytes(tables.to_parquet(file)[0])
    strict = Quality(unlabelled="error")
    report = validation.validate(table, _described(here, "blank"), strict, str(file)).report
    with pytest.raises(ChurnError, match="says whether the customer left; 15 of 150 failed: row 1, ") as refusal:
        report.require(str(file))
    assert "missing = true" not in str(refusal.value)


def test_the_first_sheet_of_a_workbook_is_read(here: Clone) -> None:
    """Case 06."""
    file = CASES / "06-excel-workbook" / "customers.xlsx"
    header, *rows = openpyxl.load_workbook(file).worksheets[0].iter_rows(values_only=True)
    said = here.make("dataset", SOURCE=file, NAME="xl")
    assert "iconv" not in said
    left = sum(str(row[-1]) == "1" for row in rows)
    assert f"({left / len(rows):.1%} of the rows)" in said
    table = _read(file, _described(here, "xl")).table
    assert table.columns.tolist() == list(header) == ["customer_id", "tenure", "monthly", "Churn"]
    assert table.astype("str").to_numpy().tolist() == [[str(cell) for cell in row] for row in rows]


def test_a_target_of_three_values_is_named_with_commands_that_work(here: Clone) -> None:
    """Case 07."""
    file = CASES / "07-target-of-three-values" / "status.csv"
    _, rows = _cells(file)
    found = {value: sum(row[-1] == value for row in rows) for value in ("Stayed", "Churned", "Joined")}
    counted = ", ".join(f"{value!r} ({count})" for value, count in found.items())
    for given in ({}, {"TARGET": "Status "}):
        said = here.refused("dataset", SOURCE=file, NAME="status", **given)
        assert "column 'Status' " in said
        assert f"holds 3 values: {counted}" in said
    commands = [line for line in said.splitlines() if line.startswith("  make ")]
    kept = (150, 150 - found["Joined"])
    for command, rows_kept in zip(commands, kept, strict=True):
        here.typed(command)
        result = _read(file, _described(here, "status"))
        assert len(result.table) == rows_kept
        assert (result.table.Status == "Churned").sum() == found["Churned"] == 44
        here.description("status").unlink()


def test_a_moment_with_two_offsets_is_one(here: Clone, tmp_path: Path) -> None:
    """Case 12."""
    file = CASES / "12-summer-time" / "dst.csv"
    _, rows = _cells(file)
    blank = tmp_path / "blank.csv"  # as Parquet gives moments
    blank.write_text(file.read_text().replace("T10:", " 10:"))
    for number, given in enumerate((file, blank)):
        said = here.make("dataset", SOURCE=given, NAME=f"dst{number}")
        assert 'last_seen: is it the time the row describes? Then role = "time"' in said
        text = here.description(f"dst{number}").read_text()
        dataset = core.parse(Dataset, text.replace('role = "ignore"', 'role = "time"'), "dst.toml")
        assert dataset.columns["last_seen"].type == "timestamp"
        table = _read(given, dataset).table
        assert table.last_seen.tolist() == [pd.Timestamp(row[1]).tz_convert(None) for row in rows]
        assert {moment.hour for moment in table.last_seen} == {8, 9}


def test_rows_of_commas_at_the_end_are_no_customers(here: Clone) -> None:
    """Case 14."""
    file = CASES / "14-blank-rows-at-the-end" / "tail.csv"
    _, rows = _cells(file)
    assert len(rows) == 150
    said = here.make("dataset", SOURCE=file, NAME="tail")
    assert f"{file}: 3 rows with nothing in any cell left out" in said
    assert "no outcome" not in said
    dataset = _described(here, "tail")
    assert dataset.id == "customer_id"
    found = _read(file, dataset)
    assert found.report.left_out == ()
    assert found.table.customer_id.tolist() == [row[0] for row in rows]
    assert (found.table.Churn == "1").sum() == sum(row[-1] == "1" for row in rows) == 49


TABS = CASES / "08-predict-reads-otherwise" / "train.txt"


@pytest.fixture(scope="module")
def served(here: Clone, one_family: str) -> Iterator[str]:
    """Case 08: the file with tabs and decimal commas, described, trained on and served; the service's address."""
    here.make("dataset", SOURCE=TABS, NAME="tabs")
    said = here.make("run", DATASET="tabs", SOURCE=TABS, SETTINGS=one_family)
    (rows,) = re.findall(r"\((\d+) rows to train, (\d+) held out\)", said)
    assert sum(map(int, rows)) == 200
    assert "\nServe      make serve DATASET=tabs " in said
    port = str(common.free_port())
    url = f"http://127.0.0.1:{port}"
    running = subprocess.Popen(**here.made("serve", DATASET="tabs", PORT=port))
    until = time.monotonic() + 120
    while not common.answers(f"{url}/readyz"):
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.2)
    yield url
    running.terminate()
    running.communicate(timeout=60)


def _dresses(folder: Path) -> dict[str, Path]:
    """The file of case 08 and the same customers in other dresses."""
    text = TABS.read_text()
    table = pd.read_csv(TABS, sep="\t", decimal=",")
    made = {name: folder / f"{name}.csv" for name in ("semicolons", "utf16", "trailing", "points")} | {
        "workbook": folder / "workbook.xlsx"
    }
    made["semicolons"].write_text(text.replace("\t", ";"))
    made["utf16"].write_text(text, encoding="utf-16")
    head, *lines = text.splitlines()
    made["trailing"].write_text("\n".join([head, *(f"{line}\t" for line in lines), "\t" * 6, ""]))
    table.to_csv(made["points"], index=False)
    table.to_excel(made["workbook"], index=False)
    return {"tabs": TABS, **made}


def _answers(ranked: pd.DataFrame) -> list[Any]:
    return sorted(zip(ranked.State, ranked["Account Length"], ranked.probability.round(6), strict=True))


def _read_by_the_page(url: str, file: Path) -> list[dict[str, Any]]:
    """The customers of a file that is dropped on the service's page."""
    request = urllib.request.Request(f"{url}/read", file.read_bytes(), {"Content-Type": "application/octet-stream"})
    with urllib.request.urlopen(request) as answer:
        return list(json.load(answer)["rows"])


def test_predict_the_page_and_the_list_read_every_dress_alike(here: Clone, served: str, tmp_path: Path) -> None:
    """Case 08, and of case 01 the list."""
    found: dict[str, list[Any]] = {}
    given = pd.read_csv(TABS, sep="\t", decimal=",")
    for name, file in _dresses(tmp_path).items():
        said = here.make("predict", FILE=file, URL=served)
        assert "200 customers, " in said, name
        found[name] = _answers(pd.read_csv(here.root / f"{file.stem}.ranked.csv"))
        rows = _read_by_the_page(served, file)
        assert [row["Day Mins"] for row in rows] == given["Day Mins"].tolist(), name
        assert [row["State"] for row in rows] == given["State"].tolist(), name
    assert all(answers == found["tabs"] for answers in found.values())
    said = here.make("score", DATASET="tabs", SOURCE=tmp_path / "trailing.csv")
    listed = pd.read_csv(said.split("customers are likely to leave: ")[1].split()[0])
    assert _answers(listed) == found["tabs"]
