"""Who may ask the service: keys have names and one right each, and what is no key never opens it."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from churn.errors import ChurnError
from churn.serving import api_keys
from churn.serving.api_keys import FEEDBACK, PREDICT

from bento.app import Answer, App
from bento.body import Body
from bento.service_metrics import ServiceMetrics


@pytest.mark.parametrize(
    ("told", "keys"),
    [
        ("", {}),
        ("first, second", {b"first": "key-1", b"second": "key-2"}),
        (" shop:a1 , crm : b2", {b"a1": "shop", b"b2": "crm"}),
        ("shop:a:b", {b"a:b": "shop"}),
    ],
)
def test_keys_have_names(told: str, keys: dict[bytes, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREDICT, told)
    assert api_keys.read(PREDICT) == keys


@pytest.mark.parametrize("told", [", ,", ",", " ", "shop:", ":a1", "shop:a1,", "shop:a 1", "sh op:a1", "shop:a1,shop:b2",
                                  "shop:a1,crm:a1", "shop:\u00e4"])  # fmt: skip
def test_what_is_no_key_is_refused_and_not_shown(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREDICT, told)
    with pytest.raises(ChurnError, match=r"^CHURNFLOW_API_KEYS: .*entry \d") as caught:
        api_keys.rights()
    assert "a1" not in str(caught.value)


@pytest.fixture
def app() -> App:
    keys = {PREDICT: {b"secret": "shop", b"c3": "both"}, FEEDBACK: {b"b2": "crm", b"c3": "both"}}
    made = App(ServiceMetrics({"model_version": "1"}), 1, keys)
    made.takes("/predict", lambda body: Answer(b"{}"), Body(100))
    made.takes("/feedback", lambda body, who: Answer(json.dumps(who).encode()), Body(100), signed=True, right=FEEDBACK)
    return made


def ask(app: App, path: str, key: str) -> SimpleNamespace:
    headers = [(b"content-type", b"application/json"), (b"x-api-key", key.encode())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return SimpleNamespace(status=sent[0]["status"], content=json.loads(sent[1]["body"]))


@pytest.mark.parametrize(
    ("key", "predict", "feedback"),
    [("secret", 200, 403), ("b2", 403, 200), ("c3", 200, 200), ("d4", 401, 401), ("", 401, 401)],
)
def test_feedback_has_a_right_of_its_own(app: App, key: str, predict: int, feedback: int) -> None:
    assert (ask(app, "/predict", key).status, ask(app, "/feedback", key).status) == (predict, feedback)


def test_whose_key_it_was_is_counted_and_handed_on(app: App) -> None:
    assert ask(app, "/feedback", "b2").content == "crm"
    ask(app, "/predict", "secret")
    told = app.metrics.exposition().decode()
    assert 'service_key_requests_total{endpoint="/feedback",holder="crm"} 1.0' in told
    assert 'service_key_requests_total{endpoint="/predict",holder="shop"} 1.0' in told
    assert "secret" not in told


@pytest.mark.parametrize(("variable", "closed"), [(PREDICT, {PREDICT, FEEDBACK}), (FEEDBACK, {FEEDBACK})])
def test_where_predictions_ask_for_a_key_feedback_does(
    variable: str, closed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (PREDICT, FEEDBACK):
        monkeypatch.delenv(name, raising=False)
    assert api_keys.rights() == {}
    monkeypatch.setenv(variable, "shop:a1")
    assert set(api_keys.rights()) == closed
