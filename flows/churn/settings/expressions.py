"""The expression language of config/datasets: arithmetic, comparisons and a few functions over whole columns.

Columns are numpy arrays of one length: float64 with NaN for missing, or text (object) with "" for missing. An expression
is parsed, checked node by node against an allowlist, and compiled once; it can reach nothing but its columns and FUNCTIONS.
A column whose name is not an identifier is written ``col("Total Charges")``.
"""

import ast
import itertools
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from types import CodeType
from typing import Any

import numpy as np
from churn.errors import ChurnError

Array = Any  # a numpy array or a scalar that broadcasts to one
Columns = Mapping[str, np.ndarray]


def _bins(values: Array, *edges: float) -> Array:
    """Label each value with its interval: below the first edge '<6', then '6-12', ..., '48+'; missing stays missing."""
    labels = [
        f"<{edges[0]:g}",
        *(f"{a:g}-{b:g}" for a, b in itertools.pairwise(edges)),
        f"{edges[-1]:g}+",
    ]
    binned = np.array(labels, dtype=object)[np.searchsorted(edges, values, side="right")]
    return np.where(np.isnan(values), "", binned)


def _missing(values: Array) -> Array:
    return values == "" if np.asarray(values).dtype == object else np.isnan(values)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "abs": np.abs,
    "bins": _bins,
    "clip": np.clip,
    "coalesce": lambda values, other: np.where(_missing(values), other, values),
    "count": lambda *conditions: sum(np.asarray(c, dtype=float) for c in conditions),
    "floor": np.floor,
    "isin": lambda values, *options: np.isin(values, options),
    "log1p": np.log1p,
    "max": lambda *values: reduce(np.maximum, values),
    "min": lambda *values: reduce(np.minimum, values),
    "missing": _missing,
    "round": np.round,
    "sigmoid": lambda values: 1 / (1 + np.exp(-values)),
    "sqrt": np.sqrt,
    "where": np.where,
}
RANDOM = ("bernoulli", "beta", "choice", "exponential", "normal", "uniform")
CONSTANTS = {"nan": np.nan}

_OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.Invert, ast.Not, ast.BitAnd, ast.BitOr, ast.And, ast.Or,
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip
_NODES = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.Call,
    ast.Name,
    ast.Constant,
    ast.Load,
)


class _WholeColumns(ast.NodeTransformer):
    """Rewrites ``and``, ``or``, ``not`` and chained comparisons, which Python allows on single values only, for arrays."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        operator = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        values: list[Any] = [self.visit(value) for value in node.values]
        return reduce(lambda a, b: ast.BinOp(a, operator, b), values)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        operator = ast.Invert() if isinstance(node.op, ast.Not) else node.op
        return ast.UnaryOp(operator, self.visit(node.operand))

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        left, *rest = [self.visit(value) for value in (node.left, *node.comparators)]
        pairs: list[Any] = []
        for operator, right in zip(node.ops, rest, strict=True):
            pairs.append(ast.Compare(left, [operator], [right]))
            left = right
        return reduce(lambda a, b: ast.BinOp(a, ast.BitAnd(), b), pairs)


def check(text: str, columns: set[str], random: bool = False) -> None:
    """Check that ``text`` is an expression over ``columns`` (and the random functions, if ``random``).

    Raises:
        ChurnError: It is not.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ChurnError(f"not an expression: {text!r} ({error.msg})") from None
    functions = {*FUNCTIONS, "col", *(RANDOM if random else ())}
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (not isinstance(node.func, ast.Name) or node.keywords):
            raise ChurnError(f"{text!r}: functions are called by name, without keywords")
        if isinstance(node, ast.Call) and node.func.id == "col":  # type: ignore[attr-defined]
            name = node.args[0].value if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) else None
            if name not in columns:
                raise ChurnError(f"{text!r}: unknown column {name!r}")
        elif isinstance(node, ast.Name) and id(node) in called and node.id not in functions:
            raise ChurnError(f"{text!r}: unknown function '{node.id}'; there are {', '.join(sorted(functions))}")
        elif isinstance(node, ast.Name) and id(node) not in called and node.id not in {*columns, *CONSTANTS}:
            raise ChurnError(f"{text!r}: unknown column '{node.id}'")
        elif isinstance(node, ast.Constant) and not isinstance(node.value, int | float | str):
            raise ChurnError(f"{text!r}: {node.value!r} is neither a number nor a text")
        elif not isinstance(node, (*_NODES, *_OPERATORS)):
            raise ChurnError(f"{text!r}: {type(node).__name__} is not part of the expression language")


def columns(text: str) -> frozenset[str]:
    """The names of the columns that a checked expression reads."""
    nodes = list(ast.walk(ast.parse(text, mode="eval")))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    named = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called} - set(CONSTANTS)
    quoted = {node.args[0].value for node in nodes  # type: ignore[attr-defined]
              if isinstance(node, ast.Call) and node.func.id == "col"}  # type: ignore[attr-defined]  # fmt: skip
    return frozenset(named | quoted)


def functions(text: str) -> frozenset[str]:
    """The functions that a checked expression calls."""
    return frozenset(node.func.id for node in ast.walk(ast.parse(text, mode="eval"))  # type: ignore[attr-defined]
                     if isinstance(node, ast.Call))  # fmt: skip


@lru_cache(maxsize=1024)
def _compiled(text: str) -> CodeType:
    tree = _WholeColumns().visit(ast.parse(text, mode="eval"))
    return compile(ast.fix_missing_locations(tree), "<expression>", "eval")


def evaluate(
    text: str, columns: Columns, rng: np.random.Generator | None = None, rows: int | None = None
) -> np.ndarray:
    """Evaluate a checked expression to an array as long as the columns (or of length ``rows``); infinities become NaN.

    ``rng`` draws for the random functions of synthetic data.
    """
    length = rows if rows is not None else len(next(iter(columns.values())))
    names = {**FUNCTIONS, **CONSTANTS, **columns, "col": columns.__getitem__, "__builtins__": {}}
    if rng is not None:
        names |= _random(rng, length)
    with np.errstate(all="ignore"):
        values = np.asarray(eval(_compiled(text), names))
    if values.dtype.kind in "biuf":
        values = np.where(np.isfinite(values), values, np.nan).astype(float)
    return np.broadcast_to(values, (length,)) if values.shape != (length,) else values


def _random(rng: np.random.Generator, rows: int) -> dict[str, Callable[..., Array]]:
    def choice(*labels_and_weights: Array) -> Array:
        labels = np.array(labels_and_weights[0::2], dtype=object)
        weights = np.stack([np.broadcast_to(w, rows) for w in labels_and_weights[1::2]]).astype(float)
        bounds = np.cumsum(weights, axis=0)
        picked = (rng.random(rows) * bounds[-1] >= bounds[:-1]).sum(axis=0)
        return labels[picked]

    return {
        "bernoulli": lambda p: rng.random(rows) < p,
        "beta": lambda a, b: rng.beta(a, b, rows),
        "choice": choice,
        "exponential": lambda scale: rng.exponential(scale, rows),
        "normal": lambda mean, deviation: rng.normal(mean, deviation, rows),
        "uniform": lambda low, high: rng.uniform(low, high, rows),
    }
