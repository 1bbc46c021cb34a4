"""Reads a batch by column, or by row, as a list of values for each field.

A column is validated at once, with the very types that validate a row. What they refuse is put together as a row and read as
one, so that the refusal is that of the rows: the first invalid row with all of its problems.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from churn.serving import request_fields
from churn.serving.request import COLUMNS, Problem, Reader, Rejected, no_json
from pydantic import ConfigDict, FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

Lists = dict[str, list[Any]]  # the values of n customers by field; None for missing ones
Raw = Mapping[str, msgspec.Raw]
_cells = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True)
class Batch:
    """The customers of a request, and whether it had them by column."""

    values: Lists
    by_column: bool


class Batches:
    """Reads the body of predict_batch in both forms."""

    def __init__(self, reader: Reader) -> None:
        """``reader`` says what a row is."""
        dataset, most = reader.dataset, reader.most_rows
        kinds = request_fields.kinds(dataset, reader.settings, reader.with_id)
        self._reader = reader
        self._required = {name for name in kinds if not request_fields.optional(dataset, name)}
        # Without FailFast a column would collect an error for each of its values.
        self._kinds = {name: self._list_of(kind, most) for name, kind in kinds.items()}

    @staticmethod
    def _list_of(kind: Any, most: int) -> TypeAdapter[list[Any]]:
        many: Any = Annotated[list[kind], Field(max_length=most), FailFast()]
        return TypeAdapter(many, config=ConfigDict(strict=True))

    def read(self, body: bytes) -> Batch:
        """Parse ``{"rows": [...]}`` or ``{"columns": {...}}``. Raises Rejected for the first invalid row."""
        parts = self._reader.parts(body)
        if isinstance(parts.columns, dict):
            return Batch(self._by_column(parts.columns), by_column=True)
        rows = self._reader.by_row(parts.rows or [])
        return Batch({name: [row[name] for row in rows] for name in self._kinds}, by_column=False)

    def _by_column(self, columns: Raw) -> Lists:
        if not self._required <= columns.keys() <= self._kinds.keys():
            raise self._misnamed(columns)
        try:
            values = {name: self._kinds[name].validate_json(bytes(column)) for name, column in columns.items()}
        except ValidationError:
            raise self._refused(columns) from None
        if len({len(column) for column in values.values()}) > 1:
            raise self._refused(columns)
        rows = len(next(iter(values.values()), []))
        self._reader.check_number(rows)
        return {name: values[name] if name in values else [None] * rows for name in self._kinds}

    def _misnamed(self, columns: Raw) -> Rejected:
        """The refusal of columns that are unknown or absent, which a row has too: that of the first row."""
        if sum(map(len, columns)) > self._reader.most_bytes:
            return self._reader.too_large(0)
        first = {}
        for name, column in columns.items():
            cells = self._split(column)
            first[name] = bytes(cells[0]) if cells else b"null"
        return self._refused_row(first, 0)

    def _refused(self, columns: Raw) -> Rejected:
        """The refusal of columns of which one is no list, is of another length, or has an invalid value."""
        cells: dict[str, list[msgspec.Raw]] = {}
        for name, column in columns.items():
            split = self._split(column)
            if split is None:
                return self._no_list(name, column)
            cells[name] = split
        name, rows = next((name, len(split)) for name, split in cells.items())
        for other, split in cells.items():
            if len(split) != rows:
                wanted = f"{rows} values, as in column {name!r}"
                what = f"the {COLUMNS} have different numbers of values"
                return Rejected(422, what, [Problem(other, "rows", f"{len(split)} values", wanted)])
        self._reader.check_number(rows)
        first = min(self._first_invalid(name, column) for name, column in columns.items())
        return self._refused_row({name: bytes(split[int(first)]) for name, split in cells.items()}, int(first))

    @staticmethod
    def _no_list(name: str, column: msgspec.Raw) -> Rejected:
        try:
            value = from_json(bytes(column))
        except ValueError as error:  # nested too deeply, for instance
            return no_json(str(error))
        problem = Problem(name, "type", value, "a list with a value for each row")
        return Rejected(422, f"column {name!r} is no list", [problem])

    def _first_invalid(self, name: str, column: msgspec.Raw) -> float:
        """The first row that a column's type refuses; infinity if none. Raises Rejected if the column is not JSON."""
        try:
            self._kinds[name].validate_json(bytes(column))
        except ValidationError as error:
            (detail,) = error.errors(include_url=False, include_input=False)
            if detail["type"] == "json_invalid":
                raise no_json(detail["msg"]) from None
            return int(detail["loc"][0])
        return float("inf")

    def _refused_row(self, cells: Mapping[str, bytes], number: int) -> Rejected:
        row = b"{" + b",".join(to_json(name) + b":" + cell for name, cell in cells.items()) + b"}"
        try:
            self._reader.numbered(row, number)
        except Rejected as refused:
            return refused
        raise RuntimeError(f"row {number} is valid, though its batch is not")

    @staticmethod
    def _split(column: msgspec.Raw) -> list[msgspec.Raw] | None:
        try:
            return _cells.decode(column)
        except msgspec.ValidationError:
            return None
