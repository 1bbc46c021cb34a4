"""The expression language: right on arrays with missing values, and nothing outside it can be reached."""

import numpy as np
import pytest
from churn.errors import ChurnError
from churn.settings import expressions

COLUMNS = {
    "a": np.array([1.0, 2.0, np.nan, 50.0]),
    "b": np.array([0.0, 4.0, 1.0, 5.0]),
    "kind": np.array(["x", "", "y", "x"], dtype=object),
    "Total Charges": np.array([1.0, 2.0, 3.0, 4.0]),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a / b", [np.nan, 0.5, np.nan, 10]),
        ("max(a, 2) - min(b, 1)", [2, 1, np.nan, 49]),
        ("where(kind == 'x' and a < 10, 1, 0)", [1, 0, 0, 0]),
        ("count(kind == 'x', a > 1, not b > 4)", [2, 2, 1, 2]),
        ("1 < a <= 50", [0, 1, 0, 1]),
        ("coalesce(a, 7)", [1, 2, 7, 50]),
        ("missing(kind) or missing(a)", [0, 1, 1, 0]),
        ("isin(kind, 'x', 'y') * 2", [2, 0, 2, 2]),
        ("col('Total Charges') * 2", [2, 4, 6, 8]),
        ("3", [3, 3, 3, 3]),
    ],
)
def test_values(text: str, expected: list[float]) -> None:
    expressions.check(text, set(COLUMNS))
    np.testing.assert_allclose(expressions.evaluate(text, COLUMNS), expected)


def test_bins_label_their_intervals_and_keep_missing_missing() -> None:
    assert expressions.evaluate("bins(a, 2, 12)", COLUMNS).tolist() == ["<2", "2-12", "", "12+"]


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "a.dtype", "[x for x in a]", "a if b else a", "(lambda: 1)()", "max(a, key=b)", "f'{a}'", "a[0]",
     "col('c')", "c", "a +", "b''", "a ** 9"],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused(text: str) -> None:
    with pytest.raises(ChurnError):
        expressions.check(text, set(COLUMNS))


def test_the_random_functions_are_the_generators_alone() -> None:
    with pytest.raises(ChurnError, match="unknown function 'normal'"):
        expressions.check("normal(0, 1)", set())
    expressions.check("normal(0, 1)", set(), random=True)


def test_choice_follows_its_weights_row_by_row() -> None:
    rng = np.random.default_rng(0)
    columns = {"a": np.repeat([0.0, 2.0], 50)}
    found = expressions.evaluate("choice('p', where(a > 1, 1, 0), 'q', where(a > 1, 0, 1))", columns, rng)
    assert found.tolist() == ["q"] * 50 + ["p"] * 50
