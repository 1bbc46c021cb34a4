"""How the flows run on a cluster: config/deploy.toml, turned into decorators by ``base``."""

from typing import Annotated, Any

from churn.settings.core import Strict
from pydantic import Field, model_validator

_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def closed(template: dict[str, Any]) -> dict[str, Any]:
    """A WorkflowTemplate whose pods, Argo's own containers in them too, are not root and may not become it."""
    spec = template["spec"]
    accounts = {one["serviceAccountName"] for one in spec["templates"] if one.get("serviceAccountName")}
    templates = [
        {**one, "container": {**one["container"], "securityContext": _CONTAINER}} if one.get("container") else one
        for one in spec["templates"]
    ]
    more = {"serviceAccountName": accounts.pop()} if len(accounts) == 1 else {}
    return {**template, "spec": {**spec, "templates": templates, "securityContext": _POD, **more}}


class Step(Strict):
    """What a step gets: CPUs, memory (MB), the minutes after which it is stopped, and how often it is repeated."""

    cpu: float = Field(default=1, gt=0)
    memory: int = Field(default=2048, ge=256)
    minutes: int = Field(default=30, ge=1)
    retries: int = Field(default=2, ge=0, le=5)


class Start(Strict):
    """What starts a flow: ``schedule`` (cron, in ``timezone``), the ``event`` of that name, or the flows it comes ``after``."""

    schedule: str = Field(default="", pattern=r"^$|^\S+( \S+){4}$")
    timezone: str = "Etc/UTC"
    event: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$")
    after: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_kind_of_event(self) -> "Start":
        if self.event and self.after:
            raise ValueError("a flow starts on an event or after flows, not both")  # Metaflow refuses it on Argo
        return self


class Rollout(Strict):
    """How DeployFlow rolls out: seconds for an instance to get ``ready`` and to ``watch`` new ones beside old ones, the shares of
    the requests that they get meanwhile, and what they may do worse: 99 of 100 answers within ``p99_ms``, at most ``slower``
    times the old ones' median latency, ``error_share`` more failures, ``distance`` (Jensen-Shannon) of their answers."""

    p99_ms: int = Field(default=250, ge=1)
    ready_seconds: int = Field(default=120, ge=1)
    watch_seconds: float = Field(default=20, gt=0)
    canary: float = Field(default=0.1, gt=0, le=1)
    steps: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.5,)
    error_share: float = Field(default=0.01, ge=0, le=1)
    slower: float = Field(default=3.0, ge=1)
    distance: float = Field(default=0.3, gt=0, le=1)


class Deploy(Strict):
    """config/deploy.toml: ``default`` for every step, ``step`` for those that need something else, ``start`` by flow,
    ``deploy`` for DeployFlow."""

    project: str = Field(default="churnflow", pattern=r"^[a-z][a-z0-9_]{0,44}$")
    retry_minutes: int = Field(default=1, ge=0)
    default: Step = Step()
    step: dict[str, Step] = {}
    start: dict[str, Start] = {}
    deploy: Rollout = Rollout()

    def at(self, step: str) -> Step:
        """What a step gets: its own table over the default, key by key."""
        own = self.step.get(step)
        return self.default.model_copy(update=own.model_dump(exclude_unset=True)) if own else self.default

    def decorators(self, step: str, on_cluster: bool) -> list[tuple[str, dict[str, Any]]]:
        """Metaflow's decorators for a step, with their options.

        Only a cluster repeats steps: on a laptop a message about your data would just come three times.
        """
        found = self.at(step)
        retry = ("retry", {"times": found.retries, "minutes_between_retries": self.retry_minutes})
        return [
            ("resources", {"cpu": found.cpu, "memory": found.memory}),
            ("timeout", {"minutes": found.minutes}),
            *([retry] if on_cluster else []),
        ]

    def starters(self, flow: str) -> list[tuple[str, dict[str, Any]]]:
        """Metaflow's decorators for a flow's project and what starts it, with their options."""
        own = self.start.get(flow, Start())
        found: list[tuple[str, dict[str, Any]]] = [("project", {"name": self.project})]
        if own.schedule:
            found.append(("schedule", {"cron": own.schedule, "timezone": own.timezone}))
        if own.event:
            found.append(("trigger", {"event": own.event}))
        if own.after:
            found.append(("trigger_on_finish", {"flows": list(own.after)}))
        return found
