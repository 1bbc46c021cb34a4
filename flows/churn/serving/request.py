"""What a request may say, derived from the data set: the reader that checks it, and the JSON Schema that documents it.

Checked by pydantic-core straight from the bytes. Numbers become float64; an integer column takes 12 and 12.0. A category takes
the spellings and the words for 'missing' that training takes, and what goes on is the level. Column names are dictionary keys,
so any name will do. A name that is given twice keeps its last value, as in most JSON readers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from churn.serving import request_fields
from churn.serving.request_fields import MOST_CHARACTERS, InputSettings
from churn.settings.dataset import Dataset
from pydantic_core import ErrorDetails, SchemaValidator, ValidationError, core_schema, from_json

Row = dict[str, Any]
ROWS = "rows"  # the key of predict_batch's list
MOST_NAMED = 10  # unknown fields named in one answer


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a request: which field (of which row, from 0), its value, and what is allowed."""

    field: str
    reason: str
    value: Any
    allowed: str
    row: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "field": self.field,
            "reason": self.reason,
            "value": _shown(self.value),
            "allowed": self.allowed,
            "row": self.row,
        }


class Rejected(Exception):
    """A request that is answered with ``status`` (4xx), a sentence, and its problems."""

    def __init__(self, status: int, message: str, problems: list[Problem] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.problems = status, message, problems or []


@dataclass
class Reader:
    """Reads request bodies for ``dataset``. ``with_id`` lets a customer carry the id column, for the log."""

    dataset: Dataset
    settings: InputSettings
    most_rows: int
    with_id: bool = False
    _one: SchemaValidator = field(init=False)
    _many: SchemaValidator = field(init=False)
    _feedback: SchemaValidator = field(init=False)

    def __post_init__(self) -> None:
        given = {
            name: request_fields.required(request_fields.checked(name, self.dataset, self.settings), column.missing)
            for name, column in self.dataset.raw.items()
        }
        if self.with_id and self.dataset.id is not None:
            given[self.dataset.id] = request_fields.required(request_fields.text(), missing=True)
        customer = core_schema.typed_dict_schema(given, extra_behavior="allow", strict=True)
        rows = core_schema.list_schema(customer, min_length=1, max_length=self.most_rows, strict=True, fail_fast=True)
        self._fields = set(given)
        self._whole = [name for name, column in self.dataset.raw.items() if column.type == "integer"]
        self._one = SchemaValidator(customer)
        self._many = SchemaValidator(request_fields.only({ROWS: rows}))
        self._feedback = SchemaValidator(
            request_fields.only(
                {
                    "prediction_id": request_fields.text(pattern=PREDICTION_ID),
                    "outcome": core_schema.bool_schema(strict=True),
                }
            )
        )

    def customer(self, body: bytes) -> Row:
        """The flat object of predict and explain: every column, None for missing. Raises Rejected."""
        try:
            row = self._one.validate_json(body)
        except ValidationError as error:
            raise self._rejected(error, body) from None
        if len(row) > len(self._fields):
            raise Rejected(422, "the customer has unknown fields", self._unknown(row))
        self._require_whole(row)
        return row

    def customers(self, body: bytes) -> list[Row]:
        """The rows of predict_batch, ``{"rows": [...]}``. Raises Rejected for the first bad row."""
        try:
            rows: list[Row] = self._many.validate_json(body)[ROWS]
        except ValidationError as error:
            raise self._rejected(error, body) from None
        for i, row in enumerate(rows):
            if len(row) > len(self._fields):
                raise Rejected(422, f"row {i} has unknown fields", self._unknown(row, i))
            self._require_whole(row, i)
        return rows

    def feedback(self, body: bytes) -> Row:
        """``{"prediction_id": ..., "outcome": true}``. Raises Rejected."""
        try:
            return self._feedback.validate_json(body)
        except ValidationError as error:
            raise self._rejected(error, body) from None

    def warnings(self, row: Row) -> list[Problem]:
        """What the settings let through although training has not seen it."""
        if self.settings.unknown_category == "reject" and self.settings.out_of_range == "reject":
            return []
        return [
            Problem(name, "range" if column.numeric else "category", row[name], request_fields.allowed(column))
            for name, column in self.dataset.raw.items()
            if row[name] is not None and not request_fields.seen(column, row[name])
        ]

    def _require_whole(self, row: Row, number: int | None = None) -> None:
        # pydantic's multiple_of lets pass what is whole but for a billionth: 12.000000001, and 1e-42 as well.
        for name in self._whole:
            value = row[name]
            if value is not None and not value.is_integer():
                problem = Problem(
                    name, "type", value, request_fields.allowed(self.dataset.raw[name], self.settings), number
                )
                raise Rejected(422, f"{'the request' if number is None else f'row {number}'} has 1 problem", [problem])

    def _unknown(self, row: Mapping[str, Any], number: int | None = None) -> list[Problem]:
        extra = [name for name in row if name not in self._fields][:MOST_NAMED]
        known = f"the fields are: {', '.join(self.names)}"
        return [Problem(name[:MOST_CHARACTERS], "unknown_field", row[name], known, number) for name in extra]

    @property
    def names(self) -> list[str]:
        """The fields that a customer may have, in the data set's order."""
        return [name for name in self.dataset.columns if name in self._fields]

    def _rejected(self, error: ValidationError, body: bytes) -> Rejected:
        details = error.errors(include_url=False, include_context=True)
        if details[0]["type"] == "json_invalid":
            return Rejected(400, details[0]["msg"], [Problem("body", "json", None, "one JSON value in UTF-8")])
        problems = [self._problem(detail) for detail in details]
        bad = problems[0].row
        given = from_json(body)
        row = given if bad is None else given[ROWS][bad]
        if any(p.field in self._fields for p in problems) and len(row) > len(self._fields & set(row)):
            problems += self._unknown(row, bad)
        where = "the request" if bad is None else f"row {bad}"
        return Rejected(422, f"{where} has {len(problems)} problem{'s' * (len(problems) != 1)}", problems)

    def _problem(self, detail: ErrorDetails) -> Problem:
        path = list(detail["loc"])
        row = path[1] if len(path) > 1 and path[0] == ROWS else None
        name = str(path[-1]) if path and row != path[-1] else "body"
        reason = _REASONS.get(detail["type"], "type")
        value = None if reason == "missing" else detail["input"]
        column = self.dataset.raw.get(name)
        if column is not None:
            may = request_fields.allowed(column, self.settings)
        else:
            may = f"1 to {self.most_rows} rows" if reason == "rows" else _expected(detail)
        return Problem(name, reason, value, may, row)  # type: ignore[arg-type]


PREDICTION_ID = "^[0-9a-f]{32}$"
_REASONS = {
    "missing": "missing", "extra_forbidden": "unknown_field", request_fields.NO_LEVEL: "category", "multiple_of": "type",
    "greater_than_equal": "range", "less_than_equal": "range", "finite_number": "range", "too_long": "rows",
    "too_short": "rows", "string_too_long": "size", "string_too_short": "size", "string_pattern_mismatch": "format",
}  # fmt: skip


def _expected(detail: ErrorDetails) -> str:
    return detail["msg"].removeprefix("Input should be ").removeprefix("Value should ")


def json_schema(dataset: Dataset, settings: InputSettings, with_id: bool = False) -> dict[str, Any]:
    """JSON Schema (2020-12) of one customer; what it accepts ``Reader.customer`` accepts, which also takes other spellings of a
    level.
    """
    properties = {name: request_fields.json_schema(column, settings) for name, column in dataset.raw.items()}
    if with_id and dataset.id is not None:
        properties[dataset.id] = {**request_fields.TEXT, "type": ["string", "null"]}
    return {
        "type": "object",
        "title": "Customer",
        "description": dataset.description or f"One customer of {dataset.name}.",
        "properties": properties,
        "required": [name for name, column in dataset.raw.items() if not column.missing],
        "additionalProperties": False,
    }


def example(dataset: Dataset) -> dict[str, Any]:
    """A customer that the reader accepts: the first allowed value, or a number near the low end of the range."""
    return {name: request_fields.example(column) for name, column in dataset.raw.items()}


def _shown(value: Any) -> Any:
    """The value as it may stand in an answer: short, and always valid JSON."""
    if isinstance(value, str):
        return value if len(value) <= MOST_CHARACTERS else value[:MOST_CHARACTERS] + "..."
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) >= 2**53:
        return f"{str(value)[:MOST_CHARACTERS]}"
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    return f"a list of {len(value)}" if isinstance(value, list) else value
