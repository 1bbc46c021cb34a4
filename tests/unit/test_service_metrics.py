"""The histogram of probabilities is the one that prometheus-client would have observed row by row."""

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bento.service_metrics import ServiceMetrics

NAME = "prediction_probability"


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(NAME) and not sample.name.endswith("_created")
    }


def test_a_batch_counts_as_its_rows_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    rows = [0.0, 0.05, 0.1, 0.1000001, 0.3, 0.55, 0.95, 1.0]
    metrics = ServiceMetrics({"model_version": "3"})
    metrics.predicted(rows[:3], [False] * 3)
    metrics.predicted(rows[3:], [True] * 5)
    registry = prometheus_client.CollectorRegistry()
    tenths = [i / 10 for i in range(1, 11)]
    oracle = prometheus_client.Histogram(NAME, "oracle", ("model_version",), registry=registry, buckets=tenths)
    for row in rows:
        oracle.labels("3").observe(row)
    assert samples(metrics.exposition().decode()) == pytest.approx(
        samples(prometheus_client.generate_latest(registry).decode())
    )
