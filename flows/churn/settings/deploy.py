"""config/deploy.toml: how the flows run on a cluster; ``base`` turns it into decorators."""

from typing import Any

from churn.settings.core import Strict
from pydantic import Field, model_validator

_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def closed(template: dict[str, Any]) -> dict[str, Any]:
    """The WorkflowTemplate with pods, Argo's own containers included, that run without root and cannot gain it."""
    spec = template["spec"]
    accounts = {one["serviceAccountName"] for one in spec["templates"] if one.get("serviceAccountName")}
    templates = [
        {**one, "container": {**one["container"], "securityContext": _CONTAINER}} if one.get("container") else one
        for one in spec["templates"]
    ]
    more = {"serviceAccountName": accounts.pop()} if len(accounts) == 1 else {}
    return {**template, "spec": {**spec, "templates": templates, "securityContext": _POD, **more}}


def closed_sensor(sensor: dict[str, Any]) -> dict[str, Any]:
    """The Sensor with a pod as ``closed`` makes them."""
    spec = sensor["spec"]
    template = spec.get("template") or {}
    container = {**(template.get("container") or {}), "securityContext": _CONTAINER}
    return {**sensor, "spec": {**spec, "template": {**template, "container": container, "securityContext": _POD}}}


class Step(Strict):
    """Resources of a step: CPUs, memory (MB), time limit (minutes), and retries."""

    cpu: float = Field(default=1, gt=0)
    memory: int = Field(default=2048, ge=256)
    minutes: int = Field(default=30, ge=1)
    retries: int = Field(default=2, ge=0, le=5)


class Start(Strict):
    """What starts a flow: ``schedule`` (cron, in ``timezone``), an ``event``, or the end of the flows it comes ``after``."""

    schedule: str = Field(default="", pattern=r"^$|^\S+( \S+){4}$")
    timezone: str = "Etc/UTC"
    event: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$")
    after: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_kind_of_event(self) -> "Start":
        if self.event and self.after:
            raise ValueError("a flow starts on an event or after flows, not both")  # Metaflow refuses it on Argo
        return self


class Deploy(Strict):
    """config/deploy.toml: ``default`` resources, those of each ``step`` that differs, and ``start`` by flow."""

    project: str = Field(default="churnflow", pattern=r"^[a-z][a-z0-9_]{0,44}$")
    retry_minutes: int = Field(default=1, ge=0)
    default: Step = Step()
    step: dict[str, Step] = {}
    start: dict[str, Start] = {}

    def at(self, step: str) -> Step:
        """The resources of ``step``: its own table over the default, key by key."""
        own = self.step.get(step)
        return self.default.model_copy(update=own.model_dump(exclude_unset=True)) if own else self.default

    def decorators(self, step: str, on_cluster: bool) -> list[tuple[str, dict[str, Any]]]:
        """Names and options of Metaflow's decorators for a step.

        Steps are retried on a cluster only: on a laptop, an error in the data would just be reported three times.
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
        own = self.start.get(flow, Start())
        decorators: list[tuple[str, dict[str, Any]]] = [("project", {"name": self.project})]
        if own.schedule:
            decorators.append(("schedule", {"cron": own.schedule, "timezone": own.timezone}))
        if own.event:
            decorators.append(("trigger", {"event": own.event}))
        if own.after:
            decorators.append(("trigger_on_finish", {"flows": list(own.after)}))
        return decorators
