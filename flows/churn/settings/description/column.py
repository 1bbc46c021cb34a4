"""One column of a data set's file, as config/datasets/NAME.toml describes it."""

from typing import Literal

from churn.settings.core import Strict
from churn.settings.description.spelling import Spellings, clashes, fold
from pydantic import Field, model_validator

Kind = Literal["integer", "number", "category", "text", "timestamp"]
Role = Literal["feature", "id", "target", "time", "ignore"]
Thousands = Literal["", ".", ",", " ", "'"]
NEVER_MISSING = ("id", "target", "time")


class Column(Strict):
    """One column of the file: its role, type and allowed values.

    ``min`` and ``max`` (inclusive) apply to numbers, ``values`` to categories (empty: any value is allowed). Values are
    matched regardless of case and surrounding blanks; ``aliases`` maps other spellings to levels. Only the target has
    ``positive``, the value or values that mean that the customer left (all others mean stayed), and ``leave_out``, the values
    whose rows are dropped.

    ``missing`` allows missing values, up to the share ``max_missing``; ``missing_values`` are texts that mean "missing" in this
    column, in addition to the data set's. ``decimal``, ``thousands`` (both default to the data set's), ``unit`` (one or several,
    "" for none) and ``negative`` describe how numbers are written as text (see ``formats.NumberFormat``); ``format`` describes
    timestamps, in strftime codes (default: ISO 8601).

    ``drift`` is the largest allowed Jensen-Shannon distance from the previous data version, if it differs from the one in
    config/data.toml; ``severity`` sets whether values out of range stop the run. The role 'time' marks the time a row describes.
    """

    role: Role = "feature"
    type: Kind = "category"
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()
    aliases: dict[str, str] = {}
    positive: str | tuple[str, ...] | None = None
    leave_out: tuple[str, ...] = ()
    missing: bool = False
    missing_values: tuple[str, ...] = ()
    max_missing: float = Field(default=1.0, gt=0, le=1)
    decimal: Literal[".", ","] | None = None
    thousands: Thousands | None = None
    unit: str | tuple[str, ...] = ""
    negative: Literal["minus", "parentheses", "trailing"] = "minus"
    format: str | None = Field(default=None, pattern="%")
    drift: float | None = Field(default=None, gt=0, le=1)
    severity: Literal["error", "warning"] = "error"
    description: str = ""

    @property
    def numeric(self) -> bool:
        """Whether the column holds numbers."""
        return self.type in ("integer", "number")

    @property
    def left(self) -> tuple[str, ...]:
        """The values of the target that mean that the customer left."""
        return (self.positive,) if isinstance(self.positive, str) else self.positive or ()

    @property
    def units(self) -> tuple[str, ...]:
        """Every unit with which a number may be written."""
        return (self.unit,) if isinstance(self.unit, str) else self.unit

    @model_validator(mode="after")
    def _consistent(self) -> "Column":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if self.role == "feature" and self.type in ("text", "timestamp"):
            raise ValueError(
                "a feature is 'integer', 'number' or 'category'; make features of other types numbers first"
            )
        if self.role == "time" and self.type != "timestamp":
            raise ValueError("a column with the role 'time' has the type 'timestamp'")
        if self.missing and self.role in NEVER_MISSING:
            raise ValueError(f"missing = true does not go with the role '{self.role}': {_INSTEAD[self.role]}")
        return self

    @model_validator(mode="after")
    def _keys_of_its_type(self) -> "Column":
        if self.numeric and self.values:
            raise ValueError("'values' goes with type 'category'; numbers take 'min' and 'max'")
        if not self.numeric and (self.min is not None or self.max is not None):
            raise ValueError("'min' and 'max' go with type 'integer' or 'number'")
        if not self.numeric and (self.decimal or self.thousands or any(self.units) or self.negative != "minus"):
            raise ValueError("'decimal', 'thousands', 'unit' and 'negative' go with type 'integer' or 'number'")
        if self.format is not None and self.type != "timestamp":
            raise ValueError("'format' goes with type 'timestamp'")
        if self.aliases and (self.type != "category" or self.role == "id"):
            raise ValueError("'aliases' goes with type 'category', and not with the role 'id'")
        return self

    @model_validator(mode="after")
    def _outcomes(self) -> "Column":
        if (self.role == "target") != (self.positive is not None):
            raise ValueError("'positive' must be given for the target, and only there")
        if self.role != "target":
            if self.leave_out:
                raise ValueError("'leave_out' goes with the target")
            return self
        if not 0 < len(set(self.left)) < len(set(self.values)) or not set(self.left) <= set(self.values):
            raise ValueError(
                "the target needs two 'values' or more, and 'positive' must be one of them, or a list of some of them"
            )
        if both := [text for text in self.leave_out if fold(text) in map(fold, self.values)]:
            raise ValueError(f"'leave_out': {both[0]!r} is one of the 'values' too; keep it in one of them")
        return self

    @model_validator(mode="after")
    def _spelled_once(self) -> "Column":
        for text, level in self.aliases.items():
            if self.values and level not in self.values:
                raise ValueError(f"'aliases': {level!r}, for {text!r}, is not one of the 'values'")
        levels = {level: level for level in (*self.values, *self.aliases.values())}
        if clashes(self.aliases | levels) and not clashes(levels):
            raise ValueError("'aliases': a spelling, or one that differs only in case or blanks, stands for two levels")
        return self


_INSTEAD = {
    "target": "rows without an outcome are left out of training and counted; remove it",
    "id": 'a customer without an id cannot be told from others; remove it, or set role = "ignore"',
    "time": 'a row without a moment cannot be put before or after others; remove it, or set role = "ignore"',
}


class Cells(Strict):
    """The columns of one table, and how its cells are written.

    ``missing_values`` are texts that mean a missing cell, besides the empty one; ``decimal`` and ``thousands`` are the marks in
    numbers written as text; with ``fold_case``, levels of categories without ``values`` are matched regardless of case and
    blanks, and written in lower case.
    """

    missing_values: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."
    thousands: Thousands = ""
    fold_case: bool = False
    columns: dict[str, Column] = {}

    @model_validator(mode="after")
    def _different_marks(self) -> "Cells":
        for name, column in self.columns.items():
            if (column.decimal or self.decimal) == (self.thousands if column.thousands is None else column.thousands):
                raise ValueError(
                    f"columns.{name}: 'decimal' and 'thousands' are the same mark; give the column its own"
                )
        return self

    def spellings(self, name: str) -> Spellings:
        """The levels of a category by spelling."""
        column = self.columns[name]
        levels = column.aliases | {level: level for level in (*column.aliases.values(), *column.values)}
        return Spellings(levels, self.fold_case and not column.values)

    def missing_words(self, name: str) -> tuple[str, ...]:
        """The texts that mean a missing cell in the column ``name``."""
        return self.missing_values + self.columns[name].missing_values
