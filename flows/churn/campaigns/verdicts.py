"""The results of each campaign's reports, as JSON beside the lists, for the retention manager's page, card and Prometheus."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from churn import format_version
from churn.campaigns.outcomes import Experiment
from churn.campaigns.report import HARMED, HELPED, OPEN, Compared
from churn.errors import ChurnError
from churn.serving import batch_scoring, prediction_log
from churn.settings.dataset import Dataset
from churn.telemetry import prometheus_metrics
from churn.telemetry.prometheus_metrics import Sample

FOLDER, FORMAT = "reports", 1
_NUMBERS = {HARMED: -1, OPEN: 0, HELPED: 1}
_GAUGES = {
    "effect": prometheus_metrics.CAMPAIGN_EFFECT,
    "low": prometheus_metrics.CAMPAIGN_LOW,
    "high": prometheus_metrics.CAMPAIGN_HIGH,
    "kept": prometheus_metrics.CAMPAIGN_KEPT,
}


def keep_verdict(
    dataset: Dataset,
    campaign: str,
    lines: list[str],
    effects: Sequence[dict[str, Any]] = (),
    moment: datetime | None = None,
) -> None:
    """Replace the ``lines`` of a campaign's report, and add its ``effects`` at ``moment`` (default: now).

    ``effects`` are those of ``arm_effects``; a second report on the same day replaces the first. Raises ChurnError if they
    cannot be written.
    """
    now = datetime.now(UTC)
    before = next((one for one in kept_verdicts(dataset) if one["campaign"] == campaign), {})
    looks = {one["day"]: one for one in before.get("looks", [])}
    if effects:
        day = f"{moment or now:%Y-%m-%d}"
        looks[day] = {"day": day, "effects": list(effects)}
    content = {"campaign": campaign, "lines": lines, "day": f"{now:%Y-%m-%d}"}
    content["looks"] = [looks[day] for day in sorted(looks)]
    text = json.dumps(format_version.stamped(content, FORMAT))
    name = f"{FOLDER}/{dataset.name}/{campaign}.json"
    try:
        prediction_log.store(batch_scoring.root(), name, text.encode())
    except OSError as error:
        raise ChurnError(
            f"{batch_scoring.root()}/{name} cannot be written: {error}; correct CHURNFLOW_SCORES"
        ) from None


def kept_verdicts(dataset: Dataset) -> list[dict[str, Any]]:
    """Campaign, lines, day and looks (day and effects, earliest first) of each campaign, the latest report first."""
    from pyarrow import fs

    store, folder = prediction_log.filesystem(batch_scoring.root())
    chosen = fs.FileSelector(f"{folder}/{FOLDER}/{dataset.name}", allow_not_found=True)
    reports = []
    for info in store.get_file_info(chosen):
        if info.path.endswith(".json"):
            with store.open_input_stream(info.path) as stream:
                reports.append({"looks": [], **format_version.opened(json.loads(stream.read()), FORMAT, info.path)})
    return sorted(reports, key=lambda one: (one["day"], one["campaign"]), reverse=True)


def arm_effects(comparisons: Sequence[Compared], trial: Experiment) -> list[dict[str, Any]]:
    """For each contacted arm: its verdict, the effect with the interval for any number of looks, and the customers kept.

    ``kept`` is None where the outcome is a number, which keeps no customers.
    """
    return [
        {
            "arm": one.arm,
            "verdict": one.verdict,
            "effect": one.anytime.value,
            "low": one.anytime.low,
            "high": one.anytime.high,
            "kept": one.plain.kept[0] if trial.lost.dtype == bool else None,
        }
        for one in comparisons
    ]


def samples(kept: Sequence[dict[str, Any]]) -> list[Sample]:
    """The samples of EffectFlow: the newest look at every campaign of ``kept_verdicts``.

    A push replaces all series of a metric, so each push includes the other campaigns' as well.
    """
    newest = [(one["campaign"], one["looks"][-1]) for one in kept if one["looks"]]
    series = []
    for campaign, look in newest:
        when = datetime.fromisoformat(look["day"]).replace(tzinfo=UTC).timestamp()
        series.append(prometheus_metrics.CAMPAIGN_REPORTED.of(when, campaign=campaign))
        for one in look["effects"]:
            of = {"campaign": campaign, "arm": one["arm"]}
            series.append(prometheus_metrics.CAMPAIGN_VERDICT.of(_NUMBERS[one["verdict"]], **of))
            series += [metric.of(one[key], **of) for key, metric in _GAUGES.items() if one[key] is not None]
    return series
