"""One deployment from the first new instance to the verdict.

Whatever starts a rollout also ends it: if anything goes wrong in between, the previous Bento is served again.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from churn.deployment import shadow, smoke, watch
from churn.deployment.checks import DeploymentCheck, Failed, require
from churn.deployment.shadow import Shadow
from churn.deployment.smoke import Latency
from churn.deployment.target import Instance, Target
from churn.errors import ChurnError
from churn.registry.model_registry import Registered
from churn.serving import reference_data
from churn.settings.deploy import Rollout

KEPT, BACK, REFUSED, CUT = "kept", "rolled back", "refused", "interrupted"  # how a deployment ends
SILENT_SECONDS = 40.0  # a deployment without a heartbeat for this long is dead
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Plan:
    """What to serve: the registry version, its ``bento`` as an address for the target, and the previous Bento and version."""

    model: Registered
    bento: str
    former: str
    former_version: str


@dataclass
class Outcome:
    """How a deployment ended, and why.

    Holds the checks in order, events with their times (seconds since the start), the latencies of both versions for sequential
    requests, and the new version's answers to earlier predictions.
    """

    verdict: str = ""
    reason: str = ""
    checks: list[DeploymentCheck] = field(default_factory=list)
    timeline: list[tuple[float, str, str]] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    shadow: Shadow | None = None
    seconds: float = 0.0


class Deployment:
    """Carries out a ``plan`` at a ``target`` by ``rule``; ``say`` is called with each event."""

    def __init__(self, target: Target, plan: Plan, rule: Rollout, say: Callable[[str], None]) -> None:
        """Prepare the deployment; ``run`` starts it."""
        self._target, self._plan, self._rule, self._say = target, plan, rule, say
        self._began, self._seen = time.monotonic(), dict[str, str]()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Roll out, smoke, watch, and keep or roll back."""
        try:
            with _ended_by_signals():
                self._roll_out()
                self._smoke()
                self._watch()
                self._target.keep()
                self._settle(True)
                self._target.done()
            self._end(KEPT, f"version {self._plan.model.version} is served at {self._target.place}")
        except (ChurnError, OSError, ValueError) as error:
            self._back(BACK, str(error))
        except (KeyboardInterrupt, SystemExit):
            self._back(CUT, "it was interrupted")
        return self.outcome

    def _roll_out(self) -> None:
        self._event("deployment", f"{self._plan.bento} begins at {self._target.place}")
        self._target.begin(self._plan.bento)
        self._until(self._rule.ready_seconds, lambda instances: any(one.new and one.ready for one in instances))

    def _smoke(self) -> None:
        new = next(one for one in self._instances() if one.new and one.ready)
        rows = smoke.examples(self._plan.model)
        self._require(smoke.run_checks(new.url, self._plan.model, rows))
        old = next((one.url for one in self._instances() if not one.new and one.ready), "")
        versions = (self._plan.model.version, self._plan.former_version)
        self.outcome.latencies = smoke.race(new.url, old, rows, versions)
        self._require(smoke.quick(self.outcome.latencies, self._rule))
        self._event("deployment", "smoke test passed")
        if self._rule.shadow_rows:
            self.outcome.shadow = shadow.replay(
                new.url, reference_data.load(self._plan.model).dataset, self._rule.shadow_rows
            )
            self._event("deployment", f"{self.outcome.shadow.rows} predictions of the last day replayed")

    def _watch(self) -> None:
        looked = watch.Watch()
        shares = (self._rule.canary, *self._rule.steps)
        for share in shares:
            self._target.give(share)
            self._event("deployment", f"the new version has {share:.0%} of the requests")
            self._look(looked, self._rule.watch_seconds / len(shares))
        self._require(watch.final_checks(looked.counts(True), looked.counts(False), self._rule))

    def _look(self, looked: watch.Watch, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            looked.look(self._instances())
            require([watch.errors(looked.counts(True), looked.counts(False), self._rule)])
            time.sleep(POLL_SECONDS)

    def _until(self, seconds: float, reached: Callable[[list[Instance]], bool]) -> None:
        until = time.monotonic() + seconds
        while not reached(self._instances()):
            if time.monotonic() > until:
                raise Failed(f"not ready within {seconds:g} s: {'; '.join(self._seen.values()) or 'no instance'}")
            time.sleep(POLL_SECONDS)

    def _settle(self, new: bool) -> None:
        """Wait until only new or only old instances are left."""
        self._until(self._rule.ready_seconds, lambda instances: all(one.new == new and one.ready for one in instances))

    def _instances(self) -> list[Instance]:
        """The current instances; changes are reported as events. Raises Failed if something is wrong with a new one."""
        instances = list(self._target.instances())
        for one in instances:
            state = one.wrong or ("ready" if one.ready else "starting")
            if self._seen.get(one.name) != state:
                self._seen[one.name] = state
                self._event(one.name, state)
        for gone in set(self._seen) - {one.name for one in instances}:
            del self._seen[gone]
            self._event(gone, "ended")
        if bad := [
            f"{one.name}: {one.wrong}" for one in instances if one.new and one.wrong and self.outcome.verdict == ""
        ]:
            raise Failed(bad[0])
        return instances

    def _require(self, results: Iterator[DeploymentCheck]) -> None:
        checks = list(results)
        self.outcome.checks += checks
        require(checks)

    def _back(self, verdict: str, reason: str) -> None:
        self.outcome.verdict = verdict  # from now on, problems of new instances are not reported
        self._event("deployment", f"{verdict}: {reason}")
        self._target.back()
        try:
            if self._plan.former:
                self._settle(False)
            self._target.done()
        except ChurnError as error:
            reason += f"; the previous version is not restored yet: {error}"
        self._end(verdict, reason)

    def _end(self, verdict: str, reason: str) -> None:
        self.outcome.verdict, self.outcome.reason = verdict, reason
        self.outcome.seconds = time.monotonic() - self._began
        self._event("deployment", f"{verdict} after {self.outcome.seconds:.0f} s")

    def _event(self, who: str, what: str) -> None:
        self.outcome.timeline.append((time.monotonic() - self._began, who, what))
        self._say(f"{time.monotonic() - self._began:6.1f} s  {who}: {what}")


def finish(target: Target, run: str) -> str:
    """Roll back a dead deployment at the ``target``, or wait for a live one. Returns what was done, in words.

    A deployment whose heartbeat counter changes is alive: clocks of different machines are never compared.
    """
    seen, since, left = target.unfinished(), time.monotonic(), ""
    while seen:
        left = seen.partition("@")[0]
        if left == run or time.monotonic() - since > SILENT_SECONDS:
            target.back()
            target.done()
            return f"{left} had died; its changes are rolled back"
        time.sleep(POLL_SECONDS)
        if (current := target.unfinished()) != seen:
            seen, since = current, time.monotonic()
    return f"waited for {left}" if left else ""


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM, sent when a pod is deleted, into an exception, which leaves time to roll back."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    usual = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)
