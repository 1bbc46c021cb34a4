"""What a request may contain: pydantic types generated from the data set, their documentation, and the reader.

pydantic validates bodies directly from the bytes. Numbers become float64; a category accepts the spellings and missing-value
codes of training, and becomes its level. Of duplicate names the last value counts, as in most JSON parsers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, NotRequired

import msgspec
from churn.serving import request_fields
from churn.serving.request_fields import MOST_CHARACTERS, InputSettings
from churn.settings.dataset import Dataset
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter
from pydantic_core import ErrorDetails, ValidationError, from_json
from typing_extensions import TypedDict

Row = dict[str, Any]
ROWS, COLUMNS = "rows", "columns"  # the keys of predict_batch: a list of customers, or a list for each field
_typed_dict: Any = TypedDict  # its fields are known only at run time
MOST_NAMED = 10  # unknown fields named in one answer
MOST_PROBLEMS = 50  # named in one answer
PROBE = "X-Churnflow-Probe"  # header of probes: answered like any request, but neither logged nor counted as a customer
PREDICTION_ID = "^[0-9a-f]{32}$"


def _shown(value: Any) -> Any:
    """The value for an answer: short, and always valid JSON."""
    if isinstance(value, str):
        return value if len(value) <= MOST_CHARACTERS else value[:MOST_CHARACTERS] + "..."
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) >= 2**53:
        return f"{str(value)[:MOST_CHARACTERS]}"
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    return f"a list of {len(value)}" if isinstance(value, list) else value


@dataclass(frozen=True)
class Problem:
    """A problem in a request: its field (and row, from 0), the value, and what is allowed."""

    field: str
    reason: str
    value: Annotated[Any, PlainSerializer(_shown), Field(description="what was sent")]
    allowed: Annotated[str, Field(description="what may be sent")]
    row: Annotated[int | None, Field(description="index in a batch")] = None

    def as_json(self) -> dict[str, Any]:
        """The problem as the service sends it."""
        return {**vars(self), "value": _shown(self.value)}


class Rejected(Exception):
    """Raised for a request to be answered with ``status`` (4xx), a sentence, and its problems."""

    def __init__(self, status: int, message: str, problems: list[Problem] | None = None) -> None:
        """``status`` is the HTTP status; there is one problem per field."""
        super().__init__(message)
        self.status, self.message, self.problems = status, message, problems or []


class Feedback(BaseModel):
    """What became of a customer."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"prediction_id": "0" * 32, "outcome": True}]},
    )
    prediction_id: Annotated[str, Field(pattern=PREDICTION_ID)]
    outcome: Annotated[bool, Field(description="true: the customer churned")]


def _closed(**documented: Any) -> ConfigDict:
    """Configure pydantic to allow extra fields: the reader rejects them, where pydantic would report each of 400,000."""
    return ConfigDict(extra="allow", strict=True, json_schema_extra={"additionalProperties": False, **documented})


class Parts(msgspec.Struct, forbid_unknown_fields=True):
    """The boundaries of a batch's rows, or of its columns, found without parsing them."""

    rows: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    columns: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_parts = msgspec.json.Decoder(Parts)


@dataclass
class Reader:
    """Reads request bodies for ``dataset``.

    ``with_id`` allows the id column, for the log; ``examples`` are shown in the documentation; a row has at most ``most_bytes``
    bytes.
    """

    dataset: Dataset
    settings: InputSettings
    most_rows: int
    with_id: bool = False
    examples: list[Row] = field(default_factory=list)
    most_bytes: int = 65_536

    def __post_init__(self) -> None:
        """Derive the fields from the data set."""
        fields = request_fields.fields(self.dataset, self.settings, self.with_id)
        self._fields = set(fields)
        # A TypedDict, not a BaseModel: any column name can be a key, rows stay the plain dictionaries that scorer and log
        # need, and 1,000 rows are parsed in 2 ms instead of 5.
        self.Customer = _typed_dict("Customer", fields)
        about = self.dataset.description or f"One customer of {self.dataset.name}."
        self.Customer.__pydantic_config__ = _closed(description=about, examples=self.examples)
        rows = Field(min_length=1, max_length=self.most_rows)
        self.Customers = _typed_dict("Customers", {ROWS: Annotated[list[self.Customer], rows]})  # type: ignore[name-defined]
        self.Customers.__pydantic_config__ = _closed(examples=[{ROWS: self.examples}])
        self.CustomersByColumn = self._by_column()
        self._one = TypeAdapter(self.Customer)

    def _by_column(self) -> Any:
        """The documentation of a batch by column."""
        dataset, rows = self.dataset, Field(min_length=1, max_length=self.most_rows)
        lists: dict[str, Any] = {}
        for name, kind in request_fields.kinds(dataset, self.settings, self.with_id).items():
            about = Field(**request_fields.about(dataset, name))
            many: Any = Annotated[list[kind], rows, about]  # type: ignore[valid-type]
            lists[name] = NotRequired[many] if request_fields.optional(dataset, name) else many
        columns = _typed_dict("Columns", lists)
        columns.__pydantic_config__ = _closed(description="A list for each field, all of the same length.")
        batch = _typed_dict("CustomersByColumn", {COLUMNS: columns})
        example = {name: [row[name] for row in self.examples] for name in dataset.raw} if self.examples else {}
        batch.__pydantic_config__ = _closed(examples=[{COLUMNS: example}] * bool(example))
        return batch

    @cached_property
    def schemas(self) -> dict[str, Any]:
        """The JSON Schemas (2020-12) of the bodies by name, with references as in OpenAPI."""
        types = {
            "Customer": self.Customer, "Customers": self.Customers, "CustomersByColumn": self.CustomersByColumn,
            "Feedback": Feedback,
        }  # fmt: skip
        read: Any = [(name, "validation", TypeAdapter(kind)) for name, kind in types.items()]
        return TypeAdapter.json_schemas(read, ref_template="#/components/schemas/{model}")[1]["$defs"]

    def customer(self, body: bytes, number: int | None = None) -> Row:
        """Parse the body of predict or explain, or row ``number`` of a batch; None for missing values. Raises Rejected."""
        try:
            row: Row = self._one.validate_json(body)
        except ValidationError as error:
            raise self._rejected(error, body, number) from None
        if len(row) > len(self._fields):
            who = "the customer" if number is None else f"row {number}"
            raise Rejected(422, f"{who} has unknown fields", self._unknown(row, number))
        return row

    def customers(self, body: bytes) -> list[Row]:
        """Parse ``{"rows": [...]}``, the body of predict_batch by row. Raises Rejected for the first invalid row.

        Rows are parsed one by one: pydantic would parse the whole body, collect its errors and block other requests, for a third
        of a second with a row of 400,000 fields.
        """
        return self.by_row(self.parts(body).rows or [])

    def by_row(self, rows: Sequence[msgspec.Raw]) -> list[Row]:
        """``customers`` of rows that are split already."""
        self.check_number(len(rows))
        return [self.numbered(bytes(row), number) for number, row in enumerate(rows)]

    def numbered(self, row: bytes, number: int) -> Row:
        """Parse row ``number`` of a batch. Raises Rejected."""
        if len(row) > self.most_bytes:
            raise self.too_large(number)
        return self.customer(row, number)

    def too_large(self, number: int) -> Rejected:
        """The refusal of a row with too many bytes."""
        problem = Problem("body", "size", None, f"at most {self.most_bytes} bytes", number)
        return Rejected(413, f"row {number} is too large", [problem])

    def check_number(self, rows: int) -> None:
        """Raise Rejected if a batch may not have so many rows."""
        if not 1 <= rows <= self.most_rows:
            raise Rejected(422, f"there are {rows} rows", [Problem(ROWS, "rows", None, self._some)])

    @property
    def _some(self) -> str:
        return f"1 to {self.most_rows} rows"

    def parts(self, body: bytes) -> Parts:
        """Split a batch into unparsed rows or columns. Raises Rejected unless it has either.

        Commas within texts count too, so four times what a full batch needs is allowed.
        """
        most = 4 * self.most_rows * (len(self._fields) + 1)
        if len(body) > most and body.count(b",") > most:  # counting takes a tenth of the time of reading
            raise Rejected(
                413, "the body has too many values", [Problem("body", "size", None, f"at most {most} commas")]
            )
        try:
            parts = _parts.decode(body)
        except msgspec.ValidationError as error:
            raise Rejected(422, str(error)[:MOST_CHARACTERS], [Problem(ROWS, "type", None, self._some)]) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise no_json(str(error)) from None
        if (parts.rows is msgspec.UNSET) == (parts.columns is msgspec.UNSET):
            raise Rejected(
                422, f"a batch has either {ROWS!r} or {COLUMNS!r}", [Problem(ROWS, "type", None, self._some)]
            )
        return parts

    def feedback(self, body: bytes) -> Row:
        """Parse ``{"prediction_id": ..., "outcome": true}``. Raises Rejected."""
        try:
            return Feedback.model_validate_json(body).model_dump()
        except ValidationError as error:
            raise self._rejected(error, body) from None

    def warnings(self, columns: Mapping[str, Sequence[Any]]) -> list[Problem]:
        """Warnings for values that the settings let through although training has not seen them, by column and row."""
        if self.settings.unknown_category == "reject" and self.settings.out_of_range == "reject":
            return []
        return [
            Problem(name, "range" if column.numeric else "category", value, request_fields.allowed(column), number)
            for name, column in self.dataset.raw.items()
            for number, value in enumerate(columns[name])
            if value is not None and not request_fields.seen(column, value)
        ]

    def _unknown(self, row: Mapping[str, Any], number: int | None = None) -> list[Problem]:
        extra = [name for name in row if name not in self._fields][:MOST_NAMED]
        allowed = f"the fields are: {', '.join(self.names)}"
        return [Problem(name[:MOST_CHARACTERS], "unknown_field", row[name], allowed, number) for name in extra]

    @property
    def names(self) -> list[str]:
        """The fields that a customer may have, in the data set's order."""
        return [name for name in self.dataset.columns if name in self._fields]

    def _rejected(self, error: ValidationError, body: bytes, number: int | None = None) -> Rejected:
        # Without the input, which the error of each missing field would copy.
        details = error.errors(include_url=False, include_input=False)
        if details[0]["type"] == "json_invalid":
            return no_json(details[0]["msg"])
        content = from_json(body)
        problems = [self._problem(detail, content, number) for detail in details]
        if any(p.field in self._fields for p in problems) and len(content) > len(self._fields & set(content)):
            problems += self._unknown(content, number)
        where = "the request" if number is None else f"row {number}"
        more = f"; the first {MOST_PROBLEMS}" if len(problems) > MOST_PROBLEMS else ""
        return Rejected(
            422, f"{where} has {len(problems)} problem{'s' * (len(problems) != 1)}{more}", problems[:MOST_PROBLEMS]
        )

    def _problem(self, detail: ErrorDetails, content: Any, number: int | None) -> Problem:
        path = detail["loc"]
        name = str(path[-1])[:MOST_CHARACTERS] if path else "body"
        reason = _REASONS.get(detail["type"], "type")
        column = self.dataset.raw.get(name)
        may = _expected(detail) if column is None else request_fields.allowed(column, self.settings)
        value = None if reason == "missing" else content[path[-1]] if path else content
        return Problem(name, reason, value, may, number)


def no_json(why: str) -> Rejected:
    """The refusal of a body that is not JSON."""
    return Rejected(400, why, [Problem("body", "json", None, "one JSON value in UTF-8")])


_REASONS = {
    "missing": "missing", "extra_forbidden": "unknown_field", request_fields.NO_LEVEL: "category",
    "greater_than_equal": "range", "less_than_equal": "range", "finite_number": "range",
    "string_too_long": "size", "string_too_short": "size", "string_pattern_mismatch": "format",
}  # fmt: skip


def _expected(detail: ErrorDetails) -> str:
    return detail["msg"].removeprefix("Input should be ").removeprefix("Value should ")


def example(dataset: Dataset) -> dict[str, Any]:
    """A valid customer: the first allowed value of each category, or a number near the low end of the range."""
    return {name: request_fields.example(column) for name, column in dataset.raw.items()}
