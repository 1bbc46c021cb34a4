"""Notifications: one message to a Slack-compatible webhook."""

import json
import os
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from churn.monitoring.alerts import Assessment
from churn.registry.model_registry import Registered

WEBHOOK = "CHURNFLOW_WEBHOOK"  # a secret: anyone who knows the URL can write to the channel
SECONDS = 10.0


def post_alert(assessment: Assessment, model: Registered, command: str) -> str:
    """Post an alert to the webhook (see ``post``); "" if there is none."""
    return post(message(assessment, model, command)["text"]) if assessment.severity == "alert" else ""


def post(text: str) -> str:
    """Post a message to the webhook, if one is configured.

    Returns:
        A message for the log; empty without a webhook. A failing webhook does not stop the run: the message then describes the
        failure, without the path of the URL.
    """
    url = os.environ.get(WEBHOOK, "")
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return f"{WEBHOOK}: no message was sent: it is not an http or https address"
    place, body = f"{parts.scheme}://{parts.netloc}", json.dumps({"text": text}).encode()
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SECONDS):  # nosec B310 - http or https
            return f"sent a message to {place}"
    except OSError as error:  # HTTP errors are OSErrors too
        return f"{WEBHOOK}: no message was sent to {place}: {error}"


def message(assessment: Assessment, model: Registered, command: str) -> dict[str, str]:
    """The message in the format of Slack's incoming webhooks."""
    lines = [f"*{assessment.severity.upper()}: {model.name} version {model.version}*", assessment.summary]
    lines += [f"• {light.question} {light.answer}" for light in assessment.lights if light.colour in ("red", "amber")]
    return {"text": "\n".join([*lines, f"Train again: `{command}`"])}
