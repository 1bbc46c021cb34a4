"""Strict, frozen settings read from TOML: an unknown key or a bad value is refused, naming file, key and reason."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from churn.errors import ChurnError
from pydantic import BaseModel, ConfigDict, ValidationError


class Strict(BaseModel):
    """Base of every settings model: frozen, no unknown keys, no implicit conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def __getstate__(self) -> dict[Any, Any]:
        """The fields, in order, without sets or derived values, so that all branches of a flow pickle them identically."""
        state, fields = super().__getstate__(), type(self).model_fields
        values = {name: state["__dict__"][name] for name in fields}
        fields_set = [name for name in fields if name in state["__pydantic_fields_set__"]]
        return {**state, "__dict__": values, "__pydantic_fields_set__": fields_set}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore the result of ``__getstate__``, or a pickle of an older release."""
        super().__setstate__({**state, "__pydantic_fields_set__": set(state["__pydantic_fields_set__"])})


Model = TypeVar("Model", bound=Strict)


def parse(model: type[Model], text: str, file: str | Path) -> Model:
    """Validate TOML ``text`` as ``model``; ``file`` is named in errors.

    Raises:
        ChurnError: The text is not TOML or not valid, naming file and key.
    """
    try:
        return from_dict(model, tomllib.loads(text), file)
    except tomllib.TOMLDecodeError as error:
        raise ChurnError(f"{file}: not valid TOML: {error}") from error


def load(model: type[Model], file: str | Path) -> Model:
    """Read ``file`` as ``model``.

    Raises:
        ChurnError: The file is missing, not TOML, or not valid.
    """
    return parse(model, read_text(Path(file)), file)


def read_text(file: Path) -> str:
    """The text of a config file.

    Raises:
        ChurnError: There is no such file (the message lists those that exist), or it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        names = ", ".join(sorted(path.stem for path in file.parent.glob("*.toml"))) or "none"
        if file.parent.name == "datasets":
            from churn.settings import commands, dataset  # here: a Bento packs this module but not ``commands``

            again = commands.say("dataset", SOURCE=commands.FILE, NAME=dataset.file_name(file.stem))
            message = f"{commands.shown(file)}: no such data set; there are: {names}. Describe a new one with: {again}"
        else:
            message = f"{file}: no such config file; there are, in {file.parent}: {names}"
        raise ChurnError(message) from error
    except UnicodeDecodeError as error:
        raise ChurnError(f"{file}: not UTF-8 (byte {error.start + 1}); save it as UTF-8") from error
    except OSError as error:
        raise ChurnError(f"{file}: cannot be read: {error.strerror}") from error


def from_dict(model: type[Model], values: dict[str, Any], file: str | Path) -> Model:
    """Validate ``values`` as ``model``; ``file`` is named in errors.

    Raises:
        ChurnError: A value is not valid; the message has one line per bad key.
    """
    try:
        return model.model_validate_json(_json(values))
    except ValidationError as error:
        lines = [_reason(model, problem) for problem in error.errors(include_url=False)]
        raise ChurnError("\n".join(f"{file}: {line}" for line in lines)) from None


def _json(values: dict[str, Any]) -> str:
    # JSON mode lets strict models take lists for tuples, as TOML has no tuples.
    import json

    return json.dumps(values, default=str)


def _reason(model: type[BaseModel], problem: Any) -> str:
    # pydantic adds the kind of a [[source]] after its number; the file has no such key.
    parts = [str(part) for i, part in enumerate(problem["loc"]) if not (i == 2 and problem["loc"][0] == "source")]
    key = ".".join(parts) or "top level"
    if problem["type"] == "extra_forbidden":
        keys = ", ".join(sorted(model.model_fields)) if len(problem["loc"]) == 1 else ""
        return f"unknown key '{key}'" + (f"; known keys are: {keys}" if keys else "; check its spelling or remove it")
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    reason = problem["msg"].removeprefix("Value error, ")
    value = problem.get("input")
    return f"{key}: {reason}" + (f" (got {value!r})" if isinstance(value, str | int | float | bool) else "")
