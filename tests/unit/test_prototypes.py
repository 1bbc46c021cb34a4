"""What travels with a model is nobody, and the reasons lose nothing by it."""

import numpy as np
import pandas as pd
import pytest
from churn.data import features, prototypes, synthetic
from churn.settings.dataset import Dataset, from_dump
from churn.training import shapley

from tests.bench import reasons


def _rows(dataset: Dataset, table: pd.DataFrame) -> set[tuple]:
    raw = features.from_frame(dataset, table)
    return set(zip(*(np.where(v != v, None, v) if v.dtype != object else np.where(v == "", None, v)
                     for v in raw.values()), strict=True))  # fmt: skip


@pytest.mark.parametrize("rows", [5, 40, 3000])
def test_no_prototype_is_a_training_customer(telco: Dataset, rows: int) -> None:
    table = synthetic.generate(telco, rows, seed=3)
    found = shapley.background(telco, table, seed=0)
    assert found == shapley.background(telco, table, seed=0)
    assert 1 <= len(found) <= shapley.BACKGROUND_ROWS
    assert not _rows(telco, table) & {tuple(row[name] for name in telco.raw) for row in found}
    assert telco.id not in found[0]


def test_categories_alone_stay_only_where_many_share_them() -> None:
    described = from_dump({"name": "few", "columns": {
        "a": {"values": ["x", "y"]}, "b": {"values": list("pqrst")},
        "left": {"role": "target", "values": ["0", "1"], "positive": "1"},
    }})  # fmt: skip
    rng = np.random.default_rng(0)
    common = pd.DataFrame({"a": ["x"] * 300, "b": ["p"] * 300, "left": rng.choice(["0", "1"], 300)})
    rare = pd.DataFrame({"a": ["y"], "b": ["t"], "left": ["1"]})
    found = prototypes.made(described, pd.concat([common, rare], ignore_index=True), 40, seed=1)
    assert {tuple(row.values()) for row in found} == {("x", "p")}
    assert prototypes.made(described, rare, 40, seed=1) == [{"a": None, "b": None}]


def _probability(raw: features.Columns) -> np.ndarray:
    contract = 1.2 * (raw["Contract"] == "Month-to-month") + 0.8 * (raw["InternetService"] == "Fiber optic")
    return 1 / (1 + np.exp(2.5 - contract - raw["MonthlyCharges"] / 60 * (raw["tenure"] < 24) + raw["tenure"] / 30))


def test_reasons_are_as_near_the_truth_as_with_real_customers(telco: Dataset) -> None:
    table = synthetic.generate(telco, 3000, seed=1)
    real, ours = reasons.errors(telco, table, _probability, rows=500, asked=10, seeds=8)
    assert ours.mean_error <= 1.1 * real.mean_error
    assert ours.same_top >= real.same_top - 0.05
