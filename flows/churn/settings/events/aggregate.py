"""An aggregate: a summary of a table's events until a moment, as columns of a customer."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from churn.settings.core import Strict
from churn.settings.description.column import Column
from pydantic import model_validator

What = Literal[
    "count",
    "sum",
    "mean",
    "max",
    "min",
    "distinct",
    "share",
    "days since last",
    "days since first",
    "mean gap",
    "gap spread",
    "trend",
    "last",
]
OF_A_COLUMN = ("sum", "mean", "max", "min", "distinct", "last")
ZERO = ("count", "sum", "distinct")  # 0 without any event; the others are missing then
UNSIGNED = ("count", "distinct", "share", "days since last", "days since first", "mean gap", "gap spread")


class Cell(NamedTuple):
    """One column of an aggregate: its name, the level of ``by`` it covers, and its window in days (None: all)."""

    name: str
    level: str | None
    days: int | None


class Aggregate(Strict):
    """One ``[aggregates.NAME]``: ``what`` to compute over the rows of ``table``.

    It covers the last ``days``, with one column for each window, or all time if there are none.

    ``column`` is the column to sum, average, count distinct values of or take the last value of; ``trend`` compares a window with
    the one before it, as (now - before) / (now + before), in counts or in a ``column``'s sums. ``where`` keeps the rows that
    satisfy an expression over the table's columns; a ``share`` is that of the rows that satisfy ``of``. ``by`` makes one column
    for each of the ``levels``.
    """

    table: str
    what: What
    column: str = ""
    days: tuple[int, ...] = ()
    where: str = ""
    of: str = ""
    by: str = ""
    levels: tuple[str, ...] = ()
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> "Aggregate":
        if (self.what in OF_A_COLUMN) != bool(self.column) and self.what != "trend":
            raise ValueError(f"'column' goes with {', '.join(OF_A_COLUMN)} and trend, which needs none")
        if bool(self.of) != (self.what == "share" and not self.by):
            raise ValueError("'of' goes with share, which needs it or 'by'")
        if bool(self.by) != bool(self.levels):
            raise ValueError("'by' and 'levels' go together: the column, and its levels that become columns")
        if self.by and self.what == "last":
            raise ValueError("'by' does not go with last")
        if self.what == "trend" and not self.days:
            raise ValueError("trend needs 'days', the windows that are compared with those before them")
        if any(days < 1 for days in self.days) or len(set(self.days)) < len(self.days):
            raise ValueError("'days' are different whole numbers from 1 on")
        if self.what == "last" and self.days:
            raise ValueError("'days' does not go with last, which is of all time")
        return self

    def cells(self, name: str) -> Iterator[Cell]:
        """The columns of an aggregate with this name, in order."""
        for level in self.levels or (None,):
            for days in self.days or (None,):
                yield Cell("_".join([name, *([level] if level else []), *([f"{days}d"] if days else [])]), level, days)

    def described(self, source: Column | None) -> Column:
        """The description of each of these columns; ``source`` is the table's own ``column``, if one is named."""
        if self.what == "last" and source is not None:
            return source.model_copy(update={"missing": True, "description": self.description})
        low = 0.0 if self.what in UNSIGNED else None
        return Column(type="number", min=low, missing=self.what not in ZERO, description=self.description)
