"""config/deploy.toml: how the flows run on a cluster; ``base`` converts it to decorators."""

from typing import Annotated, Any, Literal

from churn.settings.core import Strict
from pydantic import Field, model_validator

USER = 10001  # the images' user (Dockerfile); Argo's own containers in the pods would otherwise run as root
_POD = {
    **{"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER},
    "seccompProfile": {"type": "RuntimeDefault"},
}
ACCOUNTS = {
    "DeployFlow": "churnflow-deploy"
}  # the flow that needs more Kubernetes permissions than the others (argo/base/accounts.yaml)
_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
# A pod was deleted or evicted, or a process was ended by a signal (128 + its number); -1: the pod left no exit code.
# https://argo-workflows.readthedocs.io/en/latest/retries/#conditional-retries
_KILLED = 'lastRetry.status == "Error" || asInt(lastRetry.exitCode) < 0 || asInt(lastRetry.exitCode) > 128'


def closed(template: dict[str, Any]) -> dict[str, Any]:
    """The WorkflowTemplate with pods, including Argo's own containers, that run without root and cannot gain it."""
    spec = template["spec"]
    flow = template.get("metadata", {}).get("annotations", {}).get("metaflow/flow_name", "")
    accounts = {one["serviceAccountName"] for one in spec["templates"] if one.get("serviceAccountName")}
    accounts = {ACCOUNTS.get(flow, account) for account in accounts}
    spec_account = {"serviceAccountName": ACCOUNTS[flow]} if flow in ACCOUNTS else {}
    templates = [
        {**one, **spec_account, "container": {**one["container"], "securityContext": _CONTAINER}}
        if one.get("container")
        else one
        for one in spec["templates"]
    ]
    more = {"serviceAccountName": accounts.pop()} if len(accounts) == 1 else {}
    return {**template, "spec": {**spec, "templates": templates, "securityContext": _POD, **more}}


def retried(template: dict[str, Any], settings: "Deploy") -> dict[str, Any]:
    """The WorkflowTemplate in which steps with ``retry_on = "kill"`` are retried only if their pod was killed."""

    def limited(one: dict[str, Any]) -> dict[str, Any]:
        step = one.get("metadata", {}).get("annotations", {}).get("metaflow/step_name", "")
        if "retryStrategy" not in one or settings.at(step).retry_on != "kill":
            return one
        return {**one, "retryStrategy": {**one["retryStrategy"], "expression": _KILLED}}

    spec = template["spec"]
    return {**template, "spec": {**spec, "templates": [limited(one) for one in spec["templates"]]}}


def closed_sensor(sensor: dict[str, Any]) -> dict[str, Any]:
    """The Sensor with a pod restricted as by ``closed``."""
    spec = sensor["spec"]
    template = spec.get("template") or {}
    container = {**(template.get("container") or {}), "securityContext": _CONTAINER}
    return {**sensor, "spec": {**spec, "template": {**template, "container": container, "securityContext": _POD}}}


class Step(Strict):
    """Resources of a step: CPUs, memory (MB), time limit (minutes), and retries.

    With ``retry_on = "kill"``, a step is retried only if its pod was killed; a failure of its own is final.
    """

    cpu: float = Field(default=1, gt=0)
    memory: int = Field(default=2048, ge=256)
    minutes: int = Field(default=30, ge=1)
    retries: int = Field(default=2, ge=0, le=5)
    retry_on: Literal["failure", "kill"] = "failure"

    def last(self, attempt: int) -> bool:
        """Whether a failure of this attempt (from 0) is final."""
        return self.retry_on == "kill" or attempt >= self.retries


class Start(Strict):
    """What starts a flow: a ``schedule`` (cron, in ``timezone``), an ``event``, or the completion of the flows in ``after``."""

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
    """How DeployFlow rolls out, and how much worse than old instances new ones may be.

    An instance has ``ready_seconds`` to become ready. New instances are watched beside old ones for ``watch_seconds``, first with
    the ``canary`` share of the requests, then with those of ``steps``. The limits are 99 of 100 answers within ``p99_ms``,
    ``slower`` times the old median latency, ``error_share`` more failures, and a Jensen-Shannon ``distance`` between the
    answers. Before the watch, ``shadow_rows`` of the last day's predictions are requested again. With ``approval``, a person
    must approve each deployment within ``approval_hours``.
    """

    p99_ms: int = Field(default=250, ge=1)
    ready_seconds: int = Field(default=120, ge=1)
    watch_seconds: float = Field(default=20, gt=0)
    canary: float = Field(default=0.1, gt=0, le=1)
    steps: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.5,)
    error_share: float = Field(default=0.01, ge=0, le=1)
    slower: float = Field(default=3.0, ge=1)
    distance: float = Field(default=0.3, gt=0, le=1)
    shadow_rows: int = Field(default=0, ge=0)
    approval: bool = False
    approval_hours: float = Field(default=48, gt=0)


class Deploy(Strict):
    """The settings of config/deploy.toml.

    ``default`` resources, those of each ``step`` that differs, ``start`` for each flow, and ``deploy`` for DeployFlow.
    """

    project: str = Field(default="churnflow", pattern=r"^[a-z][a-z0-9_]{0,44}$")
    retry_minutes: int = Field(default=1, ge=0)
    default: Step = Step()
    step: dict[str, Step] = {}
    start: dict[str, Start] = {}
    deploy: Rollout = Rollout()

    def at(self, step: str) -> Step:
        """The resources of ``step``: its own table overrides the default, key by key."""
        override = self.step.get(step)
        return self.default.model_copy(update=override.model_dump(exclude_unset=True)) if override else self.default

    def decorators(self, step: str, on_cluster: bool) -> list[tuple[str, dict[str, Any]]]:
        """Names and options of Metaflow's decorators for a step.

        Steps are retried only on a cluster: on a laptop, an error in the data would just be reported three times.
        """
        resources = self.at(step)
        retry = ("retry", {"times": resources.retries, "minutes_between_retries": self.retry_minutes})
        return [
            ("resources", {"cpu": resources.cpu, "memory": resources.memory}),
            ("timeout", {"minutes": resources.minutes}),
            *([retry] if on_cluster else []),
        ]

    def starters(self, flow: str) -> list[tuple[str, dict[str, Any]]]:
        """Names and options of Metaflow's decorators for a flow: its project and what starts it."""
        start = self.start.get(flow, Start())
        decorators: list[tuple[str, dict[str, Any]]] = [("project", {"name": self.project})]
        if start.schedule:
            decorators.append(("schedule", {"cron": start.schedule, "timezone": start.timezone}))
        if start.event:
            decorators.append(("trigger", {"event": start.event}))
        if start.after:
            decorators.append(("trigger_on_finish", {"flows": list(start.after)}))
        return decorators
