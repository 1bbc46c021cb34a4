"""The service's request model, derived from the data set: one strict field per raw feature column."""

from typing import Annotated, Any, Literal

from churn.dataset import Column, Dataset
from pydantic import BaseModel, ConfigDict, Field, create_model


class Customer(BaseModel):
    """Base of the derived model; its fields are the columns, under their own names."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False, allow_inf_nan=False)

    def row(self) -> dict[str, Any]:
        """Column name to value, None for missing, as ``features.from_rows`` takes it."""
        return self.model_dump(by_alias=True)


def model(dataset: Dataset, name: str = "Customer") -> type[Customer]:
    """The request model of ``dataset``. Columns that may be missing are optional; the others must be given."""
    # Positions as field names: a column may have a name that no Python attribute can have.
    fields: dict[str, Any] = {f"c{i}": _field(column, key) for i, (key, column) in enumerate(dataset.raw.items())}
    return create_model(name, __base__=Customer, **fields)


def _field(column: Column, name: str) -> Any:
    kind: Any = str
    if column.numeric:
        bounds = Field(ge=column.min, le=column.max)
        number = int if column.type == "integer" else float
        kind = Annotated[number, bounds]
    elif column.values:
        kind = Literal[column.values]
    settings: dict[str, Any] = {"alias": name, "description": column.description or None}
    if column.missing:
        return (kind | None, Field(default=None, **settings))
    return (kind, Field(**settings))


def example(dataset: Dataset) -> dict[str, Any]:
    """A customer that the request model accepts: the first allowed value, or the middle of the range."""
    return {name: _example(column) for name, column in dataset.raw.items()}


def _example(column: Column) -> Any:
    if not column.numeric:
        return column.values[0] if column.values else "a"
    low = column.min if column.min is not None else 0.0
    middle = low + min(12.0, ((column.max - low) / 2) if column.max is not None else 12.0)
    return int(middle) if column.type == "integer" else middle
