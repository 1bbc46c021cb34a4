"""The expression language: right on arrays with missing values, and nothing outside it can be reached."""

import numpy as np
import pytest
from churn.errors import ChurnError
from churn.settings.description import expressions

COLUMNS = {
    "a": np.array([1.0, 2.0, np.nan, 50.0]),
    "b": np.array([0.0, 4.0, 1.0, 5.0]),
    "kind": np.array(["x", "", "y", "x"], dtype=object),
    "Total Charges": np.array([1.0, 2.0, 3.0, 4.0]),
    "abs": np.array([-1.0, 2.0, 3.0, 4.0]),
}
KINDS: dict[str, expressions.Kind] = {
    name: "text" if values.dtype == object else "number" for name, values in COLUMNS.items()
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
        ("abs(abs)", [1, 2, 3, 4]),
        ("9007199254740992 * 9007199254740992 * 1e300 * a", [np.nan] * 4),
        ("missing(where(kind == 'x', kind, ''))", [0, 1, 1, 0]),
        ("round(-a / 3, 1)", [-0.3, -0.7, np.nan, -16.7]),
    ],
)
def test_values(text: str, expected: list[float]) -> None:
    expressions.kind_of(text, KINDS)
    np.testing.assert_allclose(expressions.evaluate(text, COLUMNS), expected)


def test_chained_comparisons_cost_no_more_for_being_nested() -> None:
    """What stands between two comparisons was computed twice, at each level: 2 to the power of 40 times."""
    text = "a"
    for _ in range(40):
        text = f"0 < ({text}) < 51"
    expressions.kind_of(text, KINDS)
    assert expressions.evaluate(text, COLUMNS).tolist() == [1, 1, 0, 1]


def test_bins_label_their_intervals_and_keep_missing_missing() -> None:
    assert expressions.evaluate("bins(a, 2, 12)", COLUMNS).tolist() == ["<2", "2-12", "", "12+"]


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "a.dtype", "[x for x in a]", "a if b else a", "(lambda: 1)()", "max(a, key=b)", "f'{a}'", "a[0]",
     "col('c')", "c", "a +", "b''", "a ** 9"],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused(text: str) -> None:
    with pytest.raises(ChurnError):
        expressions.kind_of(text, KINDS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("abs(a, b)", r"abs\(number\) was given 2 arguments"),  # numpy would write into b
        ("sqrt(a, b)", "was given 2 arguments"),
        ("round(a, 1, b)", "was given 3 arguments"),
        ("clip(a, 1, 2, b)", "was given 4 arguments"),
        ("where(a > 1, 2)", "was given 2 arguments"),
        ("where(a > 1, 2, 3, 4)", "was given 4 arguments"),
        ("missing()", "was given 0 arguments"),
        ("max()", "was given 0 arguments"),
        ("count()", "was given 0 arguments"),
        ("bins(a)", "was given 1 arguments"),
        ("bins(a, 5, 2)", "each edge must be above the one before"),
        ("bins(a, b)", "must be written out"),
        ("isin(a, b)", "must be written out"),
        ("round(a, 1e9)", "digits is a whole number"),
        ("'a' * 4000000000", "arithmetic goes with numbers"),
        ("'a' * 4e9", "arithmetic goes with numbers"),
        ("kind * 2", "arithmetic goes with numbers"),
        ("-kind", "arithmetic goes with numbers"),
        ("kind + 1", "arithmetic goes with numbers"),
        ("sqrt(kind)", "kind is a text, where a number is needed"),
        ("max(kind, a)", "kind is a text"),
        ("count(kind)", "kind is a text"),
        ("where(kind, 1, 2)", "kind is a text"),
        ("kind == 1", "a comparison mixes text with numbers"),
        ("a < 'x'", "a comparison mixes text with numbers"),
        ("isin(kind, 'x', 1)", "isin mixes text with numbers"),
        ("coalesce(a, 'x')", "coalesce mixes text with numbers"),
        ("where(a > 1, 'x', nan)", "where mixes text with numbers"),
        ("a and b", "go with conditions"),
        ("not kind", "go with conditions"),
        ("(a > 1) - (b > 1)", r"count\(...\) makes numbers"),
        ("1" * 400, "more than 15 digits"),
        ("1" * 5000, "not an expression"),
        ("a + " * 5000 + "a", "nested more than 100 levels deep"),
        ("-" * 150 + "a", "nested more than 100 levels deep"),
        ("-" * 100_000 + "a", "nested"),
        ("(" * 5000 + "a" + ")" * 5000, "nested|not an expression"),
        ("abs(" * 5000 + "a" + ")" * 5000, "nested|not an expression"),
        ("a\x00", "not an expression"),
    ],
)
def test_arity_kinds_and_depth_are_checked_before_anything_is_computed(text: str, said: str) -> None:
    with pytest.raises(ChurnError, match=said):
        expressions.kind_of(text, KINDS)


def test_as_deep_as_allowed_is_computed() -> None:
    text = "a + " * 99 + "a"
    assert expressions.kind_of(text, KINDS) == "number"
    np.testing.assert_allclose(expressions.evaluate(text, COLUMNS), COLUMNS["a"] * 100)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("choice('x', 1, 'y')", "takes pairs"),
        ("choice('x', 1, 2, 1)", "mixes text with numbers"),
        ("choice(kind, 1)", "must be written out"),
        ("normal(0)", r"normal\(mean, deviation\) was given 1 arguments"),
        ("uniform('a', 'b')", "is a text"),
    ],
)
def test_the_random_functions_are_checked_too(text: str, said: str) -> None:
    with pytest.raises(ChurnError, match=said):
        expressions.kind_of(text, KINDS, random=True)


def test_a_column_with_the_name_of_a_function_or_of_builtins_hides_neither() -> None:
    named = {name: np.array([7.0, 8.0]) for name in ("max", "max()", "col()", "__builtins__")}
    assert expressions.evaluate("max(a, 2)", {"a": np.array([1.0, 3.0]), **named}).tolist() == [2, 3]
    assert expressions.evaluate("col('max') + max", named).tolist() == [14, 16]
    with pytest.raises(ChurnError, match="unknown function 'len'"):
        expressions.kind_of("len(a)", dict.fromkeys(("a", *named), "number"))


def test_no_expression_changes_a_column() -> None:
    before = {name: values.copy() for name, values in COLUMNS.items()}
    for name in expressions.FUNCTIONS:
        for text in (f"{name}(a)", f"{name}(a, b)", f"{name}(a, b, col('Total Charges'))", f"{name}(a > 1, b, a)"):
            try:
                expressions.kind_of(text, KINDS)
            except ChurnError:
                continue
            expressions.evaluate(text, COLUMNS)
    for name, values in before.items():
        np.testing.assert_array_equal(COLUMNS[name], values)


def test_the_random_functions_are_the_generators_alone() -> None:
    with pytest.raises(ChurnError, match="unknown function 'normal'"):
        expressions.kind_of("normal(0, 1)", {})
    expressions.kind_of("normal(0, 1)", {}, random=True)


def test_choice_follows_its_weights_row_by_row() -> None:
    rng = np.random.default_rng(0)
    columns = {"a": np.repeat([0.0, 2.0], 50)}
    found = expressions.evaluate("choice('p', where(a > 1, 1, 0), 'q', where(a > 1, 0, 1))", columns, rng)
    assert found.tolist() == ["q"] * 50 + ["p"] * 50
