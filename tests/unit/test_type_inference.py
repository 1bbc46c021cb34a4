"""Numbers and moments in whatever format: read and asked about, or left out until somebody decides, never guessed in silence."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from churn.data import casting
from churn.data.formats import NumberFormat
from churn.settings import core
from churn.settings.data import Quality
from churn.settings.dataset import Dataset
from churn.validation import validation
from described import DAYS, ROWS, VALUES, customers, decision, edited, of, rng, swap


@pytest.mark.parametrize(
    ("write", "form"),
    [
        ("${:,.2f}".format, NumberFormat(".", ",", ("$",))),
        (lambda value: f"-${value:,.2f}" if value < 99 else f"${value:,.2f}", NumberFormat(".", ",", ("$",))),
        (lambda value: swap(f"{value:,.2f} €"), NumberFormat(",", ".", ("€",))),
        (lambda value: swap(f"EUR {value:,.2f}", ", "), NumberFormat(",", " ", ("EUR",))),
        (lambda value: swap(f"{value:,.2f}", ",\u202f"), NumberFormat(",", " ")),
        (lambda value: swap(f"CHF {value:,.2f}", ".'"), NumberFormat(".", "'", ("CHF",))),
        (
            lambda value: f"{value:,.2f}" if value > 99 else f"({value:,.2f})",
            NumberFormat(".", ",", ("",), "parentheses"),
        ),
        (lambda value: f"{value:.2f}" if value > 99 else f"{value:.2f}-", NumberFormat(negative="trailing")),
        (lambda value: f"${value:,.2f}" if value > 99 else f"{value:,.2f}", NumberFormat(".", ",", ("$", ""))),
        ("{:.2f}%".format, NumberFormat(units=("%",))),
        ("{:.2f} kWh".format, NumberFormat(units=("kWh",))),
    ],
)
def test_numbers_in_a_dress_are_read_and_the_reading_is_asked_about(
    write: Callable[[float], str], form: NumberFormat
) -> None:
    frame = customers(x=list(map(write, VALUES)))
    found = of(frame)
    column = found.dataset.columns["x"]
    assert NumberFormat.of(found.dataset, column) == form
    assert (column.role, column.type) == ("feature", "number")
    assert "It is read so." in decision(found, "x")
    table, unreadable = casting.cast(frame, found.dataset)
    assert not unreadable
    np.testing.assert_array_equal(table["x"].abs(), VALUES)
    negative = [cell.startswith(("-", "(")) or cell.endswith("-") for cell in frame["x"]]
    assert ((table["x"] < 0) == negative).all()


def test_a_decimal_comma_is_the_data_sets_and_another_mark_the_columns() -> None:
    thirds = np.round(VALUES / 100, 3)
    frame = customers(a=[swap(f"{value:.2f}") for value in VALUES], b=list(map("{:.3f}".format, thirds)))
    found = of(frame)
    columns = found.dataset.columns
    assert (found.dataset.decimal, columns["a"].decimal, columns["b"].decimal) == (",", None, ".")
    table = casting.cast(frame, found.dataset)[0]
    np.testing.assert_array_equal(table[["a", "b"]], np.column_stack([VALUES, thirds]))


THOUSANDS = rng(7).integers(1000, 9999, ROWS)


@pytest.mark.parametrize(
    ("cells", "first", "second"),
    [
        (
            list(map("{:,}".format, THOUSANDS)),
            ('type = "number"', 'decimal = ","'),
            ('type = "integer"', 'thousands = ","'),
        ),
        (
            [swap(f"{value:,}") for value in THOUSANDS],
            ('type = "number"',),
            ('type = "integer"', 'decimal = ","', 'thousands = "."'),
        ),
    ],
)
def test_a_mark_that_may_be_either_is_asked_about_and_each_answer_works(
    cells: list[str], first: tuple, second: tuple
) -> None:
    frame = customers(x=cells)
    found = of(frame)
    assert found.dataset.columns["x"].role == "ignore"
    for lines, values in ((first, THOUSANDS / 1000), (second, THOUSANDS)):
        assert ", ".join(lines) in decision(found, "x")
        table, unreadable = casting.cast(frame, edited(found.text, "x", *lines))
        assert not unreadable
        np.testing.assert_array_equal(table["x"], values)


@pytest.mark.parametrize(
    ("cells", "sure", "value"),
    [("{:,}", "{:.2f}", THOUSANDS), ("{:.3f}", "{:.2f}", THOUSANDS / 1000), ("{:.3f}", "{:.2f},", THOUSANDS)],
)
def test_the_other_columns_decide_what_a_mark_is_and_that_is_asked_about(
    cells: str, sure: str, value: np.ndarray
) -> None:
    written = [cells.format(v if "," in cells else v / 1000) for v in THOUSANDS]
    other = [swap(text[:-1]) if text.endswith(",") else text for text in map(sure.format, VALUES)]
    frame = customers(x=written, y=other)
    found = of(frame)
    assert "the decimal mark of other columns is" in decision(found, "x")
    np.testing.assert_array_equal(casting.cast(frame, found.dataset)[0]["x"], value)


@pytest.mark.parametrize(
    "cells",
    [
        [f"${value:.2f}" if i % 2 else f"€{value:.2f}" for i, value in enumerate(VALUES)],
        [f"{value:.2f}%" if i % 2 else f"{value / 100:.4f}" for i, value in enumerate(VALUES)],
        [f"{value:.2f} MB" if i % 2 else f"{value:.2f} GB" for i, value in enumerate(VALUES)],
        [f"{value:,.2f}" if i % 2 else swap(f"{value:,.2f}") for i, value in enumerate(VALUES)],
        [day.strftime("%d.%m.%Y" if i % 2 else "%Y-%m-%d") for i, day in enumerate(DAYS)],
    ],
)
def test_what_is_not_in_one_unit_or_format_is_left_out_and_asked_about(cells: list[str]) -> None:
    found = of(customers(x=cells))
    assert found.dataset.columns["x"].role == "ignore"
    assert "until then it is left out" in decision(found, "x")


@pytest.mark.parametrize("words", [["Error"], ["n.a.", "-", "unknown", "#DIV/0!", "None"]])
@pytest.mark.parametrize("write", ["{:.2f}".format, "${:,.2f}".format])
def test_words_among_numbers_stop_the_run_until_somebody_says_what_they_mean(
    words: list[str], write: Callable[[float], str]
) -> None:
    frame = customers(
        x=[words[i // 10 % len(words)] if i % 10 == 0 else write(value) for i, value in enumerate(VALUES)]
    )
    found = of(frame)
    said = decision(found, "x")
    assert found.dataset.columns["x"].type == "number"
    assert repr(words[0]) in said
    assert "(10.0% of the rows)" in said
    (proposed,) = re.findall(r"missing_values = \[.*?\]", said)
    assert sorted(core.tomllib.loads(proposed)["missing_values"]) == sorted(words)

    (check,) = validation.validate(frame, found.dataset, Quality(), "x.csv").report.errors
    assert (check.column, check.failed) == ("x", ROWS // 10)
    (advised,) = re.findall(r"missing_values = \[.*?\]", check.remedy)
    for line in (proposed, advised):
        decided = edited(found.text, "x", 'type = "number"', line)
        table = validation.validate(frame, decided, Quality(), "x.csv").table
        assert (table["x"].isna().to_numpy() == (np.arange(ROWS) % 10 == 0)).all()


def test_levels_of_which_some_are_digits_stay_levels() -> None:
    frame = customers(
        children=rng(7).choice(["0", "1", "2", "3+"], ROWS), flag=rng(7).choice(["0", "1", "unknown"], ROWS)
    )
    columns = of(frame).dataset.columns
    assert [columns[name].values for name in ("children", "flag")] == [("0", "1", "2", "3+"), ("0", "1", "unknown")]


def test_codes_stay_text() -> None:
    columns = of(customers(zip=[f"0{code}" for code in rng(7).integers(1200, 1260, ROWS)])).dataset.columns
    assert (columns["zip"].type, columns["zip"].role) == ("category", "feature")


@pytest.mark.parametrize(
    ("write", "form"),
    [
        (lambda i, day: day.strftime("%Y-%m-%d"), None),
        (lambda i, day: f"{day:%Y-%m-%d}{' T'[i % 2]}10:00:00+0{1 + i % 2}:00", None),
        (lambda i, day: day.strftime("%d.%m.%Y"), "%d.%m.%Y"),
        (lambda i, day: day.strftime("%d/%m/%Y %H:%M"), "%d/%m/%Y %H:%M"),
        (lambda i, day: day.strftime("%m/%d/%y"), "%m/%d/%y"),
        (lambda i, day: day.strftime("%b %d, %Y"), "%b %d, %Y"),
        (lambda i, day: day.strftime("%b %d %Y"), "%b %d %Y"),
        (lambda i, day: day.strftime("%d. %m. %Y"), "%d. %m. %Y"),
        (lambda i, day: day.strftime("%Y%m%d"), "%Y%m%d"),
    ],
)
def test_moments_are_read_and_may_be_the_time_of_a_row(
    write: Callable[[int, pd.Timestamp], str], form: str | None
) -> None:
    frame = customers(seen=[write(i, day) for i, day in enumerate(DAYS)])
    found = of(frame)
    column = found.dataset.columns["seen"]
    assert (column.role, column.type, column.format) == ("ignore", "timestamp", form)
    assert any('role = "time"' in note for note in found.decisions)
    assert form is None or any("seen: is" in note and "It is read so." in note for note in found.decisions)
    decided = core.parse(Dataset, found.text.replace('role = "ignore"', 'role = "time"'), "x.toml")
    table, unreadable = casting.cast(frame, decided)
    assert not unreadable
    assert (table["seen"].dt.normalize() == DAYS).all()


def test_a_day_that_may_be_a_month_is_asked_about_and_each_answer_works() -> None:
    days = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng(7).integers(0, 12, ROWS), unit="D")
    frame = customers(seen=days.strftime("%d/%m/%Y"))
    found = of(frame)
    assert found.dataset.columns["seen"].type == "text"
    for form, month in (("%d/%m/%Y", days.month), ("%m/%d/%Y", days.day)):
        assert f'format = "{form}"' in decision(found, "seen")
        decided = edited(found.text, "seen", 'role = "time"', 'type = "timestamp"', f'format = "{form}"')
        table, unreadable = casting.cast(frame, decided)
        assert not unreadable
        assert (table["seen"].dt.month == month).all()


@pytest.mark.parametrize("unknown", ["0", "99999999", "99991231"])
def test_dates_without_separators_of_which_some_are_not_known(unknown: str) -> None:
    found = of(customers(seen=[unknown if i % 10 == 0 else day.strftime("%Y%m%d") for i, day in enumerate(DAYS)]))
    column = found.dataset.columns["seen"]
    assert (column.type, column.format, column.missing) == ("timestamp", "%Y%m%d", True)
    assert f"not timestamps: '{unknown}'" in found.text


def test_months_without_separators_are_dates() -> None:
    found = of(customers(seen=DAYS.strftime("%Y%m")))
    assert "is '2024" in decision(found, "seen")
    assert found.dataset.columns["seen"].format == "%Y%m"


def test_a_date_that_cannot_be_meant_is_asked_about() -> None:
    """As the time of a row it would be the newest, and so the holdout."""
    found = of(customers(seen=["9999-12-31" if i % 10 == 0 else f"{day:%Y-%m-%d}" for i, day in enumerate(DAYS)]))
    assert 'missing_values = ["9999-12-31"] and missing = true' in decision(found, "seen")


def test_a_code_that_looks_like_a_power_of_ten_is_asked_about() -> None:
    found = of(customers(x=[f"{i % 40 + 10}E{i % 7}" for i in range(ROWS)]))
    assert re.search(r"is '\d+E\d' \d+, or a code\?", decision(found, "x"))


@pytest.mark.parametrize(("unit", "text"), [(1, "seconds"), (1000, "milliseconds")])
def test_moments_since_1970_are_left_out_and_asked_about(unit: int, text: str) -> None:
    seconds = DAYS.astype("datetime64[s]").astype("int64")
    found = of(customers(seen=seconds * unit, phone=rng(7).integers(2_100_000_000, 2_100_000_200, ROWS)))
    column = found.dataset.columns["seen"]
    assert (column.role, column.type) == ("ignore", "integer")
    (number, moment) = re.findall(rf"are these {text} since 1970 \((\d+) is (.*?)\)", decision(found, "seen"))[0]
    assert moment == f"{pd.Timestamp(int(number) // unit, unit='s'):%Y-%m-%d %H:%M}"
    assert not decision(found, "phone")
    assert edited(found.text, "seen", 'type = "integer"').columns["seen"].role == "feature"


@pytest.mark.parametrize(
    ("sentinel", "others"),
    [
        ("-999", rng(8).integers(900, 90_000, ROWS)),
        ("-1", rng(8).integers(0, 28, ROWS)),
        ("999", rng(8).integers(0, 28, ROWS)),
        ("999999", np.round(rng(8).uniform(0, 1, ROWS), 3)),
    ],
)
def test_a_number_that_may_mean_nothing_known_is_asked_about_and_the_answer_works(
    sentinel: str, others: np.ndarray
) -> None:
    frame = customers(x=[sentinel if i % 10 == 0 else str(value) for i, value in enumerate(others)])
    found = of(frame)
    asked = decision(found, "x")
    assert f"does {sentinel} (10.0% of the rows) mean that nothing is known?" in asked
    (proposed,) = re.findall(r"missing_values = \[.*?\]", asked)
    decided = edited(found.text, "x", f'type = "{found.dataset.columns["x"].type}"', proposed, "missing = true")
    table = validation.validate(frame, decided, Quality(), "x.csv").table
    assert (table["x"].isna().to_numpy() == (np.arange(ROWS) % 10 == 0)).all()


@pytest.mark.parametrize(
    "values",
    [
        rng(9).integers(0, 150, ROWS),  # 99 is one of many
        np.where(rng(9).random(ROWS) < 0.1, -1, rng(9).integers(-20, 20, ROWS)),
        np.where(np.arange(ROWS) == 7, 999, rng(9).integers(0, 28, ROWS)),  # once: an outlier
        rng(9).integers(1990, 2024, ROWS),
        rng(9).integers(10_000_000, 99_999_999, ROWS),
    ],
)
def test_ordinary_numbers_are_not_asked_about(values: np.ndarray) -> None:
    found = of(customers(x=values))
    assert found.dataset.columns["x"].role == "feature"
    assert not decision(found, "x")
