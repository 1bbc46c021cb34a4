"""A refusal's remedy, done to the letter, lets the run go on: each refusal is provoked, read, followed and tried again."""

import re
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from churn.data import split
from churn.errors import ChurnError
from churn.files import reader
from churn.schema_inference import infer
from churn.settings import core
from churn.settings.data import DataConfig, Quality, Split
from churn.settings.dataset import Dataset
from churn.settings.train import Search
from churn.training import folds
from churn.validation import checks, leakage, profile, toml_text, validation
from conftest import TIMED
from described import DAYS, LEFT, ROWS, customers, of, rng

VALUE = r'("[^"]*"|\[[^\]]*\]|true|false|-?[\d.]+)'
MINE = Quality(leakage="error", drifted="error", unlabelled="error")


def written(said: str, text: str = "") -> dict[str, Any]:
    """A settings file after a person wrote every KEY = VALUE that the message names into the table that it names."""
    (table,) = set(re.findall(r"\[[a-z]+(?:\.(?:\w+|\"[^\"]+\"))?\]", said))
    settings = tomllib.loads(text or TEXT)
    place, names = settings, tomllib.loads(table)
    while names:
        ((name, names),) = names.items()
        place = place[name]
    place |= tomllib.loads("\n".join(f"{key} = {value}" for key, value in re.findall(rf"(\w+) = {VALUE}", said)))
    return settings


def refused(frame: pd.DataFrame, dataset: Dataset, limits: Quality = MINE) -> checks.Check:
    """The one check that stops the run, as it is said."""
    report = validation.validate(frame, dataset, limits, "x.csv").report
    with pytest.raises(ChurnError, match=r"x\.csv: 1 of"):
        report.require("x.csv")
    return report.errors[0]


def described(said: str = "") -> Dataset:
    """The description, with what a message said written into it."""
    return core.from_dict(Dataset, written(said) if said else tomllib.loads(TEXT), "bank.toml")


def changed(column: str, *cells: Any) -> pd.DataFrame:
    """The customers with these cells at the top of a column."""
    frame = base()
    return frame.assign(**{column: [*cells, *frame[column][len(cells) :]]})


def base() -> pd.DataFrame:
    """Customers with an id, a moment, numbers and levels, as text."""
    return customers(
        customer_id=[f"C{i:04}" for i in range(ROWS)],
        plan=rng(3).choice(["basic", "gold"], ROWS),
        paid=np.round(rng(4).uniform(5, 99, ROWS), 2),
        snapshot_date=DAYS.strftime("%Y-%m-%d"),
    )


TEXT = of(base()).text

# The broken file, and what its column holds in the broken rows once the remedy is followed.
WRITTEN: dict[str, tuple[pd.DataFrame, str, list[Any]]] = {
    "missing cells": (changed("paid", "", ""), "paid", [None, None]),
    "a missing level": (changed("plan", ""), "plan", [None]),
    "no id": (changed("customer_id", "", ""), "customer_id", [None, None]),
    "no moment": (changed("snapshot_date", ""), "snapshot_date", [None]),
    "a stray word": (changed("paid", "Error", "Error"), "paid", [None, None]),
    "two stray words": (changed("age", "n.a.", "unknown"), "age", [None, None]),
    "a fraction in whole numbers": (changed("calls", "1.5"), "calls", [1.5]),
    "days first": (
        base().assign(snapshot_date=DAYS.strftime("%d.%m.%Y")), "snapshot_date", list(DAYS.astype("datetime64[us]")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_what_is_written_into_the_description_lets_the_run_go_on(case: str) -> None:
    frame, column, cells = WRITTEN[case]
    check = refused(frame, described())
    assert check.column == column
    (keys,) = [check.remedy] if "such as" not in check.remedy else [check.remedy.replace("format, such as", "format =")]
    dataset = described(keys)
    found = validation.validate(frame, dataset, MINE, "x.csv")
    assert found.report.errors == ()
    assert [None if pd.isna(cell) else cell for cell in found.table[column][: len(cells)]] == cells


@pytest.mark.parametrize(("key", "cell", "value"), [("values", "silver", "silver")])
def test_a_new_level_is_added(key: str, cell: str, value: str) -> None:
    frame = changed("plan", cell)
    check = refused(frame, described())
    assert f"add the value to '{key}' in config/datasets/bank.toml [columns.plan]" in check.remedy
    dataset = described(f'[columns.plan] values = ["basic", "gold", "{value}"]')
    assert validation.validate(frame, dataset, MINE, "x.csv").table["plan"][0] == value


@pytest.mark.parametrize(
    ("lines", "churned", "rows"),
    [
        ('values = ["No", "Yes", "Paused"]', int(LEFT.sum()) - 1, ROWS),
        ('values = ["No", "Yes", "Paused"] positive = ["Yes", "Paused"]', int(LEFT.sum()), ROWS),
        ('leave_out = ["Paused"]', int(LEFT.sum()) - 1, ROWS - 1),
    ],
)
def test_a_new_outcome_is_one_of_three_things(lines: str, churned: int, rows: int) -> None:
    frame = changed("Churn", "Paused")
    check = refused(frame, described())
    assert all(f"'{key}'" in check.remedy for key in ("values", "positive", "leave_out"))
    dataset = described(f"[columns.Churn] {lines}")
    found = validation.validate(frame, dataset, MINE, "x.csv")
    assert found.report.errors == ()
    assert (len(found.table), (found.table["Churn"] == dataset.positive).sum()) == (rows, churned)


def test_a_range_is_widened() -> None:
    frame = changed("paid", "5000")
    check = refused(frame, described())
    assert "change min and max in config/datasets/bank.toml [columns.paid]" in check.remedy
    assert not validation.validate(frame, described("[columns.paid] max = 10000"), MINE, "x.csv").report.errors


@pytest.mark.parametrize(
    ("cells", "lines", "value"),
    [
        (("€ 7,50", "€ 8,50"), 'unit = ["€", ""] decimal = ","', 7.5),
        (("1'234.50", "1'000.00"), 'thousands = "\'" max = 2000', 1234.5),
        (("(7.50)",), 'negative = "parentheses" min = -10', -7.5),
    ],
)
def test_how_numbers_are_written_is_said(cells: tuple[str, ...], lines: str, value: float) -> None:
    frame = changed("paid", *cells)
    check = refused(frame, described())
    assert "say how they are written: decimal, thousands, unit or negative in config/datasets/bank.toml" in check.remedy
    found = validation.validate(frame, described(f"[columns.paid] {lines}"), MINE, "x.csv")
    assert found.report.errors == ()
    assert found.table["paid"][0] == value


def test_a_column_that_is_missing_is_added_or_described_no_more() -> None:
    frame = base().drop(columns="plan")
    with pytest.raises(ChurnError, match=r"'plan' is missing; .*Add it to the file, or describe the file's columns in"):
        validation.validate(frame, described(), MINE, "x.csv")
    without = re.sub(r"\[columns\.plan\]\n.*?\n\n", "", TEXT, flags=re.DOTALL)
    for given, text in ((base(), TEXT), (frame, without)):
        dataset = core.parse(Dataset, text, "bank.toml")
        assert not validation.validate(given, dataset, MINE, "x.csv").report.errors


def _settings(check: checks.Check) -> Quality:
    """config/data.toml's [quality] after the remedy."""
    lines = "\n".join(toml_text.line(*item) for item in MINE.model_dump(exclude_none=True).items())
    file = f'[[source]]\nkind = "synthetic"\n[quality]\n{lines}\n'
    return core.from_dict(DataConfig, written(check.remedy, file), "data.toml").quality


def test_rows_without_an_outcome_are_dropped_where_the_remedy_is_followed() -> None:
    frame = changed("Churn", "", "")
    check = refused(frame, described())
    found = validation.validate(frame, described(), _settings(check), "x.csv")
    assert found.report.errors == ()
    assert found.report.left_out == ("rows without an outcome (2)",)
    back = _settings(found.report.warnings[0])  # and the other way: the warning says how to be stricter
    assert validation.validate(frame, described(), back, "x.csv").report.errors


@pytest.mark.parametrize(
    ("limits", "key"), [({"min_rows": 1000}, "min_rows"), ({"churn_share": (0.5, 0.6)}, "churn_share")]
)
def test_a_limit_of_the_whole_table_is_changed(limits: dict[str, Any], key: str) -> None:
    report = validation.validate(base(), described(), Quality(**limits), "x.csv").report
    (check,) = [check for check in report.checks if not check.passed]
    assert f"{key} in config/data.toml [quality]" in check.remedy
    report = validation.validate(base(), described(), Quality(), "x.csv").report
    assert all(check.passed for check in report.checks)


def test_a_share_of_missing_cells_is_raised() -> None:
    strict = described("[columns.paid] missing = true max_missing = 0.001")
    frame = changed("paid", "", "")
    assert "raise max_missing in config/datasets/bank.toml [columns.paid]" in refused(frame, strict).remedy
    wide = described("[columns.paid] missing = true max_missing = 0.01")
    assert not validation.validate(frame, wide, MINE, "x.csv").report.errors


def test_a_column_that_gives_the_outcome_away_is_ignored() -> None:
    frame = base().assign(paid=np.where(LEFT, "90", "10"))
    check = refused(frame, described())
    dataset = described(check.remedy)
    assert not validation.validate(frame, dataset, MINE, "x.csv").report.errors
    assert "paid" not in dataset.raw
    table = validation.validate(frame, described(), Quality(), "x.csv").table
    with pytest.raises(
        ChurnError, match=r"role 'ignore' in config/datasets/bank\.toml.* leakage = 0\.98 in config/train"
    ):
        leakage.require_none(described(), table, 0.98)
    leakage.require_none(dataset, table, 0.98)
    leakage.require_none(described(), table, 1.0)


def test_a_drift_that_is_expected_is_allowed() -> None:
    dataset = described()
    before = validation.validate(base(), dataset, MINE, "x.csv")
    known = profile.profile(before.table, dataset, before.columns)
    after = validation.validate(base().assign(plan="gold"), dataset, MINE, "x.csv")
    far = profile.distances(known, after.table, after.columns)
    (check,) = [check for check in profile.drift_checks(far, dataset, MINE) if not check.passed]
    assert "change drift in config/data.toml [quality] or in config/datasets/bank.toml [columns.plan]" in check.remedy
    for looser, limits in (
        (described("[columns.plan] drift = 1.0"), MINE),
        (dataset, Quality(drifted="error", drift=1.0)),
    ):
        assert all(check.passed for check in profile.drift_checks(far, looser, limits))


def test_rows_in_quarantine_come_back_once_their_remedy_is_followed() -> None:
    frame, pardon = changed("paid", "Error"), Quality(quarantine=0.01)
    found = validation.validate(frame, described(), pardon, "x.csv")
    assert (len(found.table), found.quarantine["reasons"].tolist()) == (ROWS - 1, ["paid is a number"])
    (check,) = found.report.warnings
    assert check.remedy.startswith("These rows are in quarantine. ")
    found = validation.validate(frame, described(check.remedy), pardon, "x.csv")
    assert (len(found.table), len(found.quarantine)) == (ROWS, 0)


def test_a_word_among_numbers_is_missing_once_the_note_is_followed() -> None:
    frame = changed("paid", *["Error"] * 40)
    found = of(frame)
    (note,) = [note for note in found.decisions if note.startswith("paid: ")]
    assert refused(frame, found.dataset).column == "paid"
    dataset = core.from_dict(Dataset, written(f"[columns.paid] {note}", found.text), "bank.toml")
    table = validation.validate(frame, dataset, MINE, "x.csv").table
    assert table["paid"].isna().sum() == 40


def _time_is_ignored(said: str, text: str) -> Dataset:
    assert "change the role of 'at'" in said
    return core.parse(Dataset, text.replace('role = "time"', 'role = "ignore"'), "timed.toml")


def test_a_split_or_folds_that_cannot_be_are_mended_as_they_say() -> None:
    timed = core.parse(Dataset, TIMED, "timed.toml")
    rows = 200
    table = pd.DataFrame(
        {
            "customer": [f"C{i}" for i in range(rows)],
            "at": pd.to_datetime("2026-01-01") + pd.to_timedelta(np.arange(rows), unit="D"),
            "x": 1.0,
            "left": np.where(np.arange(rows) < 150, np.where(np.arange(rows) % 3, "0", "1"), "0"),  # nobody of late
        }
    )
    with pytest.raises(ChurnError, match="the holdout would hold 40 customers, 0 of them churned") as refusal:
        split.sides(table, timed, Split())
    assert "change [split] in config/data.toml" in str(refusal.value)
    split.sides(table, timed, Split(holdout=0.5))
    split.sides(table, _time_is_ignored(str(refusal.value), TIMED), Split())
    with pytest.raises(ChurnError, match=r"config/train\.toml \[search\] folds = 60: .*; lower it, or give") as refusal:
        folds.folds(Search(folds=60), timed, table)
    assert len(folds.folds(Search(folds=3), _time_is_ignored(str(refusal.value), TIMED), table)) == 3


READ: dict[str, tuple[bytes, str, Callable[[str, bytes], bytes], dict[str, list[str]]]] = {
    "two separators": (
        b"a,b;c\n1,2;3\n",
        r"in a first line (sep=,)$",
        lambda line, data: line.encode() + b"\n" + data,
        {"a": ["1"], "b;c": ["2;3"]},
    ),
    "an unusual separator": (
        b"a^b\n1^2\n",
        r"in a first line such as (sep=\^)$",
        lambda line, data: line.encode() + b"\n" + data,
        {"a": ["1"], "b": ["2"]},
    ),
    "quotes within a cell": (
        b'a,b\n1,"Bo"nn"\n',
        r"(write quotes within a cell twice)$",
        lambda _, data: data.replace(b'"Bo"nn"', b'"Bo""nn"'),
        {"a": ["1"], "b": ['Bo"nn']},
    ),
    "a separator in a cell": (
        b"a,b\n1,x,y\n",
        r"(quote cells that hold the separator)$",
        lambda _, data: data.replace(b"x,y", b'"x,y"'),
        {"a": ["1"], "b": ["x,y"]},
    ),
    "a column without a name": (
        b"a,b\n1,x,y\n",
        r"(name its column in the header), or",
        lambda _, data: data.replace(b"a,b", b"a,b,c"),
        {"a": ["1"], "b": ["x"], "c": ["y"]},
    ),
    "one name twice": (
        b"a,a\n1,2\n",
        r"(rename or remove one)$",
        lambda _, data: data.replace(b"a,a", b"a,b"),
        {"a": ["1"], "b": ["2"]},
    ),
    "no header": (
        b"7,Bonn,10.5\n8,Ulm,20\n",
        r"(put a header line above it)$",
        lambda _, data: b"a,b,c\n" + data,
        {"a": ["7", "8"], "b": ["Bonn", "Ulm"], "c": ["10.5", "20"]},
    ),
}


@pytest.mark.parametrize("case", READ)
def test_a_file_is_read_once_it_is_changed_as_the_message_says(case: str) -> None:
    data, remedy, change, expected = READ[case]
    try:
        said = " ".join(reader.parse(data, "f.csv").notes)
    except ChurnError as error:
        said = str(error)
    found = re.search(remedy, said)
    assert found, said
    assert reader.parse(change(found[1], data), "f.csv").table.to_pydict() == expected


def test_another_target_is_named_as_the_message_proposes() -> None:
    with pytest.raises(ChurnError, match=r"no column 'Chrun'; did you mean '(\w+)'\?") as refusal:
        of(base(), target="Chrun")
    (name,) = re.findall(r"did you mean '(\w+)'", str(refusal.value))
    assert infer.describe(base(), "bank", "bank.csv", target=name).dataset.target == "Churn"
