"""The service's Prometheus metrics (names: ``telemetry.prometheus_metrics``).

They are correct with several workers: prometheus-client keeps every worker's values in a folder that BentoML names, and any
worker answers for all.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
from churn.serving import prediction_log
from churn.serving.request import Problem
from churn.telemetry import prometheus_metrics
from churn.telemetry.prometheus_metrics import Metric
from prometheus_client import multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TENTHS = tuple(i / 10 for i in range(1, 11))
_UPPER = (*map(str, _TENTHS), "+Inf")
_ROWS, _SUM = "probability_rows", "probability_sum"  # counters that ``_Histograms`` turns into PROBABILITY


class ServiceMetrics:
    """The service's counters. Label values come from the data set and the list of endpoints, never from requests."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        """``manifest`` is the model's; its versions become labels."""
        self._registry = prometheus_client.CollectorRegistry()
        self._version = manifest["model_version"]
        self._requests = self._counter(prometheus_metrics.REQUESTS)
        self._seconds = self._histogram(prometheus_metrics.REQUEST_SECONDS, _SECONDS)
        self._let_in = self._counter(prometheus_metrics.KEY_REQUESTS)
        self._rejections = self._counter(prometheus_metrics.REJECTIONS)
        self._warnings = self._counter(prometheus_metrics.WARNINGS)
        self._dropped = self._counter(prometheus_metrics.LOG_DROPPED)
        for kind in (prediction_log.PREDICTIONS, prediction_log.FEEDBACK):
            self._dropped.labels(kind)  # as in ``expect``
        self._waiting = self._gauge(prometheus_metrics.LOG_QUEUE, "livesum")
        self._alive = self._gauge(prometheus_metrics.LOG_ALIVE, "livemin")
        answers = self._counter(prometheus_metrics.PREDICTIONS)
        self._decided = [answers.labels(self._version, decision) for decision in ("false", "true")]
        # A histogram takes one value at a time, which for a large batch would keep other requests waiting.
        rows = prometheus_client.Counter(_ROWS, "rows by probability", ("version", "le"), registry=self._registry)
        self._rows = [rows.labels(self._version, le) for le in _UPPER]
        total = prometheus_client.Counter(_SUM, "sum of the probabilities", ("version",), registry=self._registry)
        self._sum = total.labels(self._version)
        info = {name: str(manifest.get(name, "")) for name in prometheus_metrics.MODEL_INFO.labels}
        self._gauge(prometheus_metrics.MODEL_INFO, "livemax").labels(**info).set(1)
        self._children: dict[tuple[str, int], tuple[Any, Any]] = {}
        _forget_the_dead()

    def expect(self, answers: Iterable[tuple[str, int]]) -> None:
        """Initialise the counters of ``answers`` (endpoint and status) at 0, because a rate ignores a series' first value."""
        for endpoint, status in answers:
            self._requests.labels(endpoint, str(status))

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        children = self._children.get((endpoint, status))
        if children is None:  # finding a child by its labels costs as much as counting
            children = self._requests.labels(endpoint, str(status)), self._seconds.labels(endpoint)
            self._children[endpoint, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def let_in(self, holder: str, endpoint: str) -> None:
        """Count a request with the key of ``holder``."""
        self._let_in.labels(holder, endpoint).inc()

    def predicted(self, probabilities: list[float], decisions: list[bool]) -> None:
        """Count predictions."""
        churning = sum(decisions)
        for decision, number in ((0, len(probabilities) - churning), (1, churning)):
            if number:
                self._decided[decision].inc(number)
        places = np.searchsorted(_TENTHS, probabilities)
        for rows, number in zip(self._rows, np.bincount(places, minlength=len(_UPPER)).tolist(), strict=True):
            if number:  # one customer is in one of them, and each is a lock and a system call
                rows.inc(number)
        self._sum.inc(sum(probabilities))

    def rejected(self, problems: list[Problem]) -> None:
        """Count a request refused because of ``problems``."""
        for problem in problems:
            self._rejections.labels(*_label(problem)).inc()

    def warned(self, problems: list[Problem]) -> None:
        """Count values that were accepted with a warning."""
        for problem in problems:
            self._warnings.labels(*_label(problem)).inc()

    def dropped(self, kind: str, rows: int) -> None:
        """Count lost rows of a log."""
        self._dropped.labels(kind).inc(rows)

    def waiting(self, kind: str, rows: int) -> None:
        """Set the number of a log's rows that wait to be written."""
        self._waiting.labels(kind).set(rows)

    def lives(self, kind: str, alive: bool) -> None:
        """Set whether a log's writer thread is alive."""
        self._alive.labels(kind).set(alive)

    def exposition(self) -> bytes:
        """All workers' metrics in Prometheus' text format."""
        if os.environ.get(_FOLDER):
            everything = prometheus_client.CollectorRegistry()
            multiprocess.MultiProcessCollector(everything)
        else:
            everything = self._registry
        return prometheus_client.generate_latest(_Histograms(everything)) + prometheus_client.generate_latest(
            _Workers()
        )

    def _counter(self, metric: Metric) -> prometheus_client.Counter:
        return prometheus_client.Counter(metric.name, metric.help, metric.labels, registry=self._registry)

    def _gauge(self, metric: Metric, mode: Any) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(
            metric.name, metric.help, metric.labels, registry=self._registry, multiprocess_mode=mode
        )

    def _histogram(self, metric: Metric, buckets: tuple[float, ...]) -> prometheus_client.Histogram:
        return prometheus_client.Histogram(
            metric.name, metric.help, metric.labels, registry=self._registry, buckets=buckets
        )


class _Histograms(prometheus_client.registry.Collector):
    """A registry's metrics, with the probability counters combined into a histogram."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Any]:
        metric, counted = prometheus_metrics.PROBABILITY, defaultdict[tuple[str, str], float](float)
        for family in self._registry.collect():
            if family.name not in (_ROWS, _SUM):
                yield family
                continue
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    counted[sample.labels["version"], sample.labels.get("le", _SUM)] += sample.value
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for version in sorted({version for version, _ in counted}):
            rows = itertools.accumulate(counted[version, le] for le in _UPPER)
            histogram.add_metric([version], list(zip(_UPPER, rows, strict=True)), counted[version, _SUM])
        yield histogram


class _Workers(prometheus_client.registry.Collector):
    """Memory and CPU time of the worker processes, on Linux only.

    prometheus-client reports them only for a single process.
    """

    def collect(self) -> Iterator[Any]:
        memory = GaugeMetricFamily(
            prometheus_metrics.WORKER_MEMORY.name, prometheus_metrics.WORKER_MEMORY.help, labels=["worker"]
        )
        seconds = CounterMetricFamily(
            prometheus_metrics.WORKER_CPU.name, prometheus_metrics.WORKER_CPU.help, labels=["worker"]
        )
        for pid in sorted(_workers()):
            try:
                fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()  # proc(5), from the third on
            except OSError:  # not Linux, or it has just ended
                continue
            memory.add_metric([pid], int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
            seconds.add_metric([pid], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        yield from (memory, seconds)


def _workers() -> set[str]:
    """The process ids of the workers, from the files that each keeps."""
    files = Path(os.environ.get(_FOLDER) or os.devnull).glob("gauge_live*_*.db")
    return {file.stem.rsplit("_", 1)[1] for file in files} or {str(os.getpid())}


def _label(problem: Problem) -> tuple[str, str]:
    # The caller invents the name of an unknown field: as a label it would create a new series each time.
    return ("(unknown)" if problem.reason == "unknown_field" else problem.field, problem.reason)


def _forget_the_dead() -> None:
    """Drop the gauges of killed workers."""
    for file in Path(os.environ.get(_FOLDER) or os.devnull).glob("gauge_live*_*.db"):
        pid = file.stem.rsplit("_", 1)[1]
        if not Path("/proc", pid).exists():
            multiprocess.mark_process_dead(pid)
