"""`make dataset`: what it infers from data sets it has not seen, and what it leaves to a person."""

import re

import numpy as np
import other_data
import pandas as pd
import pytest
from churn.data import casting
from churn.errors import ChurnError
from churn.settings import core
from churn.settings.data import Quality
from churn.settings.dataset import Dataset, from_dump
from churn.validation import validation
from described import DAYS, LEFT, ROWS, customers, decision, of, rng


@pytest.mark.parametrize("make", [other_data.narrow, pytest.param(other_data.wide, marks=pytest.mark.long)])
def test_the_described_data_passes_its_own_description(make) -> None:
    frame = make(4500, seed=2)
    dataset = of(frame).dataset
    found = validation.validate(frame, dataset, Quality(), "bank.csv")
    assert not found.report.errors, found.report.errors
    assert set(found.table.columns) == set(dataset.columns) == set(frame.columns)


def test_the_narrow_set_is_understood() -> None:
    dataset = of(other_data.narrow(3000, seed=2)).dataset
    assert (dataset.target, dataset.positive, dataset.negative, dataset.id) == ("has left?", "TRUE", "FALSE", None)
    assert dataset.missing_values == ("NA",)
    columns = dataset.columns
    assert (columns["Balance (EUR)"].type, columns["Balance (EUR)"].missing) == ("number", True)
    assert (columns["joined on"].type, columns["joined on"].role) == ("timestamp", "ignore")
    assert columns["currency"].role == "ignore"  # constant
    assert columns["exit interview"].role == "ignore"  # filled in afterwards
    assert columns["country"].values == ("España", "Schweiz (DE)", "Österreich", "Česko")


@pytest.mark.long
def test_the_wide_set_is_understood() -> None:
    dataset = of(other_data.wide(4500, seed=2)).dataset
    assert (dataset.target, dataset.positive, dataset.id, dataset.time) == (
        "exited",
        "1",
        "account_id",
        "snapshot_date",
    )
    assert (len(dataset.columns), len(dataset.categorical), dataset.columns["branch"].values) == (150, 40, ())


@pytest.mark.parametrize(
    ("name", "values", "positive"),
    [
        ("Attrition_Flag", ("Existing Customer", "Attrited Customer"), "Attrited Customer"),
        ("Churn", ("False.", "True."), "True."),
        ("churned", (0, 1), "1"),
        ("Exited", (0.0, 1.0), "1"),
        ("status_target", ("active", "inactive"), "inactive"),
        ("CHURN", ("no", "yes"), "yes"),
        ("Customer Churn", ("Not churned", "Churned"), "Churned"),
        ("is_churn", (False, True), "True"),
        ("gekündigt", ("nein", "ja"), "ja"),
    ],
)
def test_the_outcome_is_recognised(name: str, values: tuple, positive: str) -> None:
    rng = np.random.default_rng(0)
    left = rng.random(500) < 0.3
    frame = pd.DataFrame(
        {"x": rng.normal(size=500), "sex": rng.choice(["f", "m"], 500), name: np.where(left, *values[::-1])}
    )
    dataset = of(frame).dataset
    assert (dataset.target, dataset.positive) == (name, positive)
    typed = casting.cast(frame, dataset)[0]
    assert ((typed[name] == positive) == left).all()


def test_what_cannot_be_told_is_asked() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=100), "colour": rng.choice(["red", "blue"], 100)})
    with pytest.raises(ChurnError, match=r"bank\.csv: .*--target=.*have two values: colour"):
        of(frame)
    assert of(frame, target="colour").dataset.target == "colour"
    with pytest.raises(ChurnError, match="column 'x' cannot be the target, which has two values: it holds 100"):
        of(frame, target="x")


def test_ids_are_told_from_numbers_and_repeated_codes() -> None:
    rng = np.random.default_rng(0)
    rows = 400
    frame = pd.DataFrame(
        {
            "RowNumber": np.arange(1, rows + 1),
            "CustomerId": rng.permutation(10**6)[:rows],
            "Surname": [f"Name {i}" for i in range(rows)],
            "branch_id": rng.integers(1, 9, rows),
            "balance": rng.permutation(10**6)[:rows] / 100,
            "Exited": rng.integers(0, 2, rows),
        }
    )
    columns = of(frame).dataset.columns
    assert {name: column.role for name, column in columns.items()} == {
        "RowNumber": "ignore", "CustomerId": "id", "Surname": "ignore", "branch_id": "feature", "balance": "feature",
        "Exited": "target",
    }  # fmt: skip


def _panel(**columns: object) -> pd.DataFrame:
    """Customers who are in the file once a month."""
    months = np.repeat(["2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01"], ROWS // 4)
    return customers(customerID=[f"C{i % (ROWS // 4):04}" for i in range(ROWS)], snapshot_date=months, **columns)


def test_an_id_that_comes_back_at_each_moment_is_one() -> None:
    found = of(_panel(branch_id=rng(5).integers(0, 9, ROWS)))
    assert (found.dataset.id, found.dataset.time) == ("customerID", "snapshot_date")
    assert "It comes back, once at each snapshot_date" in decision(found, "customerID")
    assert not validation.validate(_panel(branch_id="1"), found.dataset, Quality(), "x.csv").report.errors
    twice = _panel()
    twice.loc[1, "customerID"] = "C0000"  # twice at one moment: no id
    assert of(twice).dataset.id is None
    assert 'set role = "id", and role = "time" for the column with these times' in decision(of(twice), "customerID")


def test_columns_that_are_left_out_without_a_question_are_said() -> None:
    found = of(customers(currency="EUR", note=[f"text {i}" for i in range(ROWS)], gap=["", *["x"] * (ROWS - 1)]))
    assert found.aside == (
        "currency (always the same value)",
        "note (400 different values in 400 rows: no model can learn from them)",
        "gap (always the same value)",
    )
    with pytest.raises(
        ChurnError, match=r"no column is left .*; give the file more columns, or change these:\n  currency: "
    ):
        of(customers(currency="EUR")[["currency", "Churn"]])
    with pytest.raises(
        ChurnError, match=r"no column is left that a model could learn from; give the file more columns$"
    ):
        of(customers()[["Churn"]])


SPELLED = {"Yes": ["Yes", "yes", "YES ", "\u00a0Yes"], "No": ["No", "NO", "no"], "True": ["TRUE", "True", "true"],
           "False": ["FALSE", "False", "False"], "Two  year": ["Two  year", "two year", "TWO\u00a0YEAR"]}  # fmt: skip


@pytest.mark.parametrize(("left", "stayed"), [("Yes", "No"), ("True", "False")])
def test_a_column_in_several_spellings_is_described_and_read_as_a_clean_one(left: str, stayed: str) -> None:
    def spelled(words: list[str]) -> list[str]:
        return [SPELLED.get(word, [word])[i % len(SPELLED.get(word, [word]))] for i, word in enumerate(words)]

    plan = rng(7).choice(["Two  year", "One year", "Monthly"], ROWS)
    outcome = np.where(LEFT, left, stayed)
    frame = customers(plan=spelled(list(plan)), Churn=spelled(list(outcome)))
    found = of(frame)
    dataset = found.dataset
    assert [level.casefold() for level in dataset.columns["plan"].values] == ["monthly", "one year", "two year"]
    assert dataset.columns["Churn"].aliases  # said once, in the description
    assert (dataset.positive.casefold(), dataset.negative.casefold()) == (left.casefold(), stayed.casefold())
    table = validation.validate(frame, dataset, Quality(), "x.csv").table
    assert ((table["Churn"] == dataset.positive) == LEFT).all()
    assert len(table["plan"].cat.categories) == 3


def test_levels_that_are_not_listed_are_one_in_any_spelling_too() -> None:
    towns = [f"Town {'ABCDEFGHIJ'[i % 10]}{'KLMNO'[i // 10 % 5]}" for i in range(ROWS)]
    found = of(customers(town=[town.upper() if i % 3 else town for i, town in enumerate(towns)]))
    assert found.dataset.fold_case
    later = customers(town=[town.swapcase() for town in towns])  # spellings that the description has not seen
    assert casting.cast(later, found.dataset)[0]["town"].tolist() == [town.lower() for town in towns]


def test_a_header_line_among_the_rows_is_no_customer() -> None:
    frame = customers()
    header = pd.DataFrame([[" AGE", "calls ", "churn"], list(frame.columns)], columns=frame.columns)
    frame = pd.concat([frame[:50], header[:1], frame[50:], header[1:]], ignore_index=True)
    found = of(frame)
    assert found.left_out == ("repeated header lines (2)",)
    assert found.dataset.columns["age"].type == "integer"
    assert found.dataset.columns["Churn"].values == ("No", "Yes")
    report = validation.validate(frame, found.dataset, Quality(), "x.csv").report
    assert (report.rows, report.left_out) == (ROWS, ("repeated header lines (2)",))
    assert report.warnings[0].examples == ("row 51", "row 402")


def test_what_is_known_only_afterwards_is_left_out_until_decided() -> None:
    noise = {f"n{i}": rng(i).normal(size=ROWS) for i in range(3, 7)}
    score = np.where(LEFT, 2.2, 0) + rng(7).normal(size=ROWS)  # ROC-AUC about 0.94 alone
    category = rng(7).choice(["price", "PRICE", "service"], ROWS)
    days = rng(8).integers(0, 300, ROWS)
    told = {"risk": score, "Churn Category": category, "exit_date": DAYS, "days_left_in_contract": days}
    found = of(customers(**noise, **told))
    columns = found.dataset.columns
    assert {name for name in columns if columns[name].role == "ignore"} == {"risk", "Churn Category", "exit_date"}
    assert "far better than any other column" in decision(found, "risk")
    assert "by its name" in decision(found, "Churn Category")
    for name in ("risk", "Churn Category"):
        text = re.sub(rf'(\[columns\."?{name}"?\](?:\n#.*)*\n)role = "ignore"\n', r"\1", found.text)
        assert core.parse(Dataset, text, "x.toml").columns[name].role == "feature"  # the way out that the note names


def test_a_cell_with_the_other_decimal_mark_is_reported() -> None:
    frame = pd.DataFrame({"x": ["1,5", "1.234,5", "2"], "y": ["a", "b", "a"]})
    columns = {"x": {"type": "number"}, "y": {"role": "target", "values": ["a", "b"], "positive": "a"}}
    found = from_dump({"name": "bank", "decimal": ",", "columns": columns})
    assert casting.cast(frame, found)[1]["x"].tolist() == [False, True, False]
