"""A table of events, contracts or attributes: the source of its rows and the meaning of its columns."""

from functools import cached_property
from typing import Literal

from churn.settings.data import Source
from churn.settings.description.column import Cells, Column, Kind
from pydantic import Field, model_validator

RESERVED = {"age", "day", "ended", "newest", "previous", "snapshot"}
NAME = r"^[a-z][a-z0-9_]*$"


class EventTable(Cells):
    """One ``[tables.NAME]``: what happened to whom, and when.

    ``id`` is the column with the customer, ``time`` when a row happened (in a table of customer attributes: ``valid_from``),
    ``known`` when it became known (default: at the same time), ``end`` when a contract ended, empty while it is open. ``format``
    is the format of these moments if it is not ISO 8601: strftime codes, "%s" for seconds since 1970, "%Q" for milliseconds.
    ``columns`` are those that labels and aggregates may use; a missing cell is refused unless the column sets
    ``missing = true``. ``deduplicate`` keeps one of several rows that are equal in all described columns. Rows without an id
    stop the run or, with ``without_id = "leave out"``, are dropped.
    """

    source: tuple[Source, ...] = Field(min_length=1)
    id: str = Field(min_length=1)
    time: str = ""
    valid_from: str = ""
    known: str = ""
    end: str = ""
    format: str | None = Field(default=None, pattern="%")
    deduplicate: bool = False
    without_id: Literal["refuse", "leave out"] = "refuse"
    columns: dict[str, Column] = {}

    @model_validator(mode="after")
    def _consistent(self) -> "EventTable":
        if bool(self.time) == bool(self.valid_from):
            raise ValueError("give 'time' or 'valid_from', the column with the time from which a row counts")
        named = [name for name in (self.id, self.moment, self.known, self.end) if name]
        if len({*named, *self.columns}) < len(named) + len(self.columns):
            raise ValueError(f"{', '.join(named)}: the id, the moments and what is under columns are different columns")
        if taken := sorted(RESERVED & set(self.columns)):
            raise ValueError(
                f"columns.{taken[0]}: has a name that the statement uses itself; rename it in a query or the file"
            )
        for name, column in self.columns.items():
            if column.role != "feature":
                raise ValueError(f"columns.{name}: has no role here; it is an integer, a number or a category")
        return self

    @property
    def moment(self) -> str:
        """The column with the time a row happened."""
        return self.time or self.valid_from

    @cached_property
    def moments(self) -> tuple[str, ...]:
        """The columns with moments."""
        return tuple(name for name in (self.moment, self.known, self.end) if name)

    @cached_property
    def cells(self) -> Cells:
        """The whole table in the form that ``casting.cast`` takes: id, moments, then the described columns."""
        moment = Column(role="ignore", type="timestamp", format=self.format)
        columns = {self.id: Column(role="id", type="text"), **dict.fromkeys(self.moments, moment), **self.columns}
        return Cells(
            missing_values=self.missing_values,
            decimal=self.decimal,
            thousands=self.thousands,
            fold_case=self.fold_case,
            columns=columns,
        )

    def kind(self, name: str) -> Kind:
        """The type of a described column."""
        return self.columns[name].type
