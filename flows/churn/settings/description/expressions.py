"""The expression language of config/datasets: arithmetic, comparisons and a few functions over whole columns.

Columns are numpy arrays of equal length: float64 with NaN for missing, or text (object) with "" for missing. An expression
is parsed, checked node by node (names, arity, kinds and depth) and compiled once; it can reach nothing outside its columns and
FUNCTIONS. A column whose name is not an identifier is written ``col("Total Charges")``.
"""

import ast
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial, reduce
from types import CodeType
from typing import Any, Literal

import numpy as np
from churn.errors import ChurnError

Array = Any  # a numpy array or a scalar that broadcasts to one
Columns = Mapping[str, np.ndarray]
Kind = Literal["number", "text", "condition"]
MOST_DEPTH = 100  # levels of an expression: the compiler recurses
_DEEP = f"an expression is nested more than {MOST_DEPTH} levels deep; write a shorter one"


def _bins(number: Array, edge: float, *edges: float) -> Array:
    """Label each value with its interval: below the first edge '<6', then '6-12', ..., '48+'; missing stays missing."""
    bounds, labels = _intervals(edge, *edges)
    return np.where(np.isnan(number), "", labels[np.searchsorted(bounds, number, side="right")])


@lru_cache(maxsize=1024)
def _intervals(edge: float, *edges: float) -> tuple[np.ndarray, np.ndarray]:
    bounds = (edge, *edges)
    labels = [f"<{edge:g}", *(f"{a:g}-{b:g}" for a, b in itertools.pairwise(bounds)), f"{bounds[-1]:g}+"]
    return np.array(bounds, dtype=float), np.array(labels, dtype=object)


def _missing(anything: Array) -> Array:
    return np.isnan(anything) if np.asarray(anything).dtype.kind in "biuf" else anything == ""


def _choice(rng: np.random.Generator, rows: int, option: Array, share: Array, *others: Array) -> Array:
    """One of the options for each row, drawn in proportion to the row's shares: ``choice('a', 1, 'b', 2)``."""
    options = np.array([option, *others[0::2]], dtype=object if isinstance(option, str) else float)
    weights = np.stack([np.broadcast_to(w, rows) for w in (share, *others[1::2])]).astype(float)
    bounds = np.cumsum(weights, axis=0)
    return options[(rng.random(rows) * bounds[-1] >= bounds[:-1]).sum(axis=0)]


# A parameter's name says what it takes: see _PARAMETERS. Wrapped, because numpy's functions also accept an output array.
FUNCTIONS: dict[str, Callable[..., Array]] = {
    "abs": lambda number: np.abs(number),
    "bins": _bins,
    "clip": lambda number, low, high: np.clip(number, low, high),
    "coalesce": lambda value, other: np.where(_missing(value), other, value),
    "count": lambda condition, *conditions: sum(np.asarray(c, dtype=float) for c in (condition, *conditions)),
    "floor": lambda number: np.floor(number),
    "isin": lambda value, option, *options: np.isin(value, (option, *options)),
    "log1p": lambda number: np.log1p(number),
    "max": lambda number, *numbers: reduce(np.maximum, numbers, number),
    "min": lambda number, *numbers: reduce(np.minimum, numbers, number),
    "missing": _missing,
    "round": lambda number, digits=0: np.round(number, digits),
    "sigmoid": lambda number: 1 / (1 + np.exp(-number)),
    "sqrt": lambda number: np.sqrt(number),
    "where": lambda condition, value, other: np.where(condition, value, other),
}
RANDOM: dict[str, Callable[..., Array]] = {
    "bernoulli": lambda rng, rows, p: rng.random(rows) < p,
    "beta": lambda rng, rows, a, b: rng.beta(a, b, rows),
    "choice": _choice,
    "exponential": lambda rng, rows, scale: rng.exponential(scale, rows),
    "normal": lambda rng, rows, mean, deviation: rng.normal(mean, deviation, rows),
    "uniform": lambda rng, rows, low, high: rng.uniform(low, high, rows),
}
CONSTANTS = {"nan": np.nan}
_CALLED = {f"{name}()": function for name, function in FUNCTIONS.items()}
# Parameters that take anything but a number. Those of one kind, "alike", determine the result of ``where`` and the like.
_CONDITIONS = ("condition", "conditions")
_ALIKE = ("value", "other", "option", "options")
_WRITTEN = ("edge", "edges", "option", "options", "digits")  # must be constants
_GIVES: dict[str, Kind] = {"bins": "text", "isin": "condition", "missing": "condition", "bernoulli": "condition"}

_OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.Invert, ast.Not, ast.BitAnd, ast.BitOr, ast.And, ast.Or,
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip
_NODES = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.Load,
)  # fmt: skip


class _WholeColumns(ast.NodeTransformer):
    """Rewrites ``and``, ``or``, ``not`` and chained comparisons, which Python allows only on single values, for arrays.

    Functions and the middle operands of chained comparisons get names that no column can have.
    """

    def __init__(self) -> None:
        self._names = itertools.count()

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = ast.Name(f"{node.func.id}()", ast.Load())  # type: ignore[attr-defined]
        return ast.Call(name, [self.visit(value) for value in node.args], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        return ast.BinOp(self._inexact(node.left), node.op, self._inexact(node.right))

    def _inexact(self, node: ast.expr) -> Any:
        """A whole number as float64, like every column: Python's integers are unbounded."""
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return ast.Constant(float(node.value))
        return self.visit(node)

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
            name = f"between {next(self._names)}"  # computed once: nested chains would double the work at each level
            pairs.append(ast.Compare(left, [operator], [ast.NamedExpr(ast.Name(name, ast.Store()), right)]))
            left = ast.Name(name, ast.Load())
        return reduce(lambda a, b: ast.BinOp(a, ast.BitAnd(), b), pairs)


def kind_of(text: str, columns: Mapping[str, Kind], random: bool = False) -> Kind:
    """The kind of an expression's result over ``columns`` (and the random functions, if ``random``).

    Raises ChurnError for anything outside the language, a wrong number or kind of arguments, numbers mixed with text, and more
    than MOST_DEPTH levels.
    """
    tree = _parsed(text)
    drawn: dict[str, Callable[..., Array]] = {name: partial(function, None, 0) for name, function in RANDOM.items()}
    functions = FUNCTIONS | drawn if random else FUNCTIONS
    try:
        _only_known(tree, columns, functions)
        return _kind(tree.body, {**dict.fromkeys(CONSTANTS, "number"), **columns}, functions)
    except ChurnError as error:
        raise ChurnError(f"{_shown(text)}: {error}") from None


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 200 else f"{text[:200]!r}..."


def _parsed(text: str) -> ast.Expression:
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ChurnError(f"not an expression: {_shown(text)} ({getattr(error, 'msg', error)})") from None
    except (RecursionError, MemoryError):
        raise ChurnError(_DEEP) from None
    level: list[ast.AST] = [tree]
    for _ in range(MOST_DEPTH + 2):  # plus the expression itself, and the operators below its last level
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise ChurnError(_DEEP)
    return tree


def _only_known(tree: ast.AST, columns: Iterable[str], functions: Iterable[str]) -> None:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (not isinstance(node.func, ast.Name) or node.keywords):
            raise ChurnError("functions are called by name, without keywords")
        if isinstance(node, ast.Call) and node.func.id == "col":  # type: ignore[attr-defined]
            name = node.args[0].value if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) else None
            if not isinstance(name, str) or name not in columns:
                raise ChurnError(f"unknown column {name!r}")
        elif isinstance(node, ast.Name) and id(node) in called and node.id not in {*functions, "col"}:
            raise ChurnError(f"unknown function '{node.id}'; there are {', '.join(sorted({*functions, 'col'}))}")
        elif isinstance(node, ast.Name) and id(node) not in called and node.id not in {*columns, *CONSTANTS}:
            raise ChurnError(f"unknown column '{node.id}'")
        elif isinstance(node, ast.Constant) and not isinstance(node.value, int | float | str):
            raise ChurnError(f"{node.value!r} is neither a number nor a text")
        elif isinstance(node, ast.Constant) and isinstance(node.value, int) and abs(node.value) > 2**53:
            raise ChurnError("a whole number of more than 15 digits; write it with a point or an exponent")
        elif not isinstance(node, (*_NODES, *_OPERATORS)):
            raise ChurnError(f"{type(node).__name__} is not part of the expression language")


def _kind(node: ast.expr, columns: Mapping[str, Kind], functions: Mapping[str, Callable[..., Array]]) -> Kind:
    """The kind of a node with known names; raises ChurnError for incompatible kinds."""
    if isinstance(node, ast.Constant):
        return "condition" if isinstance(node.value, bool) else "text" if isinstance(node.value, str) else "number"
    if isinstance(node, ast.Name):
        return columns[node.id]
    if isinstance(node, ast.Call):
        return _call(node, columns, functions)
    kinds = {_kind(child, columns, functions) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)}
    if isinstance(node, ast.Compare):
        _joined(kinds, "a comparison")
        return "condition"
    operator: ast.AST = node.op  # type: ignore[attr-defined]
    if isinstance(operator, ast.And | ast.Or | ast.Not | ast.BitAnd | ast.BitOr | ast.Invert):
        if kinds != {"condition"}:
            raise ChurnError("and, or and not go with conditions, such as a > 0")
        return "condition"
    if kinds == {"text"} and isinstance(operator, ast.Add):
        return "text"
    if "text" in kinds:
        raise ChurnError(f"{ast.unparse(node)}: arithmetic goes with numbers, not with text")
    if kinds == {"condition"} and not isinstance(operator, ast.Mult):
        raise ChurnError(f"{ast.unparse(node)}: arithmetic with conditions alone; count(...) makes numbers of them")
    return _joined(kinds, "arithmetic")


def _joined(kinds: Iterable[Kind], what: str) -> Kind:
    distinct = set(kinds)
    if len(distinct) > 1 and "text" in distinct:
        raise ChurnError(f"{what} mixes text with numbers")
    return distinct.pop() if len(distinct) == 1 else "number"


def _call(node: ast.Call, columns: Mapping[str, Kind], functions: Mapping[str, Callable[..., Array]]) -> Kind:
    name: str = node.func.id  # type: ignore[attr-defined]
    if name == "col":
        return columns[node.args[0].value]  # type: ignore[attr-defined]
    alike: list[Kind] = []
    for parameter, value in _bound(name, functions[name], node.args):
        kind = _kind(value, columns, functions)
        if parameter in _WRITTEN and not isinstance(_written(value), int | float | str):
            raise ChurnError(f"{name}: {ast.unparse(value)} must be written out, not computed")
        if parameter == "digits" and _written(value) not in range(-15, 16):
            raise ChurnError(f"{name}: digits is a whole number from -15 to 15")
        if parameter in _ALIKE:
            alike.append(kind)
        elif parameter != "anything" and kind != "number" and not (parameter in _CONDITIONS and kind == "condition"):
            raise ChurnError(f"{name}: {ast.unparse(value)} is a {kind}, where a number is needed")
    if name == "bins" and (edges := [_written(value) for value in node.args[1:]]) != sorted(set(edges)):
        raise ChurnError(f"{name}: each edge must be above the one before")
    joined = _joined(alike, name)
    return _GIVES.get(name, joined)


def _bound(name: str, function: Callable[..., Array], values: list[ast.expr]) -> list[tuple[str, ast.expr]]:
    """Each argument with the name of its parameter."""
    signature = inspect.signature(function)
    try:
        bound = signature.bind(*values).arguments
    except TypeError as error:
        raise ChurnError(f"{name}{signature} was given {len(values)} arguments: {error}") from None
    if name == "choice":
        if len(values) % 2:
            raise ChurnError("choice takes pairs: an option and its share, as in choice('a', 0.4, 'b', 0.6)")
        return [("condition" if place % 2 else "option", value) for place, value in enumerate(values)]
    return [(key, value) for key, given in bound.items() for value in (given if isinstance(given, tuple) else (given,))]


def _written(node: ast.expr) -> Any:
    """The node's constant, possibly signed, or None if it is none."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value if isinstance(node.operand.value, int | float) else None
    return node.value if isinstance(node, ast.Constant) else None


def columns(text: str) -> frozenset[str]:
    """The columns that a checked expression reads."""
    nodes = list(ast.walk(ast.parse(text, mode="eval")))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    named = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called} - set(CONSTANTS)
    quoted = {node.args[0].value for node in nodes  # type: ignore[attr-defined]
              if isinstance(node, ast.Call) and node.func.id == "col"}  # type: ignore[attr-defined]  # fmt: skip
    return frozenset(named | quoted)


def functions(text: str) -> frozenset[str]:
    """The functions that a checked expression calls."""
    calls = (node for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Call))
    return frozenset(node.func.id for node in calls)  # type: ignore[attr-defined]


@lru_cache(maxsize=1024)
def _compiled(text: str) -> CodeType:
    tree = _WholeColumns().visit(ast.parse(text, mode="eval"))
    return compile(ast.fix_missing_locations(tree), "<expression>", "eval")


def evaluate(text: str, columns: Columns, rng: np.random.Generator | None = None, rows: int | None = None) -> Array:
    """Evaluate a checked expression to an array as long as the columns (or ``rows``), with infinities as missing (NaN).

    ``rng`` provides the random functions of the generator.
    """
    length = rows if rows is not None else len(next(iter(columns.values())))
    drawn = {} if rng is None else {f"{name}()": partial(drawing, rng, length) for name, drawing in RANDOM.items()}
    names = {**CONSTANTS, **columns, **_CALLED, **drawn, "col()": columns.__getitem__, "__builtins__": {}}
    with np.errstate(all="ignore"):
        result = np.asarray(eval(_compiled(text), names))  # nosec B307 - checked, and without builtins
    if result.dtype.kind in "biuf":
        result = np.where(np.isfinite(result), result, np.nan).astype(float)
    return np.broadcast_to(result, (length,)) if result.shape != (length,) else result
