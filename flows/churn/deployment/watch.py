"""Compare new with old instances under live traffic: errors, latency and the distribution of answers."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from churn.deployment import scrape
from churn.deployment.checks import DeploymentCheck
from churn.deployment.scrape import Counts
from churn.deployment.target import Instance
from churn.settings.deploy import Rollout

REQUESTS = 50  # per side, before latencies are compared
GRACE = (
    0.02  # seconds: the precision of a few requests on a busy machine; the smoke test alternates, and is more precise
)
ANSWERS = 200  # per side, before distributions are compared: equal ones then differ by 0.13 on average


class Watch:
    """The instances' counts since the watch began."""

    def __init__(self) -> None:
        """Start without counts."""
        self._first: dict[str, Counts] = {}
        self._last: dict[str, Counts] = {}
        self._new: dict[str, bool] = {}

    def look(self, instances: Sequence[Instance]) -> None:
        """Read every instance's metrics; an instance that is starting or stopping has none."""
        for one in instances:
            if one.ready:
                with suppress(OSError, ValueError):
                    counts = scrape.look(one.url)
                    self._first.setdefault(one.name, counts)
                    self._last[one.name], self._new[one.name] = counts, one.new

    def counts(self, new: bool) -> Counts:
        """The sum over the new instances, or over the old ones."""
        names = [name for name in self._last if self._new[name] == new]
        return sum((self._last[name] - self._first[name] for name in names), Counts())


def errors(new: Counts, old: Counts, rule: Rollout) -> DeploymentCheck:
    """Whether the new instances fail no more often than the old ones; a single failure is tolerated."""
    before = old.failed / old.requests if old.requests else 0.0
    finding = f"{new.failed:.0f} of {new.requests:.0f} requests failed, {old.failed:.0f} of {old.requests:.0f} at the old ones"
    return DeploymentCheck("errors", new.failed <= 1 + (before + rule.error_share) * new.requests, finding)


def final_checks(new: Counts, old: Counts, rule: Rollout) -> Iterator[DeploymentCheck]:
    """The checks at the end of the watch."""
    from scipy.spatial.distance import jensenshannon

    yield errors(new, old, rule)
    p99, mid, theirs = new.quantile(0.99), new.quantile(0.5), old.quantile(0.5)
    if p99 is None or mid is None or sum(new.seconds.values()) < REQUESTS:
        yield DeploymentCheck("latency of requests", True, f"not compared: fewer than {REQUESTS} requests")
    else:
        most = max(rule.p99_ms / 1000, rule.slower * (old.quantile(0.99) or 0))
        yield DeploymentCheck(
            "latency of requests", p99 <= most, f"99 of 100 within {1000 * p99:.1f} ms (allowed: {1000 * most:.0f} ms)"
        )
        if theirs is not None and sum(old.seconds.values()) >= REQUESTS:
            limit = rule.slower * theirs + GRACE
            finding = f"{1000 * mid:.1f} ms, the old ones {1000 * theirs:.1f} ms (allowed: {1000 * limit:.1f} ms)"
            yield DeploymentCheck("median latency of requests", mid <= limit, finding)
    if min(new.answers, old.answers) < ANSWERS:
        yield DeploymentCheck("distribution of answers", True, f"not compared: fewer than {ANSWERS} answers on a side")
    else:
        distance = float(jensenshannon(list(new.probability.values()), list(old.probability.values()), base=2))
        finding = f"Jensen-Shannon distance {distance:.2f} from the old ones' (allowed: {rule.distance:g})"
        yield DeploymentCheck("distribution of answers", distance <= rule.distance, finding)
