"""Scrape an instance's metrics: the difference of two scrapes is what happened in between."""

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from churn.telemetry import prometheus_metrics

SECONDS = 5.0
OWN = ("/metrics", "/readyz", "/livez", "/docs.json")  # requested by probes, Prometheus and deployments
ENDPOINT = "/predict"  # latency is compared on this endpoint only: that of a batch depends on its size


@dataclass(frozen=True)
class Counts:
    """The counts of one scrape.

    Requests answered and failed (5xx); histograms of the latency of ENDPOINT (seconds) and of the answers' probability, by upper
    bound and not cumulative; and the model ``versions`` that answer.
    """

    requests: float = 0
    failed: float = 0
    seconds: Mapping[float, float] = field(default_factory=dict)
    probability: Mapping[float, float] = field(default_factory=dict)
    versions: tuple[str, ...] = ()

    def __add__(self, other: "Counts") -> "Counts":
        """The sum of the counts of two instances."""
        return self._with(other, 1)

    def __sub__(self, other: "Counts") -> "Counts":
        """The counts since ``other``, an earlier scrape of the same instance."""
        return self._with(other, -1)

    def _with(self, other: "Counts", sign: int) -> "Counts":
        def merged(a: Mapping[float, float], b: Mapping[float, float]) -> dict[float, float]:
            return {bound: a.get(bound, 0) + sign * b.get(bound, 0) for bound in sorted({*a, *b})}

        return Counts(
            self.requests + sign * other.requests,
            self.failed + sign * other.failed,
            merged(self.seconds, other.seconds),
            merged(self.probability, other.probability),
            tuple(sorted({*self.versions, *other.versions})),
        )

    @property
    def answers(self) -> float:
        """The number of customers answered."""
        return sum(self.probability.values())

    def quantile(self, share: float) -> float | None:
        """The quantile of ENDPOINT's latency in seconds, interpolated linearly; None without requests."""
        total, below, least = sum(self.seconds.values()), 0.0, 0.0
        for bound, number in self.seconds.items():
            if number and below + number >= share * total:
                return least if bound == float("inf") else least + (bound - least) * (share * total - below) / number
            below, least = below + number, bound
        return None


def look(url: str) -> Counts:
    """The counts of the instance at ``url`` since its start. Raises OSError or ValueError if it does not report them."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(f"{url}/metrics", timeout=SECONDS) as answer:  # nosec B310 - configured
        families = {one.name: one for one in text_string_to_metric_families(answer.read().decode())}
    everything = _samples(families, prometheus_metrics.REQUESTS.name.removesuffix("_total"), "_total")
    requests = [one for one in everything if one.labels["endpoint"] not in OWN]
    model_info = _samples(families, prometheus_metrics.MODEL_INFO.name, "")
    return Counts(
        sum(one.value for one in requests),
        sum(one.value for one in requests if one.labels["status"].startswith("5")),
        _buckets([
            one
            for one in _samples(families, prometheus_metrics.REQUEST_SECONDS.name, "_bucket")
            if one.labels["endpoint"] == ENDPOINT
        ]),
        _buckets(_samples(families, prometheus_metrics.PROBABILITY.name, "_bucket")),
        tuple(sorted({one.labels["model_version"] for one in model_info})),
    )  # fmt: skip


def _samples(families: Mapping[str, Any], name: str, suffix: str) -> list[Any]:
    return [one for one in families[name].samples if one.name == name + suffix] if name in families else []


def _buckets(samples: list[Any]) -> dict[float, float]:
    """The number in each bucket; Prometheus's buckets are cumulative."""
    cumulative: dict[float, float] = {}
    for one in samples:
        bound = float(one.labels["le"])
        cumulative[bound] = cumulative.get(bound, 0) + one.value
    bounds = sorted(cumulative)
    return {bound: cumulative[bound] - (cumulative[bounds[i - 1]] if i else 0) for i, bound in enumerate(bounds)}
