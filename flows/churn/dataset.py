"""The description of a data set: the one place that knows its columns. Read from config/datasets/NAME.toml.

The validation schema, the feature lists, the generator and the service's request model are all derived from it.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from churn import expressions
from churn.config import Strict, Worth
from churn.errors import ChurnError
from pydantic import Field, model_validator

Kind = Literal["integer", "number", "category", "text", "timestamp"]
Role = Literal["feature", "id", "target", "time", "ignore"]


class Column(Strict):
    """One column of the file: its role, its type, and the values it may take.

    ``min`` and ``max`` (inclusive) go with numbers, ``values`` with categories (empty: anything is allowed).
    ``positive`` goes with the target: the value that means the customer left. ``max_missing`` is the largest share of
    missing cells that is accepted where ``missing`` is true; ``drift`` the largest Jensen-Shannon distance from the previous
    version, where it is not that of config/data.toml; ``severity`` says whether values out of range stop the run.
    The role 'time' is the moment a row describes.
    """

    role: Role = "feature"
    type: Kind = "category"
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()
    positive: str | None = None
    missing: bool = False
    max_missing: float = Field(default=1.0, gt=0, le=1)
    drift: float | None = Field(default=None, gt=0, le=1)
    severity: Literal["error", "warning"] = "error"
    description: str = ""

    @property
    def numeric(self) -> bool:
        return self.type in ("integer", "number")

    @model_validator(mode="after")
    def _consistent(self) -> "Column":
        if self.numeric and self.values:
            raise ValueError("'values' goes with type 'category'; numbers take 'min' and 'max'")
        if not self.numeric and (self.min is not None or self.max is not None):
            raise ValueError("'min' and 'max' go with type 'integer' or 'number'")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if (self.role == "target") != (self.positive is not None):
            raise ValueError("'positive' must be given for the target, and only there")
        if self.role == "target" and (len(self.values) != 2 or self.positive not in self.values):
            raise ValueError("the target needs two 'values', and 'positive' must be one of them")
        if self.role == "feature" and self.type in ("text", "timestamp"):
            raise ValueError(
                "a feature is 'integer', 'number' or 'category'; make features of other types numbers first"
            )
        if self.role == "time" and self.type != "timestamp":
            raise ValueError("a column with the role 'time' has the type 'timestamp'")
        return self


class Feature(Strict):
    """A derived feature: an expression over feature columns (see ``churn.expressions``), row by row."""

    expression: str
    type: Literal["number", "category"] = "number"
    description: str = ""


class Dataset(Strict):
    """config/datasets/NAME.toml. ``generate`` maps names to expressions, evaluated in order, for made-up rows;
    ``gate`` maps metric names to the least a model must reach on the holdout (the most, for errors); ``slices`` names the
    columns whose groups are judged on their own, ``value`` what a kept customer is worth; ``missing_values`` are texts
    that mean a missing cell, besides the empty one; ``decimal`` is the mark in numbers written as text; models tell the
    ``most_levels - 1`` most frequent levels of a category apart and treat the others as one."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str = ""
    registered_model: str = ""
    missing_values: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."
    columns: dict[str, Column] = Field(min_length=2)
    features: dict[str, Feature] = {}
    most_levels: int = Field(default=50, ge=2)
    gate: dict[str, float] = {}
    slices: tuple[str, ...] = ()
    value: Worth | None = None
    generate: dict[str, str] = {}

    @model_validator(mode="after")
    def _whole(self) -> "Dataset":
        for role in ("id", "target", "time"):
            found = [name for name, column in self.columns.items() if column.role == role]
            if len(found) > 1:
                raise ValueError(f"one column may have the role '{role}', not {len(found)}: {', '.join(found)}")
        if not any(column.role == "target" for column in self.columns.values()):
            raise ValueError("no column has the role 'target'")
        if not any(column.role == "feature" for column in self.columns.values()):
            raise ValueError("no column has the role 'feature'")
        for name in self.slices:
            if name not in self.raw and name not in self.features:
                raise ValueError(f"slices: '{name}' is not a feature")
        for name, feature in self.features.items():
            if name in self.columns:
                raise ValueError(f"features.{name}: a column has that name")
            try:
                expressions.check(feature.expression, set(self.raw))
            except ChurnError as error:
                raise ValueError(f"features.{name}: {error}") from None
        known: set[str] = set()
        for name, text in self.generate.items():
            try:
                expressions.check(text, known, random=True)
            except ChurnError as error:
                raise ValueError(f"generate.{name}: {error}") from None
            known.add(name)
        return self

    @property
    def model(self) -> str:
        """Name in the model registry: models of different data sets never meet."""
        return self.registered_model or f"churn-classifier-{self.name}"

    @cached_property
    def id(self) -> str | None:
        """The column that names a customer, if there is one."""
        return next((name for name, column in self.columns.items() if column.role == "id"), None)

    @cached_property
    def time(self) -> str | None:
        """The column that says which moment a row describes, if there is one."""
        return next((name for name, column in self.columns.items() if column.role == "time"), None)

    @cached_property
    def target(self) -> str:
        return next(name for name, column in self.columns.items() if column.role == "target")

    @cached_property
    def positive(self) -> str:
        value = self.columns[self.target].positive
        assert value is not None  # _consistent saw to it
        return value

    @cached_property
    def negative(self) -> str:
        return next(value for value in self.columns[self.target].values if value != self.positive)

    @cached_property
    def raw(self) -> dict[str, Column]:
        """The feature columns of the file, in order: what a request carries."""
        return {name: column for name, column in self.columns.items() if column.role == "feature"}

    @cached_property
    def used(self) -> frozenset[str]:
        """The raw columns that the derived features are computed from; all if none names any."""
        found = frozenset().union(*(expressions.columns(feature.expression) for feature in self.features.values()))
        return found or frozenset(self.raw)

    @cached_property
    def numeric(self) -> tuple[str, ...]:
        """Numeric model inputs: raw columns, then derived features."""
        derived = tuple(name for name, feature in self.features.items() if feature.type == "number")
        return tuple(name for name, column in self.raw.items() if column.numeric) + derived

    @cached_property
    def categorical(self) -> tuple[str, ...]:
        """Categorical model inputs: raw columns, then derived features."""
        derived = tuple(name for name, feature in self.features.items() if feature.type == "category")
        return tuple(name for name, column in self.raw.items() if not column.numeric) + derived


def read(values: Mapping[str, Any]) -> Dataset:
    """Rebuild a data set from ``Dataset.model_dump()`` (as kept in artifacts, snapshots and Bentos)."""
    from churn.config import check

    return check(Dataset, dict(values), "data set description")
