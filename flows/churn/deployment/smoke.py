"""The first questions to a new instance: it answers as the model does offline, refuses what is wrong, and is quick."""

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from churn.data import features
from churn.deployment import scrape
from churn.deployment.checks import DeploymentCheck
from churn.registry import model_registry
from churn.registry.model_registry import Registered
from churn.serving import api_keys, packaging
from churn.serving.request import PROBE, Row
from churn.settings.deploy import Rollout
from churn.training.onnx_scorer import Scorer

EXACT = 1e-5
REQUESTS = 200
SECONDS = 10.0
GRACE = 0.002  # seconds that a comparison of two instances forgives


@dataclass(frozen=True)
class Latency:
    """Seconds of a version's answers one after the other: the median, the 99th percentile and how many there were."""

    version: str
    median: float
    p99: float
    number: int


def examples(model: Registered) -> list[tuple[Row, float]]:
    """The synthetic customers of the Bento's documentation, and what the registered model answers."""
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(model_registry.fetch(model, folder))
    rows = packaging.examples(scorer.dataset)
    probabilities = scorer.probability(features.from_rows(scorer.dataset, rows)).tolist()
    return list(zip(rows, probabilities, strict=True))


class Caller:
    """A connection that is kept to one instance."""

    def __init__(self, url: str) -> None:
        """Connects with the first request."""
        self._line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=SECONDS)
        key = api_keys.first()  # the service's; one of them is ours
        self._headers = {"Content-Type": "application/json", PROBE: "1", **({"X-API-Key": key} if key else {})}

    def ask(self, row: Row) -> tuple[int, dict[str, object], float]:
        """Status, answer and seconds. Raises OSError or ValueError."""
        body, began = json.dumps(row), time.perf_counter()
        try:
            self._line.request("POST", "/predict", body, self._headers)
            answer = self._line.getresponse()
            content = json.loads(answer.read())
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__} {error}".strip()) from error
        return answer.status, content, time.perf_counter() - began


def run_checks(url: str, model: Registered, rows: Sequence[tuple[Row, float]]) -> Iterator[DeploymentCheck]:
    """Ask a new instance for the examples, for nonsense, and for its metrics."""
    try:
        caller = Caller(url)
        answers = [caller.ask(row) for row, _ in rows]
        bad = caller.ask({"no_such_column": 1})[0]
        versions = scrape.look(url).versions
    except (OSError, ValueError) as error:
        yield DeploymentCheck("answers", False, f"{url} does not answer: {error}")
        return
    wrong = [f"{status} {json.dumps(answer)[:200]}" for status, answer, _ in answers if status != 200]
    gap = max((abs(float(str(a["probability"])) - p) for (s, a, _), (_, p) in zip(answers, rows, strict=True) if s == 200),
              default=0.0)  # fmt: skip
    yield DeploymentCheck("examples", not wrong, wrong[0] if wrong else f"all {len(rows)} answered")
    yield DeploymentCheck("probabilities", gap <= EXACT, f"differ from the model's by at most {gap:.0e}")
    yield DeploymentCheck("bad input", bad == 422, f"is answered {bad}")
    yield DeploymentCheck("metrics", versions == (model.version,), f"name version {', '.join(versions) or 'none'}")


def race(new: str, old: str, rows: Sequence[tuple[Row, float]], versions: tuple[str, str]) -> list[Latency]:
    """Send REQUESTS to the new instance, alternating with as many to an ``old`` one, if there is one.

    Returns the latencies of both: what slows the machine down slows both. Raises OSError or ValueError.
    """
    callers = [Caller(url) for url in (new, old) if url]
    seconds: list[list[float]] = [[] for _ in callers]
    for number in range(REQUESTS):
        for caller, taken in zip(callers, seconds, strict=True):
            taken.append(caller.ask(rows[number % len(rows)][0])[2])
    return [
        Latency(version, statistics.median(taken), sorted(taken)[int(0.99 * len(taken))], len(taken))
        for version, taken in zip(versions, seconds, strict=False)
    ]


def quick(latencies: Sequence[Latency], rule: Rollout) -> Iterator[DeploymentCheck]:
    """Whether the new version is quick enough.

    It is within ``rule.p99_ms``, or as near to it as the old one on a busy machine, and its median is not
    ``rule.slower`` times as slow as the old one.
    """
    new, slowest = latencies[0], max([rule.p99_ms / 1000, *(rule.slower * old.p99 for old in latencies[1:])])
    finding = f"99 of 100 within {1000 * new.p99:.1f} ms (allowed: {1000 * slowest:.0f} ms)"
    yield DeploymentCheck("latency", new.p99 <= slowest, finding)
    for old in latencies[1:]:
        limit = rule.slower * old.median + GRACE
        finding = f"{1000 * new.median:.1f} ms, version {old.version} {1000 * old.median:.1f} ms (allowed: {1000 * limit:.1f} ms)"
        yield DeploymentCheck("median latency", new.median <= limit, finding)
