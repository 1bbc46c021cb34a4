"""What ends a deployment, and that the former Bento is back whatever it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from churn.deployment import record, rollout, scrape, smoke, watch
from churn.deployment.checks import DeploymentCheck
from churn.deployment.scrape import Counts
from churn.deployment.smoke import Latency
from churn.deployment.target import Instance
from churn.errors import ChurnError
from churn.registry.model_registry import Registered
from churn.settings.dataset import Dataset
from churn.settings.deploy import Rollout
from scipy.spatial.distance import jensenshannon

RULE = Rollout(ready_seconds=1, watch_seconds=0.1)
MODEL = Registered("m", "2", "run", {})
PLAN = rollout.Plan(MODEL, "new", "old", "1")


class Target:
    """A target in memory; ``breaks`` names the order that raises."""

    place = "here"

    def __init__(self, breaks: str = "", error: BaseException | None = None, wrong: str = "") -> None:
        self.orders: list[str] = []
        self._breaks, self._error, self._wrong = breaks, error or ChurnError("it broke"), wrong
        self.serves, self.tries = "old", False

    def _order(self, name: str) -> None:
        self.orders.append(name)
        if name == self._breaks:
            raise self._error

    def address(self, model: Registered) -> str:
        return "new"

    def served(self) -> str:
        return self.serves

    def unfinished(self) -> str:
        return "other/1@0" if self.tries else ""

    def begin(self, bento: str) -> None:
        self.tries = True
        self._order("begin")

    def instances(self) -> list[Instance]:
        found = [Instance("old", "http://old", False, True)] if self.serves == "old" else []
        return [*found, *([Instance("new", "http://new", True, True, self._wrong)] if self.tries else [])]

    def give(self, share: float) -> None:
        self._order("give")

    def keep(self) -> None:
        self._order("keep")
        self.serves = "new"

    def back(self) -> None:
        self.orders.append("back")
        self.serves, self.tries = "old", False

    def done(self) -> None:
        self.orders.append("done")


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances whose smoke test passes, and whose metrics say nothing."""
    monkeypatch.setattr(rollout, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(smoke, "examples", lambda model: [])
    monkeypatch.setattr(smoke, "run_checks", lambda *_: iter([DeploymentCheck("examples", True, "")]))
    monkeypatch.setattr(smoke, "race", lambda *_: [Latency("2", 0.001, 0.002, 200), Latency("1", 0.001, 0.002, 200)])
    monkeypatch.setattr(scrape, "look", lambda url: Counts())


def test_a_good_version_is_kept(smooth: None) -> None:
    target = Target()
    found = rollout.Deployment(target, PLAN, RULE, lambda said: None).run()
    assert (found.verdict, target.served()) == (rollout.KEPT, "new")
    assert target.orders == ["begin", "give", "give", "keep", "done"]


@pytest.mark.parametrize("breaks", ["begin", "give", "keep"])
@pytest.mark.parametrize(
    ("error", "verdict"),
    [(ChurnError("it broke"), rollout.BACK), (KeyboardInterrupt(), rollout.CUT), (SystemExit(143), rollout.CUT)],
)
def test_whatever_goes_wrong_the_former_version_is_back(
    smooth: None, breaks: str, error: BaseException, verdict: str
) -> None:
    target = Target(breaks, error)
    found = rollout.Deployment(target, PLAN, RULE, lambda said: None).run()
    assert (found.verdict, target.served()) == (verdict, "old")
    assert target.orders[-2:] == ["back", "done"]


def test_an_instance_that_dies_ends_the_deployment(smooth: None) -> None:
    found = rollout.Deployment(Target(wrong="OOMKilled"), PLAN, RULE, lambda said: None).run()
    assert (found.verdict, found.reason) == (rollout.BACK, "new: OOMKilled")


def test_what_a_dead_deployment_left_is_rolled_back_and_a_live_one_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollout, "POLL_SECONDS", 0.002)
    monkeypatch.setattr(rollout, "SILENT_SECONDS", 0.2)
    target = Target()
    target.tries = True
    assert "had died" in rollout.finish(target, "mine/1")
    assert target.orders == ["back", "done"]
    beats = iter([*(f"other/1@{beat}" for beat in range(50)), ""])
    monkeypatch.setattr(target, "unfinished", lambda: next(beats))
    assert rollout.finish(target, "mine/1") == "waited for other/1"
    assert target.orders == ["back", "done"]


def test_the_answers_are_compared_by_their_jensen_shannon_distance() -> None:
    """In base 2, as the limit in the settings is: 1 for answers that share no bucket."""
    rule = Rollout()
    for high, distance in ((0.0, 0.0), (1.0, 1.0), (0.3, jensenshannon([0.7, 0.3], [1, 0], base=2))):
        *_, check = watch.final_checks(_counts(high=high), _counts(), rule)
        assert f"distance {distance:.2f} " in check.said
        assert check.passed == (distance <= rule.distance)


def _counts(requests: float = 1000, failed: float = 0, slow: float = 0.0, high: float = 0.0) -> Counts:
    seconds = {0.001: (1 - slow) * requests, 0.05: slow * requests}
    return Counts(requests, failed, seconds, {0.1: (1 - high) * requests, 0.9: high * requests})


@pytest.mark.parametrize(
    ("new", "bad"),
    [
        (_counts(), []),
        (_counts(failed=5), []),
        (_counts(failed=20), ["errors"]),
        (_counts(slow=1.0), ["median latency of requests"]),
        (_counts(high=0.8), ["distribution of answers"]),
        (_counts(requests=20, slow=1.0, high=1.0), []),  # too few to say
    ],
)
def test_new_instances_are_compared_with_old_ones(new: Counts, bad: list[str]) -> None:
    assert [one.name for one in watch.final_checks(new, _counts(), Rollout()) if not one.passed] == bad


def test_the_services_own_metrics_are_read(monkeypatch: pytest.MonkeyPatch, telco: Any) -> None:

    from bento import service_metrics

    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    made = service_metrics.ServiceMetrics({"model_version": "7"})
    for _ in range(99):
        made.answered("/predict", 200, 0.004)
    made.answered("/predict", 503, 0.4)
    made.answered("/metrics", 200, 2.0)
    made.predicted([0.05, 0.95], [False, True])
    with _answering(monkeypatch, made.exposition()):
        found = scrape.look("http://here")
    assert (found.requests, found.failed, found.answers, found.versions) == (100, 1, 2, ("7",))
    assert 0.0025 < found.quantile(0.5) <= 0.005
    assert found.quantile(0.999) > 0.25
    assert (found - found).quantile(0.5) is None


@contextmanager
def _answering(monkeypatch: pytest.MonkeyPatch, body: bytes) -> Iterator[None]:
    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(read=lambda: body)

    monkeypatch.setattr("urllib.request.urlopen", opened)
    yield


@pytest.mark.parametrize(
    ("outcome", "served"),
    [
        (None, "2"),
        (rollout.KEPT, "2"),
        *((one, "1") for one in (rollout.BACK, rollout.REFUSED, rollout.CUT, record.PROGRESS, record.WAITS)),
    ],
)
def test_a_service_begins_with_the_champion_unless_its_deployment_failed_died_or_waits(
    outcome: str | None, served: str, telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = Registered("churn", "2", "run", {record.OUTCOME: outcome} if outcome else {})
    former = Registered("churn", "1", "run", {record.OUTCOME: rollout.KEPT, record.AT: "2026-01-01"})
    monkeypatch.setattr(record.release, "champion", lambda _: champion)
    monkeypatch.setattr(record.model_registry, "by_tags", lambda *_: [former])
    found, why = record.to_serve(telco)
    assert found.version == served
    assert bool(why) == (served == "1")


@pytest.mark.parametrize(
    ("former", "outcome", "settled"),
    [
        ("a", record.PROGRESS, True),
        ("b", record.PROGRESS, False),
        ("a", rollout.BACK, False),
        ("a", rollout.KEPT, False),
    ],
)
def test_a_deployment_that_died_after_it_was_kept_is_settled_by_the_next(
    former: str, outcome: str, settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, told = Registered("churn", "2", "run", {record.OUTCOME: outcome, record.BENTO: "a"}), dict[str, str]()
    monkeypatch.setattr(record.model_registry, "by_version", lambda *_: model)
    monkeypatch.setattr(record.model_registry, "annotate", lambda _, tags: told.update(tags))
    record.settle_kept(rollout.Plan(model, "a", former, "2"))
    assert (told.get(record.OUTCOME) == rollout.KEPT) == settled
