"""What a spreadsheet would compute is quoted where people open a list, and numbers stay numbers."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from churn.campaigns import execution
from churn.files import formulas

HOSTILE = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://a","b")', "=cmd|'/c calc'!A1"]
LATER = "Ann\r=1+1"  # a carriage return ends the row where it is not quoted


@pytest.mark.parametrize("kind", ["object", "str", "category"])
def test_text_that_begins_like_a_formula_is_quoted(kind: str) -> None:
    table = pd.DataFrame({"name": pd.Series([*HOSTILE, "Ann", "", None, "-5"], dtype=kind)})
    found = formulas.quote_formulas(table).name.tolist()
    assert found[: len(HOSTILE)] == ["'" + text for text in HOSTILE]
    assert found[len(HOSTILE) : -2] == ["Ann", ""]
    assert pd.isna(found[-2])
    assert found[-1] == "'-5", "a text column: what looks like a number in it is quoted as well"
    assert table.name.tolist()[0] == "=1+1", "the table itself is as it was"


def test_a_campaigns_lists_have_no_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path))
    about = {"offer": "@call", "cost": -1.0, "probability": 0.5, "prediction_id": "0" * 32}
    members = pd.DataFrame({"id": [*HOSTILE, "4711"], **about})
    plan = SimpleNamespace(campaign="spring", scored=None)
    place = execution._list(plan, members, "contacts/telco-spring.csv", "=customer")
    found = pd.read_csv(place, dtype="str", keep_default_na=False)
    assert found["'=customer"].tolist() == [*("'" + text for text in HOSTILE), "4711"]
    assert set(found.offer) == {"'@call"}
    assert set(found.cost) == {"-1"}


def test_headers_are_quoted_also_where_two_are_alike() -> None:
    table = pd.DataFrame([["a", "b", 1.0]], columns=["=x", "=x", "-y"])
    assert list(formulas.quote_formulas(table)) == ["'=x", "'=x", "'-y"]


@pytest.mark.parametrize(
    "values", [[-1.5, np.nan], [-1, 2], [True, False], ["-1", "+2.5", "", "-1,000.5", "-1e-5", "-.5"]]
)
def test_numbers_stay_numbers(values: list[object]) -> None:
    table = pd.DataFrame({"x": values})
    pd.testing.assert_frame_equal(formulas.quote_formulas(table), table)


def test_a_list_read_back_has_no_cell_that_begins_like_a_formula() -> None:
    text = formulas.csv(pd.DataFrame({"=a": HOSTILE, "b": range(len(HOSTILE))})).decode()
    read = pd.read_csv(io.StringIO(text, newline=""), dtype=str)
    assert not [cell for cell in [*read, *read.iloc[:, 0]] if cell[0] in "=+-@\t\r"]
    assert [formulas.unquoted(cell) for cell in read.iloc[:, 0]] == HOSTILE


def test_a_carriage_return_within_a_cell_begins_no_row() -> None:
    read = pd.read_csv(io.StringIO(formulas.csv(pd.DataFrame({"a": [LATER, "b"]})).decode(), newline=""), dtype=str)
    assert read.a.tolist() == [LATER, "b"]


def test_what_is_quoted_is_found_as_it_was() -> None:
    for text in [*HOSTILE, "Ann", "'tis", "'", ""]:
        quoted = formulas.quote_formulas(pd.DataFrame({"x": [text, "b"]})).x[0]
        assert formulas.unquoted(quoted) == text


def test_a_list_reads_as_pandas_would_have_written_it() -> None:
    table = pd.DataFrame(
        {
            "id": ["007", None, 'a "b", c'],
            "mixed": pd.Series(["x", 1, None], dtype="object"),
            "yes": [True, False, True],
            "chance": [0.1, np.nan, 1e-7],
            "share": np.array([0.1, 1, 2], dtype=np.float32),
            "day": pd.to_datetime(["2026-01-02", None, "2026-03-04"]),
            "level": pd.Categorical(["u", None, "v"]),
        }
    )
    ours = pd.read_csv(io.BytesIO(formulas.csv(table)), dtype={"id": "str"})
    pd.testing.assert_frame_equal(ours, pd.read_csv(io.StringIO(table.to_csv(index=False)), dtype={"id": "str"}))
    assert b"True" in formulas.csv(table)
    assert b'2026-01-02"' in formulas.csv(table)
    assert formulas.csv(table.iloc[:0]).decode().count("\n") == 1
