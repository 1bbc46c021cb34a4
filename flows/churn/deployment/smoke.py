"""The smoke test: a new instance answers like the model offline, rejects invalid input, and is fast."""

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
GRACE = 0.002  # seconds of difference that a comparison of two instances tolerates


@dataclass(frozen=True)
class Latency:
    """The latency of sequential requests in seconds: median, 99th percentile and number of requests."""

    version: str
    median: float
    p99: float
    number: int


def examples(model: Registered) -> list[tuple[Row, float]]:
    """The synthetic customers in the Bento's documentation, and the registered model's answers."""
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(model_registry.fetch(model, folder))
    rows = packaging.examples(scorer.dataset)
    probabilities = scorer.probability(features.from_rows(scorer.dataset, rows)).tolist()
    return list(zip(rows, probabilities, strict=True))


class Caller:
    """A persistent connection to one instance."""

    def __init__(self, url: str) -> None:
        """Prepare the connection, which the first request opens."""
        self._line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=SECONDS)
        key = api_keys.first()  # one of the service's keys
        self._headers = {"Content-Type": "application/json", PROBE: "1", **({"X-API-Key": key} if key else {})}

    def ask(self, row: Row) -> tuple[int, dict[str, object], float]:
        """Send a request. Returns status, answer and latency in seconds. Raises OSError or ValueError."""
        body, began = json.dumps(row), time.perf_counter()
        try:
            self._line.request("POST", "/predict", body, self._headers)
            answer = self._line.getresponse()
            content = json.loads(answer.read())
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__} {error}".strip()) from error
        return answer.status, content, time.perf_counter() - began


def run_checks(url: str, model: Registered, rows: Sequence[tuple[Row, float]]) -> Iterator[DeploymentCheck]:
    """Send a new instance the examples and invalid input, and read its metrics."""
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

    Returns the latencies of both; alternating exposes both to the same load on the machine. Raises OSError or ValueError.
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
    """Whether the new version is fast enough.

    Its 99th percentile must be within ``rule.p99_ms`` or, on a busy machine, close to the old version's, and its median below
    ``rule.slower`` times the old version's.
    """
    new, slowest = latencies[0], max([rule.p99_ms / 1000, *(rule.slower * old.p99 for old in latencies[1:])])
    finding = f"99 of 100 within {1000 * new.p99:.1f} ms (allowed: {1000 * slowest:.0f} ms)"
    yield DeploymentCheck("latency", new.p99 <= slowest, finding)
    for old in latencies[1:]:
        limit = rule.slower * old.median + GRACE
        finding = f"{1000 * new.median:.1f} ms, version {old.version} {1000 * old.median:.1f} ms (allowed: {1000 * limit:.1f} ms)"
        yield DeploymentCheck("median latency", new.median <= limit, finding)
