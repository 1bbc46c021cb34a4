"""Reasons add up to the probability, agree with exact Shapley values, and cost one column nothing it does not do."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from churn.data import features, synthetic
from churn.settings.dataset import Dataset, from_dump
from churn.training import shapley

SMALL = {
    "name": "small",
    "columns": {
        "a": {"type": "number", "min": 0, "max": 1},
        "b": {"type": "number", "min": 0, "max": 1, "missing": True},
        "c": {"values": ["x", "y"]},
        "idle": {"type": "number", "min": 0, "max": 1},
        "left": {"role": "target", "values": ["no", "yes"], "positive": "yes"},
    },
}


def _probability(raw: features.Columns) -> np.ndarray:
    b = np.nan_to_num(raw["b"], nan=0.7)
    return 1 / (1 + np.exp(-(2 * raw["a"] - 3 * b + 1.5 * (raw["c"] == "x") * raw["a"])))


@pytest.fixture(scope="module")
def small() -> Dataset:
    return from_dump(SMALL)


@pytest.fixture(scope="module")
def rows(small: Dataset) -> list[dict[str, Any]]:
    return shapley.background(small, synthetic.generate(small, 200, seed=1), seed=0)


def _exact(small: Dataset, rows: list[dict[str, Any]], customer: dict[str, Any]) -> np.ndarray:
    names = list(small.raw)

    def worth(own: tuple[str, ...]) -> float:
        mixed = [{**row, **{name: customer[name] for name in own}} for row in rows]
        return float(_probability(features.from_rows(small, mixed)).mean())

    found = np.zeros(len(names))
    for i, name in enumerate(names):
        others = [n for n in names if n != name]
        for size in range(len(names)):
            weight = math.factorial(size) * math.factorial(len(names) - size - 1) / math.factorial(len(names))
            found[i] += weight * sum(worth((*s, name)) - worth(s) for s in itertools.combinations(others, size))
    return found


def test_reasons_are_shapley_values_and_add_up(small: Dataset, rows: list[dict[str, Any]]) -> None:
    explainer = shapley.Explainer(small, _probability, rows)
    customers = [{"a": 0.9, "b": None, "c": "x", "idle": 0.1}, {"a": 0.0, "b": 1.0, "c": "y", "idle": 0.9}]
    raw = features.from_rows(small, customers)
    found = explainer.contributions(raw)
    np.testing.assert_allclose(explainer.base + found.sum(axis=1), _probability(raw), atol=1e-12)
    for customer, row in zip(customers, found, strict=True):
        np.testing.assert_allclose(row, _exact(small, rows, customer), atol=0.015)
    assert (found[:, explainer.names.index("idle")] == 0).all()


def test_the_strongest_reason_comes_first_and_the_answer_repeats(small: Dataset, rows: list[dict[str, Any]]) -> None:
    raw = features.from_rows(small, [{"a": 0.5, "b": 1.0, "c": "y", "idle": 0.9}])
    first, again = (shapley.Explainer(small, _probability, rows).reasons(raw, top=2) for _ in range(2))
    assert first == again
    assert first[0][0][:2] == ("b", 1.0)
    assert abs(first[0][0][2]) >= abs(first[0][1][2])
