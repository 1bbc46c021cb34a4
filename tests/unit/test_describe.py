"""`make dataset`: what it infers from data sets it has not seen, and what it leaves to a person."""

import numpy as np
import other_data
import pandas as pd
import pytest
from churn import config, conform, describe, quality
from churn.dataset import read
from churn.errors import ChurnError


def of(frame: pd.DataFrame, target: str = "") -> describe.Description:
    return describe.describe(frame, "bank", "bank.csv", target)


@pytest.mark.parametrize("make", [other_data.narrow, other_data.wide])
def test_the_described_data_passes_its_own_description(make) -> None:
    frame = make(4500, seed=2)
    dataset = of(frame).dataset
    found = quality.validate(frame, dataset, config.Quality(), "bank.csv")
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
    typed = conform.conform(frame, dataset)[0]
    assert ((typed[name] == positive) == left).all()


def test_what_cannot_be_told_is_asked() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=100), "colour": rng.choice(["red", "blue"], 100)})
    with pytest.raises(ChurnError, match=r"bank\.csv: .*TARGET=.*have two values: colour"):
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


def test_what_an_export_dresses_up_is_read_or_asked_about() -> None:
    rng = np.random.default_rng(0)
    rows, left = 400, np.arange(400) % 4 == 0
    frame = pd.DataFrame(
        {
            "Umsatz": [f"{value:.2f}".replace(".", ",") for value in rng.gamma(2, 30, rows)],
            "Beginn": [f"{1 + i % 28:02d}.{1 + i % 12:02d}.2024" for i in range(rows)],
            "revenue": [f"${value:,.2f}" for value in rng.gamma(2, 3000, rows)],
            "zip": rng.choice([f"0{n}" for n in range(1200, 1260)], rows),
            "plan": rng.choice(["a", "b"], rows),
            "status": np.where(left, "churned", "active"),
        }
    )
    found = of(frame)
    columns = found.dataset.columns
    assert (found.dataset.target, found.dataset.decimal) == ("status", ",")
    assert [columns[name].type for name in ("Umsatz", "zip")] == ["number", "category"]
    assert {name for name in columns if columns[name].role == "ignore"} == {"Beginn", "revenue"}
    assert any("dates like" in note for note in found.decisions)
    assert any("numbers like '$" in note for note in found.decisions)
    table, unreadable = conform.conform(frame, found.dataset)
    assert not unreadable
    assert table["Umsatz"].tolist() == [float(text.replace(",", ".")) for text in frame["Umsatz"]]


def test_a_cell_with_the_other_decimal_mark_is_reported() -> None:
    frame = pd.DataFrame({"x": ["1,5", "1.234,5", "2"], "y": ["a", "b", "a"]})
    columns = {"x": {"type": "number"}, "y": {"role": "target", "values": ["a", "b"], "positive": "a"}}
    found = read({"name": "bank", "decimal": ",", "columns": columns})
    assert conform.conform(frame, found)[1]["x"].tolist() == [False, True, False]
