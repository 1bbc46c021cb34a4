"""What one field of a request may hold, derived from its column: the check, the level it stands for, and both in words."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from churn.settings.column import Column
from churn.settings.core import Strict
from churn.settings.dataset import Dataset
from pydantic_core import PydanticKnownError, core_schema

LARGEST = 3.4028234663852886e38  # float32, the precision of the model
MOST_CHARACTERS = 200  # of a category that is not known
NO_LEVEL: Literal["literal_error"] = "literal_error"
TEXT = {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS, "pattern": r"\S"}  # more than blanks


class InputSettings(Strict):
    """[input] of config/serve.toml: what happens to a value that training has not seen."""

    unknown_category: Literal["reject", "unseen"] = "reject"
    out_of_range: Literal["reject", "flag"] = "reject"


def required(schema: core_schema.CoreSchema, missing: bool) -> core_schema.TypedDictField:
    """The field of a row that holds ``schema``; with ``missing`` it may be null or left out."""
    if not missing:
        return core_schema.typed_dict_field(schema)
    optional = core_schema.with_default_schema(core_schema.nullable_schema(schema), default=None)
    return core_schema.typed_dict_field(optional, required=False)


def only(fields: Mapping[str, core_schema.CoreSchema]) -> core_schema.CoreSchema:
    """An object of these fields and no other."""
    given = {name: core_schema.typed_dict_field(schema) for name, schema in fields.items()}
    return core_schema.typed_dict_schema(given, extra_behavior="forbid", strict=True)


def text(pattern: str | None = None) -> core_schema.CoreSchema:
    """A short text, of ``pattern`` or without the blanks around it, as the cells of a table."""
    return core_schema.str_schema(
        min_length=1, max_length=MOST_CHARACTERS, pattern=pattern, strict=True, strip_whitespace=pattern is None
    )


def _bounds(column: Column, settings: InputSettings) -> tuple[float, float]:
    low, high = (column.min, column.max) if settings.out_of_range == "reject" else (None, None)
    return -LARGEST if low is None else low, LARGEST if high is None else high


def _closed(column: Column, settings: InputSettings) -> bool:
    return bool(column.values) and settings.unknown_category == "reject"


def checked(name: str, dataset: Dataset, settings: InputSettings) -> core_schema.CoreSchema:
    """What a column's field takes, and makes of it: a float, or the level."""
    column = dataset.raw[name]
    if column.numeric:
        low, high = _bounds(column, settings)
        whole = 1 if column.type == "integer" else None
        return core_schema.float_schema(ge=low, le=high, multiple_of=whole, allow_inf_nan=False, strict=True)
    if not (column.values or column.aliases or dataset.fold_case or dataset.missing_words(name)):
        return text()
    closed = _closed(column, settings)
    read = core_schema.no_info_after_validator_function(_level(name, dataset, closed), text())
    if not closed:
        return read
    # Nearly every text is a level as it stands, and that is found without Python.
    levels = core_schema.literal_schema(list(column.values))
    return core_schema.union_schema(
        [levels, read], mode="left_to_right", custom_error_type=NO_LEVEL, custom_error_context={"expected": "a level"}
    )


def _level(name: str, dataset: Dataset, closed: bool) -> Callable[[str], str | None]:
    """The function that gives the level of a text, as ``cast`` does; None where that is missing."""
    column, missing, spellings = dataset.raw[name], dataset.missing_words(name), dataset.spellings(name)
    values = frozenset(column.values)

    def level(text: str) -> str | None:
        found = "" if text in missing else spellings.level(text)
        if found in values or (found and not closed):
            return found
        if found or not column.missing:
            raise PydanticKnownError(NO_LEVEL, {"expected": "a level"})
        return None

    return level


def seen(column: Column, value: Any) -> bool:
    """Whether training may have seen the value."""
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


def json_schema(column: Column, settings: InputSettings) -> dict[str, Any]:
    """JSON Schema of a column's field."""
    found: dict[str, Any] = {}
    if column.numeric:
        low, high = _bounds(column, settings)
        found = {"type": column.type, "minimum": _plain(low), "maximum": _plain(high)}
    elif _closed(column, settings):
        found = {"type": "string", "enum": list(column.values)}
    else:
        found = {**TEXT}
    if column.missing:
        found["type"] = [found["type"], "null"]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    return {**found, "description": column.description} if column.description else found


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) and abs(number) < 2**53 else number


def example(column: Column) -> Any:
    """A value that the column takes: the first level, or a number near the low end of the range."""
    if not column.numeric:
        return column.values[0] if column.values else "a"
    low = column.min if column.min is not None else min(0.0, column.max or 0.0)
    step = min(12.0, (column.max - low) / 2) if column.max is not None else 12.0
    return math.ceil(low) + int(step) if column.type == "integer" else low + step
