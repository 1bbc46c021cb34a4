"""Cells in the data set's types: one level in every spelling, numbers and moments in the format that the description says."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from churn.data import casting, formats
from churn.data.formats import NumberFormat
from churn.settings.dataset import Dataset, from_dump
from churn.settings.description.spelling import fold

TARGET = {"role": "target", "values": ["No", "Yes"], "positive": "Yes"}


def described(x: dict[str, Any], target: dict[str, Any] = TARGET, **keys: Any) -> Dataset:
    return from_dump({"name": "small", "columns": {"x": x, "y": target}, **keys})


def typed(cells: list[Any], x: dict[str, Any], **keys: Any) -> tuple[list[Any], list[Any]]:
    """The typed column (None: missing), and its cells that were reported."""
    frame = pd.DataFrame({"x": pd.Series(cells, dtype="str")})
    table, unreadable = casting.cast(frame, described(x, **keys))
    values = table["x"].astype("object").where(table["x"].notna(), None).tolist()
    return values, frame["x"][unreadable.get("x", np.zeros(len(frame), dtype=bool))].tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [("Yes", "YES"), ("Yes", " yes\t"), ("One year", "one  year"), ("One year", "One\u00a0year"), ("Yes", "\u200bYes"),
     ("Straße", "STRASSE"), ("café", "cafe\u0301")],
)  # fmt: skip
def test_case_and_blanks_make_no_difference(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("New York", "NewYork"), ("e-mail", "email"), ("1 0", "10"), ("Yes", "Yes.")]
)
def test_anything_else_does(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize(
    ("column", "keys", "cells", "levels"),
    [
        ({"values": ["DSL", "None"]}, {}, ["dsl", "DSL ", "NONE", "Fibre"], ["DSL", "DSL", "None", "Fibre"]),
        ({"values": ["DSL"], "aliases": {"adsl": "DSL"}}, {}, ["ADSL", "dsl"], ["DSL", "DSL"]),
        ({"values": ["ab", "AB"]}, {}, ["AB", "ab", "aB"], ["AB", "ab", "aB"]),  # these differ in nothing else
        ({}, {}, ["Vienna", "VIENNA"], ["Vienna", "VIENNA"]),  # as before there was the key
        ({}, {"fold_case": True}, ["Vienna", "VIENNA", "New  York"], ["vienna", "vienna", "new york"]),
        ({"aliases": {"NYC": "New York"}}, {"fold_case": True}, ["nyc", "new york", "Rome"], ["New York", "New York", "rome"]),
        ({"missing_values": ["-"]}, {"fold_case": True}, ["-", "A", "\u200b"], [None, "a", None]),
    ],
)  # fmt: skip
def test_a_level_is_one_in_every_spelling(column: dict, keys: dict, cells: list[str], levels: list[str]) -> None:
    assert typed(cells, column, **keys) == (levels, [])
    as_categories = pd.DataFrame({"x": pd.Series(cells, dtype="str").astype("category")})
    found = casting.cast(as_categories, described(column, **keys))[0]["x"]
    assert found.astype("object").where(found.notna(), None).tolist() == levels
    assert found.cat.categories.tolist() == sorted({level for level in levels if level})  # only those that occur


def test_ids_keep_their_case() -> None:
    columns = {"id": {"role": "id"}, "y": TARGET, "z": {"type": "number"}}
    dataset = from_dump({"name": "small", "fold_case": True, "columns": columns})
    found = casting.cast(pd.DataFrame({"id": ["a1", "A1"]}), dataset)[0]
    assert found["id"].tolist() == ["a1", "A1"]


@pytest.mark.parametrize(
    ("target", "cells", "outcomes"),
    [
        ({"values": ["False", "True"], "positive": "True"}, ["TRUE", "true ", "FALSE"], ["True", "True", "False"]),
        (
            {"values": ["Stayed", "Churned", "Lost", "New"], "positive": ["Churned", "Lost"]},
            ["lost", "CHURNED", "new", "Stayed", "else"],
            ["Churned", "Churned", "Stayed", "Stayed", "else"],
        ),
    ],
)
def test_every_outcome_is_left_or_stayed(target: dict, cells: list[str], outcomes: list[str]) -> None:
    dataset = described({"type": "number"}, {"role": "target", **target})
    found = casting.cast(pd.DataFrame({"y": cells}), dataset)[0]["y"]
    assert found.tolist() == outcomes
    assert {dataset.positive, dataset.negative} <= set(outcomes)


@pytest.mark.parametrize(
    ("keys", "cells", "values", "reported"),
    [
        ({}, ["1.5", "1,234", "Error", "\u22125"], [1.5, None, None, -5], ["1,234", "Error"]),
        ({}, ["(5)", "5-", "$5", "5%", "1 000"], [None] * 5, ["(5)", "5-", "$5", "5%", "1 000"]),
        ({"thousands": ","}, ["1,234.5", "1234", "12,34", "1.5"], [1234.5, 1234, None, 1.5], ["12,34"]),
        ({"decimal": ","}, ["1,5", "48.9", "1.234", "0.125", "1.234,5"], [1.5, 48.9, None, 0.125, None], ["1.234", "1.234,5"]),
        ({"decimal": ",", "thousands": "."}, ["1.234", "1.234,5", "48.9"], [1234, 1234.5, None], ["48.9"]),
        ({"thousands": " "}, ["1 234", "1\u00a0234", "1\u202f234.5", "12 34"], [1234, 1234, 1234.5, None], ["12 34"]),
        ({"thousands": "'"}, ["1'234.5", "1\u2019234"], [1234.5, 1234], []),
        ({"unit": "$", "thousands": ","}, ["$1,234.50", "-$5", "$ 7", "5", "€5"], [1234.5, -5, 7, None, None], ["5", "€5"]),
        ({"unit": ["€", "EUR", ""], "decimal": ","}, ["€ 1,5", "2,5 eur", "3"], [1.5, 2.5, 3], []),
        ({"unit": "%"}, ["12.5%", "3 %", "0.125"], [12.5, 3, None], ["0.125"]),
        ({"negative": "parentheses"}, ["(1.5)", "-2", "3", "4-"], [-1.5, -2, 3, None], ["4-"]),
        ({"negative": "parentheses", "unit": "$"}, ["($5)", "$(5)", "(5) $"], [-5, -5, -5], []),
        ({"negative": "trailing"}, ["4-", "-4", "(4)"], [-4, -4, None], ["(4)"]),
        ({"missing_values": ["Error"]}, ["Error", "1", ""], [None, 1, None], []),
    ],
)  # fmt: skip
def test_numbers_are_read_as_the_description_says(
    keys: dict, cells: list[str], values: list[float | None], reported: list[str]
) -> None:
    assert typed(cells, {"type": "number", **keys}) == (values, reported)
    if keys.keys() <= {"decimal", "thousands"}:  # the data set's keys mean the same
        assert typed(cells, {"type": "number"}, **keys) == (values, reported)


def test_a_column_may_write_its_numbers_otherwise_than_the_data_set() -> None:
    assert typed(["1.234", "2"], {"type": "number", "decimal": "."}, decimal=",") == ([1.234, 2], [])


def test_numbers_that_have_a_type_are_taken_as_they_are() -> None:
    dataset = described({"type": "number", "unit": "$", "thousands": ",", "decimal": "."}, decimal=",")
    found, unreadable = casting.cast(pd.DataFrame({"x": [1.234, 5.0]}), dataset)
    assert (found["x"].tolist(), unreadable) == ([1.234, 5.0], {})


@pytest.mark.parametrize(
    "text", ["", "-", "$", "1.2.3", "12-34", "--5", "1 2 3", "A1", "5 5", "(5", "1e", "$5€", "-(5)"]
)
def test_what_is_no_number_is_none(text: str) -> None:
    forms = [NumberFormat(), NumberFormat(",", "."), NumberFormat(".", " ", ("$", ""), "parentheses")]
    assert [form.read(text) for form in forms] == [None] * 3


@pytest.mark.parametrize(
    ("form", "cells", "moments"),
    [
        (None, ["2024-04-04T10:00:00+02:00", "2024-01-01 10:00:00+01:00", "2024-01-01", "04.05.2024"],
         ["2024-04-04 08:00", "2024-01-01 09:00", "2024-01-01", None]),
        ("%d.%m.%Y", ["04.05.2024", "4.5.2024", "2024-05-04", "31.02.2024"], ["2024-05-04", "2024-05-04", None, None]),
        ("%m/%d/%y %H:%M", ["05/04/24 13:05"], ["2024-05-04 13:05"]),
    ],
)  # fmt: skip
def test_moments_are_read_as_the_description_says(
    form: str | None, cells: list[str], moments: list[str | None]
) -> None:
    found = formats.parse_timestamps(pd.Series(cells, dtype="str"), form)
    assert found.equals(pd.Series(pd.to_datetime(moments, format="ISO8601")).astype("datetime64[us]"))
