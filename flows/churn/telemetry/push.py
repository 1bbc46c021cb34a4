"""Metrics of batch runs: a file for node_exporter's textfile collector, and a push to a Pushgateway.

A batch job ends before it is scraped, so its metrics are kept elsewhere: in STATE/metrics/*.prom (OpenMetrics, which
node_exporter reads too: point ``--collector.textfile.directory`` there), and, if CHURNFLOW_PUSHGATEWAY is set
(``http://host:9091``), in that Pushgateway. Both keep one group per flow, or per flow and data set; a push replaces the
metrics of the same name in its group and no others: a failed run leaves the last success in place.

Run totals. A counter that each run starts at zero, increments and pushes would be 1 forever, and adding to the pushed value
would lose runs that end at the same time. ``pipeline_runs_total`` is therefore never incremented here: the caller counts
the runs in Metaflow's run store and pushes the count, so ``increase()`` and ``rate()`` are correct. The next push makes up
for a lost one. A run that was killed has no outcome and is not counted: the age of
``pipeline_last_success_timestamp_seconds`` reveals it. Durations and scores are gauges of the last run, not histograms.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from churn.settings.environment import STATE
from churn.telemetry import prometheus_metrics
from churn.telemetry.prometheus_metrics import Sample

if TYPE_CHECKING:
    from churn.registry.model_registry import Registered
    from churn.validation.checks import Report
    from prometheus_client import Metric as Family

GATEWAY = "CHURNFLOW_PUSHGATEWAY"
FOLDER = STATE / "metrics"
JOB = "churnflow"
SECONDS = 5.0  # an unresponsive Pushgateway must not delay a run


def send(group: Mapping[str, str], samples: Iterable[Sample]) -> list[str]:
    """Write and push ``samples`` with the labels of ``group``: {"flow": ...} or {"flow": ..., "dataset": ...}.

    Returns:
        The problems, one sentence each, for the caller to print: losing its metrics does not fail a run.
    """
    families = list(_families(group, samples))
    problems = []
    try:
        _write(FOLDER / f"{'-'.join(group.values())}.prom", families)
    except OSError as error:
        problems.append(f"The metrics file is not written: {error}.")
    if gateway := os.environ.get(GATEWAY):
        try:
            _push(gateway, group, families)
        except (OSError, HTTPException, ValueError) as error:
            problems.append(f"The metrics are not pushed: {GATEWAY}={gateway}: {error}.")
    return problems


def quality_samples(report: "Report") -> list[Sample]:
    """The samples of DataFlow: the results of the checks, even if the table is refused."""
    return [
        prometheus_metrics.QUALITY.of(report.score),
        prometheus_metrics.CHECKS_FAILED.of(len(report.errors), severity="error"),
        prometheus_metrics.CHECKS_FAILED.of(len(report.warnings), severity="warning"),
        prometheus_metrics.ROWS.of(report.rows, use="used"),
        prometheus_metrics.ROWS.of(report.set_aside, use="set_aside"),
    ]


def arrival_samples() -> list[Sample]:
    """The sample of ProbeFlow when it was started by its own event."""
    return [prometheus_metrics.EVENT_ARRIVED.of(time.time())]


def champion_samples(model: "Registered") -> list[Sample]:
    """The samples of TrainFlow: the champion (the new model, or the one it did not beat) and its scores."""
    about = {"data_version": model.tags["data_version"], "family": model.tags["family"]}
    samples = [prometheus_metrics.VERSION_INFO.of(1, model_version=model.version, **about)]
    if promoted := model.tags.get("promoted_at"):
        samples.append(prometheus_metrics.PROMOTED.of(datetime.fromisoformat(promoted).timestamp()))
    for score, metric in prometheus_metrics.SCORES.items():
        if value := model.tags.get(f"score.{score}"):
            samples.append(metric.of(float(value), model_version=model.version))
    return samples


def _families(group: Mapping[str, str], samples: Iterable[Sample]) -> Iterator["Family"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    families: dict[str, Any] = {}
    for sample in samples:
        metric = sample.metric
        if metric.name not in families:
            kind = CounterMetricFamily if metric.name.endswith("_total") else GaugeMetricFamily
            families[metric.name] = kind(metric.name, metric.help, labels=(*group, *metric.labels))
        families[metric.name].add_metric([*group.values(), *sample.labels], sample.value)
    yield from families.values()


def _write(file: Path, families: list["Family"]) -> None:
    """Replace ``families`` in ``file`` and keep the others, atomically."""
    from prometheus_client.openmetrics.exposition import generate_latest

    replaced = {family.name for family in families}
    kept = [family for family in _read(file) if family.name not in replaced]
    text = generate_latest(SimpleNamespace(collect=lambda: [*kept, *families]))
    file.parent.mkdir(parents=True, exist_ok=True)
    # The only part of the state that other users may read, for node_exporter's account. It names no customer.
    STATE.chmod(STATE.stat().st_mode | 0o011)
    file.parent.chmod(0o755)
    half = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        half.write_bytes(text)
        half.chmod(0o644)
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


def _read(file: Path) -> list["Family"]:
    """The families in ``file``; none if it is missing or damaged."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    with contextlib.suppress(FileNotFoundError, ValueError):
        return list(text_string_to_metric_families(file.read_text(encoding="utf-8")))
    return []


def _push(gateway: str, group: Mapping[str, str], families: list["Family"]) -> None:
    from prometheus_client import pushadd_to_gateway

    source: Any = SimpleNamespace(collect=lambda: families)
    pushadd_to_gateway(gateway, JOB, source, dict(group), timeout=SECONDS)
