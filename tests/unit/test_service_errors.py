"""What the service makes of its own errors: an answer in the one shape, a traceback in the log, a count that fires the alert."""

import asyncio
import json
import logging
import random
import shutil
import string
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from churn.serving import prediction_log
from churn.serving.request import Problem, Rejected
from churn.telemetry import prometheus_metrics
from prometheus_client.parser import text_string_to_metric_families

from bento.app import Answer, App
from bento.body import Body
from bento.log import Log, LogSettings
from bento.service_metrics import ServiceMetrics
from tests import promql

SECONDS = 0.3
GOOD = Answer(b'{"probability": 0.5}')


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """BentoML, once it is imported, keeps its loggers' records from the root."""
    logger = logging.getLogger("bentoml.churn")
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)


def fails(_: bytes) -> Answer:
    raise ZeroDivisionError("a fault of ours")


def made(work: Callable[[bytes], Answer], long: bool = False) -> App:
    """The real application and its real metrics around one route of ours, and one that is well."""
    app = App(ServiceMetrics({"model_version": "1"}), SECONDS)
    app.takes("/predict", work, Body(1000), long=long)
    app.gives("/model", lambda: GOOD)
    return app


async def ask(app: App, path: str = "/predict", **given: Any) -> SimpleNamespace:
    """One request as a server hands it over: status, JSON content, and the seconds that it took."""
    method, receive = "POST" if path == "/predict" else "GET", given.get("receive")
    scope = {"type": "http", "method": method, "path": path, "query_string": b"",
             "headers": [(b"content-type", b"application/json")]}  # fmt: skip
    sent: list[Any] = []

    async def body() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        sent.append(message)

    begun = time.monotonic()
    await app(scope | given.get("scope", {}), receive or body, given.get("send", send))
    took = time.monotonic() - begun
    status = sent[0]["status"] if sent else None
    return SimpleNamespace(status=status, content=json.loads(sent[1]["body"]) if sent else None, took=took)


def counted(app: App) -> dict[tuple[str, str], float]:
    """Requests by endpoint and status, as a scrape of /metrics shows them; those that are not 0."""
    return {labels: number for labels, number in scraped(app).items() if number}


def scraped(app: App) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(app.metrics.exposition().decode())
    found = [
        sample for family in families for sample in family.samples if sample.name == prometheus_metrics.REQUESTS.name
    ]
    return {(sample.labels["endpoint"], sample.labels["status"]): sample.value for sample in found}


@pytest.mark.parametrize("long", [False, True], ids=["at once", "in the thread"])
@pytest.mark.parametrize("error", [ZeroDivisionError, OSError, TimeoutError, KeyError, MemoryError])
def test_what_a_route_raises_is_answered_logged_and_counted(
    error: type[Exception], long: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def work(_: bytes) -> Answer:
        raise error("the cause")

    app = made(work, long)
    answer = asyncio.run(ask(app))
    assert answer.status == 500
    assert answer.content == {"status": 500, "error": "the service failed; its log says why", "problems": []}
    assert answer.took < 10  # it took 11, and was not counted, when it was left to the server
    assert counted(app) == {("/predict", "500"): 1}
    (record,) = caplog.records
    assert record.getMessage() == "/predict: failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], error)
    assert asyncio.run(ask(app, "/model")).status == 200


@pytest.mark.parametrize("long", [False, True], ids=["at once", "in the thread"])
def test_what_fails_after_the_answer_leaves_the_answer_and_is_counted(
    long: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = made(lambda _: Answer(GOOD.body, after=lambda: fails(b"") and None), long)
    answer = asyncio.run(ask(app))
    assert (answer.status, answer.content) == (200, {"probability": 0.5})
    assert counted(app) == {("/predict", "500"): 1}
    assert "failed after its answer was sent" in caplog.text
    assert "a fault of ours" in caplog.text


def test_counting_a_refusal_may_fail_too(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bytes) -> Answer:
        raise Rejected(422, "no", [Problem("tenure", "range", -1, "more")])

    app = made(refuse)
    monkeypatch.setattr(app.metrics, "rejected", fails)
    assert asyncio.run(ask(app)).status == 500
    assert "a fault of ours" in caplog.text


def test_an_answer_that_takes_too_long_is_given_up_in_the_one_shape(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[float] = []

    def slow(_: bytes) -> Answer:
        begun.append(time.monotonic())
        time.sleep(3 * SECONDS)
        return GOOD

    app = made(slow, long=True)

    async def two() -> tuple[SimpleNamespace, SimpleNamespace]:
        return await asyncio.gather(ask(app), ask(app))

    for answer in asyncio.run(two()):
        assert answer.status == answer.content["status"] == 503
        assert answer.content["error"] == "there was no answer within 0.3 s; try again, or send less at once"
        assert answer.content["problems"] == []
        assert SECONDS <= answer.took < 2 * SECONDS
    assert len(begun) == 1, "what waits for the thread is not begun once nobody waits for it"
    assert counted(app) == {("/predict", "503"): 2}
    assert caplog.messages == ["/predict: no answer within 0.3 s"] * 2


def test_body_and_work_share_one_limit() -> None:
    async def slowly() -> dict[str, Any]:
        await asyncio.sleep(0.7 * SECONDS)
        return {"type": "http.request", "body": b"{}"}

    async def never() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError("it waited")

    def work(_: bytes) -> Answer:
        time.sleep(0.7 * SECONDS)
        return GOOD

    app = made(work, long=True)
    for receive, status in ((slowly, 503), (never, 408)):
        answer = asyncio.run(ask(app, receive=receive))
        assert answer.status == status
        assert answer.took < 1.3 * SECONDS
    assert counted(app) == {("/predict", "503"): 1, ("/predict", "408"): 1}


def test_a_caller_who_hung_up_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def send(_: Any) -> None:
        raise ConnectionResetError

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    app = made(lambda _: GOOD)
    asyncio.run(ask(app, send=send))
    asyncio.run(ask(app, receive=gone))
    assert counted(app) == {}
    assert caplog.records == []


def test_no_request_makes_a_new_series() -> None:
    def refuse(body: bytes) -> Answer:
        raise Rejected(422, "no", [Problem(body.decode(), "unknown_field", 1, "none")])

    app, rng = made(refuse), random.Random(0)

    async def send_anything() -> None:
        for _ in range(300):
            word = "".join(rng.choices(string.ascii_letters + "\n\"{}'", k=12))

            async def body(word: str = word) -> dict[str, Any]:
                return {"type": "http.request", "body": word.encode()}

            headers = [(b"content-type", b"application/json"), (b"x-" + word.encode(), b"1")]
            await ask(app, receive=body, scope={"headers": headers})
            await ask(app, f"/{word}", scope={"method": word})

    asyncio.run(send_anything())
    assert set(counted(app)) == {("/predict", "422"), ("other", "404")}
    series = [line for line in app.metrics.exposition().decode().splitlines() if not line.startswith("#")]
    assert len(series) < 100


def test_the_alert_fires_on_the_series_of_a_service_that_raises(tmp_path: Path) -> None:
    """50 requests between two scrapes, a minute apart; in the first 15 minutes one of them meets a fault."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    app, series = made(fails), {}

    async def live() -> None:
        for minute in range(30):
            for labels, number in scraped(app).items():
                series.setdefault(labels, ["_"] * minute).append(f"{number:g}")
            for path in ["/model"] * 49 + ["/predict" if minute < 15 else "/model"]:
                await ask(app, path)

    asyncio.run(live())
    name = '{}{{job="churn-service", endpoint="{}", status="{}"}}'
    (rule,) = (rule for rule in promql.rules() if rule.get("alert") == "ServiceErrors")
    said = {**rule["annotations"], "summary": "2% of the requests fail."}
    fired = [{"exp_labels": {"severity": "critical", "job": "churn-service"}, "exp_annotations": said}]
    test = {
        "interval": "1m",
        "input_series": [
            {"series": name.format(prometheus_metrics.REQUESTS.name, *labels), "values": " ".join(values)}
            for labels, values in series.items()
        ],
        "alert_rule_test": [
            {"alertname": "ServiceErrors", "eval_time": "3m", "exp_alerts": []},
            {"alertname": "ServiceErrors", "eval_time": "14m", "exp_alerts": fired},
            {"alertname": "ServiceErrors", "eval_time": "29m", "exp_alerts": []},
        ],
    }
    file = tmp_path / "series.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(promql.RULES_FILE)], "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fault_of_the_first_minute_is_seen_as_an_increase() -> None:
    """``rate()`` compares with the scrape before: the series must have been there, at 0."""
    app = made(fails)
    before = scraped(app)
    asyncio.run(ask(app))
    assert before[("/predict", "500")] == 0
    assert set(scraped(app)) == set(before)


def test_the_logs_thread_survives_what_it_cannot_encode_or_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bento.log.MOST_BACKOFF", 0.01)
    dropped: list[int] = []
    settings = LogSettings(part_seconds=0.01)
    log = Log("feedback", prediction_log.feedback_schema(), settings, str(tmp_path), dropped.append, lambda rows: None)
    store, fault = prediction_log.store, [RuntimeError("a fault of the store's")]

    def faulty(*words: Any) -> None:
        if fault:
            raise fault.pop()
        store(*words)

    monkeypatch.setattr(prediction_log, "store", faulty)
    now = time.time_ns() // 1000
    log.add([("a" * 32, now, "no truth", "one value too many")])
    until(lambda: bool(dropped))
    log.add([("b" * 32, now, True)])
    until(lambda: log.waiting == 0)
    log.close()
    assert dropped == [1]
    assert "1 rows cannot be encoded" in caplog.text
    assert "a fault of the store's" in caplog.text
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)
