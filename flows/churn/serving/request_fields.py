"""The fields of a request, by column: pydantic type, category level, and a description of both."""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NotRequired

from churn.settings.core import Strict
from churn.settings.dataset import Dataset
from churn.settings.description.column import Column
from pydantic import AfterValidator, Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

LARGEST = 3.4028234663852886e38  # float32, the precision of the model
MOST_CHARACTERS = 200  # maximum length of an unknown category
NO_LEVEL: Literal["literal_error"] = "literal_error"
NOT_WHOLE: Literal["not_whole"] = "not_whole"
_SHORT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS}


class InputSettings(Strict):
    """[input] of config/serve.toml: how to handle values that training has not seen."""

    unknown_category: Literal["reject", "unseen"] = "reject"
    out_of_range: Literal["reject", "flag"] = "reject"


def kinds(dataset: Dataset, settings: InputSettings, with_id: bool) -> dict[str, Any]:
    """The annotation of a value of each field of a customer, by name; ``with_id`` adds the id column."""
    by_name = {
        name: kind | None if dataset.raw[name].missing else kind
        for name, kind in ((name, _checked(name, dataset, settings)) for name in dataset.raw)
    }
    if with_id and dataset.id is not None:
        by_name[dataset.id] = Text | None
    return by_name


def fields(dataset: Dataset, settings: InputSettings, with_id: bool) -> dict[str, Any]:
    """The annotation of each field of a customer, by name; ``with_id`` adds the id column.

    A field whose column may be missing accepts null, or may be omitted; both become None.
    """
    by_name = kinds(dataset, settings, with_id)
    return {
        name: _field(kind, **about(dataset, name), missing=optional(dataset, name)) for name, kind in by_name.items()
    }


def about(dataset: Dataset, name: str) -> dict[str, Any]:
    """Title and description of a field, for the documentation."""
    return {"title": name, "description": dataset.columns[name].description or None}


def optional(dataset: Dataset, name: str) -> bool:
    """Whether a customer may lack the field."""
    return name not in dataset.raw or dataset.raw[name].missing


def _field(kind: Any, missing: bool, **about: Any) -> Any:
    if missing:
        return NotRequired[Annotated[kind, Field(default=None, **about)]]
    return Annotated[kind, Field(**about)]


def _text(pattern: str | None = None) -> core_schema.CoreSchema:
    return core_schema.str_schema(
        min_length=1, max_length=MOST_CHARACTERS, pattern=pattern, strict=True, strip_whitespace=pattern is None
    )


# A short text, stripped like the cells of a table; its JSON Schema requires more than whitespace.
Text = Annotated[str, GetPydanticSchema(lambda _, __: _text()), WithJsonSchema({**_SHORT, "pattern": r"\S"})]


def _bounds(column: Column, settings: InputSettings) -> tuple[float, float]:
    low, high = (column.min, column.max) if settings.out_of_range == "reject" else (None, None)
    return -LARGEST if low is None else low, LARGEST if high is None else high


def _closed(column: Column, settings: InputSettings) -> bool:
    return bool(column.values) and settings.unknown_category == "reject"


def _whole(value: float) -> float:
    # pydantic's multiple_of tolerates a billionth: it accepts 12.000000001 and 1e-42.
    if not value.is_integer():
        raise PydanticCustomError(NOT_WHOLE, "Input should be a whole number")
    return value


def _checked(name: str, dataset: Dataset, settings: InputSettings) -> Any:
    """The validation of a column's field, which returns a float (integer columns accept 12 and 12.0) or the level."""
    column = dataset.raw[name]
    if column.numeric:
        low, high = _bounds(column, settings)
        number = Annotated[float, Field(ge=low, le=high, allow_inf_nan=False)]
        if column.type != "integer":
            return number
        return Annotated[number, AfterValidator(_whole), Field(json_schema_extra={"type": "integer"})]
    if not (column.values or column.aliases or dataset.fold_case or dataset.missing_words(name)):
        return Text
    closed = _closed(column, settings)
    read = core_schema.no_info_after_validator_function(_level(name, dataset, closed), _text())
    if not closed:
        return Annotated[Text, GetPydanticSchema(lambda _, __: read), WithJsonSchema({**_SHORT, "pattern": r"\S"})]
    # Nearly every text is a level verbatim, which needs no Python code to check. Only levels are documented; their other
    # spellings are accepted too.
    either = core_schema.union_schema(
        [core_schema.literal_schema(list(column.values)), read],
        mode="left_to_right", custom_error_type=NO_LEVEL, custom_error_context={"expected": "a level"},
    )  # fmt: skip
    documented = WithJsonSchema({"type": "string", "enum": list(column.values)})
    return Annotated[str, GetPydanticSchema(lambda _, __: either), documented]


def _level(name: str, dataset: Dataset, closed: bool) -> Callable[[str], str | None]:
    """A function that maps a text to its level, as ``cast`` does, or to None if it means missing."""
    column, missing, spellings = dataset.raw[name], dataset.missing_words(name), dataset.spellings(name)
    values = frozenset(column.values)

    def level(text: str) -> str | None:
        cell = "" if text in missing else spellings.level(text)
        if cell in values or (cell and not closed):
            return cell
        if cell or not column.missing:
            raise PydanticKnownError(NO_LEVEL, {"expected": "a level"})
        return None

    return level


def seen(column: Column, value: Any) -> bool:
    """Whether training may have seen the value."""
    if not column.numeric:
        return not column.values or value in column.values
    return (column.min is None or value >= column.min) and (column.max is None or value <= column.max)


def allowed(column: Column, settings: InputSettings | None = None) -> str:
    """The values that the column accepts, in words."""
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


def example(column: Column) -> Any:
    """A valid value of the column: the first level, or a number near the low end of the range."""
    if not column.numeric:
        return column.values[0] if column.values else "a"
    low = column.min if column.min is not None else min(0.0, column.max or 0.0)
    step = min(12.0, (column.max - low) / 2) if column.max is not None else 12.0
    return math.ceil(low) + int(step) if column.type == "integer" else low + step
