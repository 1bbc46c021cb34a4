"""The description of a data set, the only place that defines its columns. Read from config/datasets/NAME.toml.

The validation schema, the feature lists, the generator and the service's request model are all derived from it.
"""

import os
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from churn.errors import ChurnError
from churn.settings.core import Strict
from churn.settings.description import expressions
from churn.settings.description.column import NEVER_MISSING, Cells, Column
from churn.settings.description.spelling import Spellings
from churn.settings.events import history
from churn.settings.events.aggregate import Aggregate
from churn.settings.events.history import Label, Snapshots
from churn.settings.events.table import EventTable
from churn.settings.train import Bounds, Worth
from pydantic import AliasChoices, Field, model_validator

NAME = re.compile(r"[a-z][a-z0-9_]*")  # of a data set


def require_name(name: str) -> None:
    """Raise ChurnError, which suggests a valid name, unless ``name`` can be a data set's name."""
    if not NAME.fullmatch(name):
        raise ChurnError(
            f"{name!r} cannot be a data set's name: lowercase letters, digits and _, a letter first; "
            f"for example {file_name(name)}"
        )


def file_name(name: str) -> str:
    """The valid data set name most similar to ``name``."""
    return re.sub(r"^[^a-z]+|_+$", "", re.sub(r"[^a-z0-9]+", "_", name.lower())) or "customers"


class Feature(Strict):
    """A derived feature: an expression over feature columns (see ``churn.settings.description.expressions``), row by row."""

    expression: str
    type: Literal["number", "category"] = "number"
    description: str = ""


class Dataset(Cells):
    """config/datasets/NAME.toml.

    ``synthetic`` (``generate`` in files of earlier releases) maps names to expressions, evaluated in order, for synthetic
    customers; ``gate`` maps metric names to the minimum a model must reach on the holdout (the maximum, for errors); ``slices``
    names the columns whose groups are evaluated separately, ``value`` is the worth of a kept customer. Models distinguish the
    ``most_levels - 1`` most frequent levels of a category and treat the others as one.

    With ``tables`` of events, ``snapshots``, ``label`` and ``aggregates`` define how ``engine`` derives customers at a moment
    from them (see ``churn.settings.events``); their columns follow from these, and ``columns`` only overrides how a column is
    described.
    """

    name: str = Field(pattern=f"^{NAME.pattern}$")
    description: str = ""
    registered_model: str = ""
    features: dict[str, Feature] = {}
    most_levels: int = Field(default=50, ge=2)
    gate: Bounds = {}
    slices: tuple[str, ...] = ()
    value: Worth | None = None
    synthetic: dict[str, str] = Field(default={}, validation_alias=AliasChoices("synthetic", "generate"))
    tables: dict[str, EventTable] = {}
    snapshots: Snapshots | None = None
    label: Label | None = None
    aggregates: dict[str, Aggregate] = {}
    engine: Literal["duckdb", "postgresql", "spark"] = "duckdb"

    @model_validator(mode="after")
    def _columns_of_events(self) -> "Dataset":
        if not self.tables:
            if (
                self.snapshots is not None
                or self.aggregates
                or (self.label is not None and self.label.kind != "column")
            ):
                raise ValueError("[snapshots], [aggregates] and a [label] of events need [tables]")
            return self
        history.check(self.tables, self.snapshots, self.label, self.aggregates)
        assert self.label is not None
        columns = list(history.customer_columns(self.tables, self.label, self.aggregates))
        if len(dict(columns)) < len(columns):
            twice = next(name for name, _ in columns if [other for other, _ in columns].count(name) > 1)
            raise ValueError(f"two columns would be called '{twice}'; rename an aggregate")
        if unknown := sorted(set(self.columns) - set(dict(columns))):
            raise ValueError(
                f"columns.{unknown[0]}: none of [aggregates] gives it; there are {', '.join(dict(columns))}"
            )
        self.__dict__["columns"] = {**dict(columns), **self.columns}
        return self

    @property
    def embargo(self) -> int:
        """Days from a moment until its outcome is known; training moments precede test moments by at least this."""
        if self.snapshots is None or self.label is None:
            return 0
        return self.snapshots.gap + self.snapshots.horizon + self.label.grace

    @model_validator(mode="after")
    def _whole(self) -> "Dataset":
        for role in ("id", "target", "time"):
            named = [name for name, column in self.columns.items() if column.role == role]
            if len(named) > 1:
                raise ValueError(f"one column may have the role '{role}', not {len(named)}: {', '.join(named)}")
        if not any(column.role == "target" for column in self.columns.values()):
            raise ValueError("no column has the role 'target'")
        if not any(column.role == "feature" for column in self.columns.values()):
            raise ValueError("no column has the role 'feature'")
        for name in self.slices:
            if name not in self.raw and name not in self.features:
                raise ValueError(f"slices: '{name}' is not a feature")
        return self

    @model_validator(mode="after")
    def _expressions(self) -> "Dataset":
        raw: dict[str, expressions.Kind] = {name: "number" if c.numeric else "text" for name, c in self.raw.items()}
        for name, feature in self.features.items():
            if name in self.columns:
                raise ValueError(f"features.{name}: a column has that name")
            try:
                kind = expressions.kind_of(feature.expression, raw)
            except ChurnError as error:
                raise ValueError(f"features.{name}: {error}") from None
            if (kind == "text") != (feature.type == "category"):
                other = "category" if kind == "text" else "number"
                raise ValueError(
                    f'features.{name}: the expression gives a {kind}: write type = "{other}", or change the expression'
                )
        kinds: dict[str, expressions.Kind] = {}
        for name, text in self.synthetic.items():
            try:
                kinds[name] = expressions.kind_of(text, kinds, random=True)
            except ChurnError as error:
                raise ValueError(f"synthetic.{name}: {error}") from None
            if kinds[name] == "condition":
                kinds[name] = "number"  # a synthetic column holds 0 and 1
            if name == self.target and kinds[name] == "text":
                raise ValueError(f"synthetic.{name}: the target is made of a condition: whether the customer leaves")
        return self

    @property
    def model(self) -> str:
        """The name in the model registry, which keeps models of different data sets and namespaces apart."""
        return os.environ.get("CHURNFLOW_REGISTRY_PREFIX", "") + (
            self.registered_model or f"churn-classifier-{self.name}"
        )

    @cached_property
    def id(self) -> str | None:
        """The column that identifies a customer, if there is one."""
        return next((name for name, column in self.columns.items() if column.role == "id"), None)

    @cached_property
    def time(self) -> str | None:
        """The column with the moment that a row describes, if there is one."""
        return next((name for name, column in self.columns.items() if column.role == "time"), None)

    @cached_property
    def target(self) -> str:
        """The name of the target column."""
        return next(name for name, column in self.columns.items() if column.role == "target")

    @cached_property
    def positive(self) -> str:
        """The single value that means that the customer left in a typed table (see ``spellings``)."""
        return self.columns[self.target].left[0]

    @cached_property
    def negative(self) -> str:
        """The single value that means that the customer stayed in a typed table."""
        column = self.columns[self.target]
        return next(value for value in column.values if value not in column.left)

    def spellings(self, name: str) -> Spellings:
        """The levels of a category by spelling; all values of the target are ``positive`` or ``negative``."""
        column = self.columns[name]
        if column.role != "target":
            return super().spellings(name)
        levels = column.aliases | {level: level for level in (*column.aliases.values(), *column.values)}
        outcome = {value: self.positive if value in column.left else self.negative for value in column.values}
        return Spellings({text: outcome[level] for text, level in levels.items()}, self.fold_case and not column.values)

    @cached_property
    def raw(self) -> dict[str, Column]:
        """The file's feature columns, in order, which a request carries."""
        return {name: column for name, column in self.columns.items() if column.role == "feature"}

    @cached_property
    def used(self) -> frozenset[str]:
        """The raw columns from which the derived features are computed; all if none names any."""
        columns = frozenset().union(*(expressions.columns(feature.expression) for feature in self.features.values()))
        return columns or frozenset(self.raw)

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


def from_dump(values: Mapping[str, Any]) -> Dataset:
    """Rebuild a data set from ``Dataset.model_dump()`` (as kept in artifacts, snapshots and Bentos).

    Earlier releases allowed the target, the id or the moment to be missing; that is dropped, so that what they wrote stays
    readable.
    """
    from churn.settings.core import from_dict

    columns = {
        name: {**column, "missing": False} if column.get("role") in NEVER_MISSING else column
        for name, column in values["columns"].items()
    }
    return from_dict(Dataset, {**values, "columns": columns}, "data set description")
