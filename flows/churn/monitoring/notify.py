"""Telling people: one message to a Slack-compatible webhook."""

import json
import os
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from churn.monitoring.alerts import Verdict
from churn.registry.model_registry import Registered

WEBHOOK = "CHURNFLOW_WEBHOOK"  # the address is a secret: whoever knows it can write to the channel
SECONDS = 10.0


def tell(verdict: Verdict, model: Registered, todo: str) -> str:
    """Post an alert (see ``post``); empty if there is none."""
    return post(message(verdict, model, todo)["text"]) if verdict.severity == "alert" else ""


def post(text: str) -> str:
    """Post a message to the webhook, if there is one; what came of it ("" if there is none).

    A webhook that does not answer undoes nothing: the failure is returned, without the address's path.
    """
    url = os.environ.get(WEBHOOK, "")
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return f"{WEBHOOK}: nobody was told: it is no http or https address"
    place, body = f"{parts.scheme}://{parts.netloc}", json.dumps({"text": text}).encode()
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SECONDS):
            return f"told {place}"
    except OSError as error:  # a refusal is one too
        return f"{WEBHOOK}: {place} was not told: {error}"


def message(verdict: Verdict, model: Registered, todo: str) -> dict[str, str]:
    """The message, as Slack's incoming webhooks take it."""
    lines = [f"*{verdict.severity.upper()}: {model.name} version {model.version}*", verdict.summary]
    lines += [f"• {light.question} {light.answer}" for light in verdict.lights if light.colour in ("red", "amber")]
    return {"text": "\n".join([*lines, f"Train again: `{todo}`"])}
