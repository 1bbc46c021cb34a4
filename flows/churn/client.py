"""A file of customers against a running service: ``make predict``."""

import json
import math
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn import commands
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 2000  # rows in one request
ANSWER = ("probability", "decision", "prediction_id")


def rank(file: str | Path, url: str, key: str = "") -> "pd.DataFrame":
    """The CSV file's rows (as text) with rank, probability, decision and prediction id in front, likeliest churn first.

    Raises ChurnError naming the line and column that the service refuses, or the address where no service answers.
    """
    table = _read(file)
    model = ask(f"{url}/model", key=key)
    missing = [name for name in model["schema"]["required"] if name not in table]
    if missing:
        raise ChurnError(f"{file}: no column {', '.join(missing)}; the service needs it for every customer")
    rows = _rows(table, model["schema"]["properties"])
    size = min(CHUNK, model["limits"]["rows"])
    answers = [answer for start in range(0, len(rows), size) for answer in _batch(file, url, key, rows, start, size)]
    for place, name in enumerate(ANSWER):
        table.insert(place, name, [answer[name] for answer in answers])
    ranked = table.sort_values("probability", ascending=False, kind="stable", ignore_index=True)
    ranked.insert(0, "rank", range(1, len(ranked) + 1))
    return ranked


def ask(url: str, body: Any = None, key: str = "") -> Any:
    """The JSON answer to a GET, or to a POST of ``body``. Raises Refused, or ChurnError if there is no service."""
    headers = {"Content-Type": "application/json", **({"X-API-Key": key} if key else {})}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            raise Refused(url, json.load(error)) from None
        except ValueError:
            raise ChurnError(f"{url}: answered {error.code}; is this a churn service?") from None
    except OSError as error:
        raise ChurnError(f"{url}: no answer ({error}); start the service with: {commands.say('serve')}") from None


class Refused(ChurnError):
    """The service's refusal: ``problems`` as it sent them."""

    def __init__(self, url: str, content: Mapping[str, Any]) -> None:
        self.problems: list[dict[str, Any]] = content.get("problems", [])
        lines = [f"  {p['field']}: {p['reason']}, got {p['value']!r}; allowed: {p['allowed']}" for p in self.problems]
        super().__init__("\n".join([f"{url}: {content.get('error', content)}", *lines]))


def _read(file: str | Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise ChurnError(f"{file}: cannot be read as CSV: {error}") from None
    clash = [name for name in ("rank", *ANSWER) if name in table]
    if clash or table.empty:
        reason = f"it has a column {clash[0]} already" if clash else "it has no rows"
        raise ChurnError(f"{file}: {reason}; give a CSV file with a header line and one customer a line")
    return table


def _rows(table: "pd.DataFrame", properties: Mapping[str, Any]) -> list[dict[str, Any]]:
    known = [str(name) for name in table if name in properties]
    numeric = {name for name in known if not {"number", "integer"}.isdisjoint(_types(properties[name]))}
    columns = {name: [_value(text, name in numeric) for text in table[name]] for name in known}
    return [dict(zip(known, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _types(schema: Mapping[str, Any]) -> list[str]:
    return schema["type"] if isinstance(schema["type"], list) else [schema["type"]]


def _value(text: str, numeric: bool) -> str | float | None:
    if not text.strip():
        return None
    if numeric:
        try:
            number = float(text)
        except ValueError:
            return text  # the service says what is wrong with it
        return number if math.isfinite(number) else text
    return text


def _batch(file: str | Path, url: str, key: str, rows: list[Any], start: int, size: int) -> Iterator[dict[str, Any]]:
    try:
        yield from ask(f"{url}/predict_batch", {"rows": rows[start : start + size]}, key)
    except Refused as error:
        first = next((p for p in error.problems if p["row"] is not None), None)
        if first is None:
            raise
        line = start + first["row"] + 2  # counted from 1, after the header
        raise ChurnError(
            f"{file}, line {line}: column {first['field']} is {first['value']!r} ({first['reason']}); allowed: {first['allowed']}"
        ) from None
