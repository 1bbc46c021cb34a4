"""What a request may say, derived from the data set: the reader that checks it, and the JSON Schema that documents it.

Checked by pydantic-core straight from the bytes. Numbers become float64; an integer column takes 12 and 12.0. Column names
are dictionary keys, so any name will do. A name that is given twice keeps its last value, as in most JSON readers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from churn.config import Strict
from churn.dataset import Column, Dataset
from pydantic_core import ErrorDetails, SchemaValidator, ValidationError, core_schema, from_json

Row = dict[str, Any]
ROWS = "rows"  # the key of predict_batch's list
LARGEST = 3.4028234663852886e38  # float32, the precision of the model
MOST_CHARACTERS = 200  # of a category that is not known
MOST_NAMED = 10  # unknown fields named in one answer


class InputSettings(Strict):
    """[input] of config/serve.toml: what happens to a value that training has not seen."""

    unknown_category: Literal["reject", "unseen"] = "reject"
    out_of_range: Literal["reject", "flag"] = "reject"


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
        fields = {name: _required(_checked(c, self.settings), c.missing) for name, c in self.dataset.raw.items()}
        if self.with_id and self.dataset.id is not None:
            fields[self.dataset.id] = _required(_text(), missing=True)
        customer = core_schema.typed_dict_schema(fields, extra_behavior="allow", strict=True)
        rows = core_schema.list_schema(customer, min_length=1, max_length=self.most_rows, strict=True, fail_fast=True)
        self._fields = set(fields)
        self._whole = [name for name, column in self.dataset.raw.items() if column.type == "integer"]
        self._one = SchemaValidator(customer)
        self._many = SchemaValidator(_only({ROWS: rows}))
        self._feedback = SchemaValidator(
            _only({"prediction_id": _text(pattern=PREDICTION_ID), "outcome": core_schema.bool_schema(strict=True)})
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
            Problem(name, "range" if column.numeric else "category", row[name], allowed(column))
            for name, column in self.dataset.raw.items()
            if row[name] is not None and not _seen(column, row[name])
        ]

    def _require_whole(self, row: Row, number: int | None = None) -> None:
        # pydantic's multiple_of lets pass what is whole but for a billionth: 12.000000001, and 1e-42 as well.
        for name in self._whole:
            value = row[name]
            if value is not None and not value.is_integer():
                problem = Problem(name, "type", value, allowed(self.dataset.raw[name], self.settings), number)
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
            may = allowed(column, self.settings)
        else:
            may = f"1 to {self.most_rows} rows" if reason == "rows" else _expected(detail)
        return Problem(name, reason, value, may, row)  # type: ignore[arg-type]


PREDICTION_ID = "^[0-9a-f]{32}$"
_REASONS = {
    "missing": "missing", "extra_forbidden": "unknown_field", "literal_error": "category", "multiple_of": "type",
    "greater_than_equal": "range", "less_than_equal": "range", "finite_number": "range", "too_long": "rows",
    "too_short": "rows", "string_too_long": "size", "string_too_short": "size", "string_pattern_mismatch": "format",
}  # fmt: skip


def _expected(detail: ErrorDetails) -> str:
    return detail["msg"].removeprefix("Input should be ").removeprefix("Value should ")


def _required(schema: core_schema.CoreSchema, missing: bool) -> core_schema.TypedDictField:
    if not missing:
        return core_schema.typed_dict_field(schema)
    optional = core_schema.with_default_schema(core_schema.nullable_schema(schema), default=None)
    return core_schema.typed_dict_field(optional, required=False)


def _only(fields: Mapping[str, core_schema.CoreSchema]) -> core_schema.CoreSchema:
    given = {name: core_schema.typed_dict_field(schema) for name, schema in fields.items()}
    return core_schema.typed_dict_schema(given, extra_behavior="forbid", strict=True)


def _text(pattern: str | None = None) -> core_schema.CoreSchema:
    return core_schema.str_schema(min_length=1, max_length=MOST_CHARACTERS, pattern=pattern, strict=True)


def _bounds(column: Column, settings: InputSettings) -> tuple[float, float]:
    low, high = (column.min, column.max) if settings.out_of_range == "reject" else (None, None)
    return -LARGEST if low is None else low, LARGEST if high is None else high


def _closed(column: Column, settings: InputSettings) -> bool:
    return bool(column.values) and settings.unknown_category == "reject"


def _checked(column: Column, settings: InputSettings) -> core_schema.CoreSchema:
    if column.numeric:
        low, high = _bounds(column, settings)
        whole = 1 if column.type == "integer" else None
        return core_schema.float_schema(ge=low, le=high, multiple_of=whole, allow_inf_nan=False, strict=True)
    return core_schema.literal_schema(list(column.values)) if _closed(column, settings) else _text()


def _seen(column: Column, value: Any) -> bool:
    if not column.numeric:
        return not column.values or value in column.values
    return (column.min is None or value >= column.min) and (column.max is None or value <= column.max)


def allowed(column: Column, settings: InputSettings | None = None) -> str:
    """What the column takes, in words."""
    chosen = settings or InputSettings()
    if column.numeric:
        low, high = _bounds(column, chosen)
        kind = "a whole number" if column.type == "integer" else "a number"
        bounds = [f"at least {low:g}"] * (low != -LARGEST) + [f"at most {high:g}"] * (high != LARGEST)
        words = " ".join([kind, " and ".join(bounds)]).strip()
    elif _closed(column, chosen):
        words = "one of: " + ", ".join(column.values)
    else:
        words = f"a text of 1 to {MOST_CHARACTERS} characters"
    return f"{words}, or null" if column.missing else words


def json_schema(dataset: Dataset, settings: InputSettings, with_id: bool = False) -> dict[str, Any]:
    """JSON Schema (2020-12) of one customer; it accepts exactly what ``Reader.customer`` accepts."""
    properties = {name: _json_field(column, settings) for name, column in dataset.raw.items()}
    if with_id and dataset.id is not None:
        properties[dataset.id] = {"type": ["string", "null"], "minLength": 1, "maxLength": MOST_CHARACTERS}
    return {
        "type": "object",
        "title": "Customer",
        "description": dataset.description or f"One customer of {dataset.name}.",
        "properties": properties,
        "required": [name for name, column in dataset.raw.items() if not column.missing],
        "additionalProperties": False,
    }


def _json_field(column: Column, settings: InputSettings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if column.numeric:
        low, high = _bounds(column, settings)
        found = {"type": column.type, "minimum": _plain(low), "maximum": _plain(high)}
    elif _closed(column, settings):
        found = {"type": "string", "enum": list(column.values)}
    else:
        found = {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS}
    if column.missing:
        found["type"] = [found["type"], "null"]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    return {**found, "description": column.description} if column.description else found


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) and abs(number) < 2**53 else number


def example(dataset: Dataset) -> dict[str, Any]:
    """A customer that the reader accepts: the first allowed value, or a number near the low end of the range."""
    return {name: _example(column) for name, column in dataset.raw.items()}


def _example(column: Column) -> Any:
    if not column.numeric:
        return column.values[0] if column.values else "a"
    low = column.min if column.min is not None else min(0.0, column.max or 0.0)
    step = min(12.0, (column.max - low) / 2) if column.max is not None else 12.0
    return math.ceil(low) + int(step) if column.type == "integer" else low + step


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
