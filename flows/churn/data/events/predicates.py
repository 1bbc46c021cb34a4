"""Translates an expression over the rows of a table into SQL, in DuckDB's dialect, with the same meaning of missing cells."""

import ast
from collections.abc import Mapping

from churn.settings.description.column import Column

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Eq: "=",
    ast.NotEq: "<>",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.BitAnd: "AND",
    ast.And: "AND",
    ast.BitOr: "OR",
    ast.Or: "OR",
    ast.Not: "NOT",
    ast.Invert: "NOT",
    ast.USub: "-",
}
_FUNCTIONS = {"abs": "ABS", "coalesce": "COALESCE", "floor": "FLOOR", "max": "GREATEST", "min": "LEAST"}


def sql(text: str, columns: Mapping[str, Column]) -> str:
    """``text``, a checked expression over ``columns``, as a condition that is true or false, never NULL."""
    return _Translation(columns).of(ast.parse(text, mode="eval").body)


def sql_name(name: str) -> str:
    """The name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


class _Translation:
    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns

    def of(self, node: ast.AST) -> str:
        match node:
            case ast.Constant(value=str(value)):
                return literal(value)
            case ast.Constant(value=value):
                return repr(value)
            case ast.Name(id="nan"):
                return "NULL"
            case ast.Name(id=name):
                return self._column(name)
            case ast.BinOp(left=left, op=op, right=right):
                return f"({self.of(left)} {_OPERATORS[type(op)]} {self.of(right)})"
            case ast.BoolOp(op=op, values=values):
                return "(" + f" {_OPERATORS[type(op)]} ".join(map(self.of, values)) + ")"
            case ast.UnaryOp(op=op, operand=operand):
                return f"({_OPERATORS[type(op)]} {self.of(operand)})"
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [left, *others]
                pairs = [self._pair(a, op, b) for a, op, b in zip(sides, ops, others, strict=False)]
                return pairs[0] if len(pairs) == 1 else f"({' AND '.join(pairs)})"
            case ast.Call(func=ast.Name(id=name), args=args):
                return self._call(name, args)
        raise AssertionError(ast.dump(node))  # ``expressions.kind_of`` lets nothing else through

    def _column(self, name: str) -> str:
        """Missing text is '', as in ``expressions``; a missing number stays NULL."""
        column = self._columns[name]
        return f"COALESCE({sql_name(name)}, '')" if column.missing and not column.numeric else sql_name(name)

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> str:
        comparison = f"{self.of(left)} {_OPERATORS[type(op)]} {self.of(right)}"
        unknown = (
            "TRUE" if isinstance(op, ast.NotEq) else "FALSE"
        )  # a missing number differs from every other, and is neither above nor below it
        numbers = [
            n for side in (left, right) for n in ast.walk(side) if isinstance(n, ast.Name) and n.id in self._columns
        ]
        gone = any(self._columns[n.id].missing and self._columns[n.id].numeric for n in numbers)
        return f"COALESCE({comparison}, {unknown})" if gone else f"({comparison})"

    def _call(self, name: str, args: list[ast.expr]) -> str:
        if name == "col":
            assert isinstance(args[0], ast.Constant)
            return self._column(str(args[0].value))
        operands = [self.of(arg) for arg in args]
        if name == "missing":
            return (
                f"({operands[0]} IS NULL OR {operands[0]} = '')"
                if self._is_text(args[0])
                else f"({operands[0]} IS NULL)"
            )
        if name == "isin":
            return f"({operands[0]} IN ({', '.join(operands[1:])}))"
        return f"{_FUNCTIONS[name]}({', '.join(operands)})"

    def _is_text(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and not self._columns[node.id].numeric
