"""``make predict``: score a file of customers with a running service."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from churn.data import sources
from churn.errors import ChurnError
from churn.local_server import listening
from churn.serving import customer_file
from churn.settings import commands
from churn.settings.dataset import from_dump
from churn.storage import web

if TYPE_CHECKING:
    import pandas as pd

USUAL = "http://127.0.0.1:3000"
BY_COLUMN, BY_ROW = 5000, 2000  # customers in one request
ANSWER = ("probability", "decision", "prediction_id")


def rank(file: str | Path, url: str, key: str = "") -> "tuple[pd.DataFrame, tuple[str, ...]]":
    """Rank the rows of a file, the most likely to churn first; returns them as text, with notes on how the file was read.

    The first columns are rank, probability, decision and prediction id. The file is read as in training. Raises ChurnError that
    names the row and column that the service rejects, or the address at which no service answers.
    """
    import pandas as pd

    with sources.at_hand(str(file)) as files:
        content = files[0].read_bytes()
    model = ask(f"{url}/model", key=key)
    dataset = from_dump(model["dataset"])
    if Path(file).is_dir():
        every = commands.say("score", DATASET=dataset.name, SOURCE=str(file))
        raise ChurnError(f"{file}: a folder; pass one of its files, or rank them all with: {every}")
    parsed = customer_file.parse(content, str(file), dataset, list(model["schema"]["properties"]))
    if clash := [name for name in ("rank", *ANSWER) if name in parsed.header]:
        raise ChurnError(f"{file}: it already has a column {clash[0]}, which the ranked list adds; rename it")
    by_column = "columns" in model.get("batches", ())  # a service of an earlier release takes rows only
    size = min(BY_COLUMN if by_column else BY_ROW, model["limits"]["rows"])
    starts = range(0, len(parsed.rows), size)
    answers = [_batch(file, url, key, parsed, slice(start, start + size), by_column) for start in starts]
    table = pd.DataFrame(parsed.cells, columns=parsed.header)
    for place, name in enumerate(ANSWER):
        table.insert(place, name, [value for answer in answers for value in answer[name]])
    ranked = table.sort_values("probability", ascending=False, kind="stable", ignore_index=True)
    ranked.insert(0, "rank", range(1, len(ranked) + 1))
    return ranked, parsed.notes


def ask_by_id(customer: str, url: str, key: str = "") -> dict[str, Any]:
    """Score a customer whom ScoreFlow has scored before, by id. Raises what ``ask`` does."""
    answer: dict[str, Any] = ask(f"{url}/predict", {"customer_id": customer}, key)
    return answer


def ask(url: str, body: Any = None, key: str = "") -> Any:
    """Send a GET, or a POST of ``body``; returns the JSON answer. Raises Refused, or ChurnError if no service answers."""
    headers = {"Content-Type": "application/json", **({"X-API-Key": key} if key else {})}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        with web.opener(url, url, remedy="give the address that it leads to").open(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            raise Refused(url, json.load(error)) from None
        except ValueError:
            raise ChurnError(f"{url}: answered {error.code}; is this a churn service?") from None
    except OSError as error:
        why = getattr(error, "reason", error)
        raise ChurnError(f"{url}: no answer ({getattr(why, 'strerror', why)}); {_remedy(url)}") from None
    except (ValueError, http.client.HTTPException) as error:
        raise ChurnError(f"{url}: no churn service ({error}); its address is like {USUAL}") from None


def _remedy(url: str) -> str:
    """The command that starts a service at the address, if the address is on this machine."""
    address = urlsplit(url)
    if not listening.local(address.hostname or ""):
        return "check the address"
    port = "" if address.port == urlsplit(USUAL).port else str(address.port or 80)
    return f"start the service with: {commands.say('serve', DATASET=commands.NAME, PORT=port)}"


class Refused(ChurnError):
    """Raised for a 4xx of the service, with its ``problems``."""

    def __init__(self, url: str, content: Mapping[str, Any]) -> None:
        """``content`` is the JSON that the service at ``url`` sent."""
        self.problems: list[dict[str, Any]] = content.get("problems", [])
        lines = [f"  {p['field']}: {p['reason']}, got {p['value']!r}; allowed: {p['allowed']}" for p in self.problems]
        super().__init__("\n".join([f"{url}: {content.get('error', content)}", *lines]))


def _batch(
    file: str | Path, url: str, key: str, parsed: customer_file.CustomerFile, part: slice, by_column: bool
) -> dict[str, list[Any]]:
    """The values of ANSWER for a part of the file's rows."""
    rows = parsed.rows[part]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    try:
        answer = ask(f"{url}/predict_batch", {"columns": columns} if by_column else {"rows": rows}, key)
    except Refused as error:
        first = next((p for p in error.problems if p["row"] is not None), None)
        if first is None:
            raise
        number = parsed.numbers[part.start + first["row"]]
        raise ChurnError(
            f"{file}, row {number}: column {first['field']} is {first['value']!r} ({first['reason']}); "
            f"allowed: {first['allowed']}"
        ) from None
    return {name: answer[name] if by_column else [one[name] for one in answer] for name in ANSWER}
