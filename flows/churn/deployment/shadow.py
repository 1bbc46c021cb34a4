"""Replay the last day's predictions on the new version and compare the answers, which no caller sees."""

import json
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from churn.serving import api_keys, packaging, prediction_log
from churn.serving.request import PROBE
from churn.settings.dataset import Dataset

CHUNK = 1000  # customers in a request
NAMED = 20  # changed decisions listed
SECONDS = 60.0


@dataclass(frozen=True)
class Otherwise:
    """A prediction whose decision would change: its id, both probabilities, and the new decision."""

    prediction: str
    before: float
    now: float
    decision: bool


@dataclass(frozen=True)
class Shadow:
    """The number of replayed predictions, and how their answers differ.

    ``median`` and ``largest`` are differences of probability; ``otherwise`` counts changed decisions, of which ``first`` lists
    some, the largest differences first.
    """

    rows: int
    median: float
    largest: float
    otherwise: int
    first: tuple[Otherwise, ...]


def replay(url: str, dataset: Dataset, most: int, now: datetime | None = None) -> Shadow:
    """Replay the last day's predictions, at most the newest ``most``, on the instance at ``url``.

    Raises:
        OSError: The instance does not answer.
        ValueError: The answer is not valid.
        ChurnError: The log cannot be read.
    """
    import numpy as np

    end = now or datetime.now(UTC)
    logged = prediction_log.read(dataset, end - timedelta(days=1), end).tail(most)
    if logged.empty:
        return Shadow(0, 0.0, 0.0, 0, ())
    rows = packaging.json_rows(dataset, logged)
    answers = [one for start in range(0, len(rows), CHUNK) for one in _ask(url, rows[start : start + CHUNK])]
    probability = np.array([one["probability"] for one in answers])
    differences = np.abs(probability - logged["probability"].to_numpy())
    changed = [i for i, one in enumerate(answers) if bool(one["decision"]) != bool(logged["decision"].iloc[i])]
    first = sorted(changed, key=lambda i: -differences[i])[:NAMED]
    return Shadow(
        len(rows), float(np.median(differences)), float(differences.max()), len(changed),
        tuple(
            Otherwise(str(logged["prediction_id"].iloc[i]), float(logged["probability"].iloc[i]), float(probability[i]),
                      bool(answers[i]["decision"]))
            for i in first
        ),
    )  # fmt: skip


def _ask(url: str, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    key = api_keys.first()
    headers = {"Content-Type": "application/json", PROBE: "1", **({"X-API-Key": key} if key else {})}
    request = urllib.request.Request(f"{url}/predict_batch", json.dumps({"rows": rows}).encode(), headers)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # nosec B310 - configured
        return list(json.load(answer))
