"""The record of a deployment: tags on the registry version, metrics, and a message to the webhook."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from churn.deployment.rollout import BACK, CUT, KEPT, REFUSED, Outcome, Plan
from churn.errors import ChurnError
from churn.monitoring import notify
from churn.registry import model_registry
from churn.registry.model_registry import Registered
from churn.serving import release
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.telemetry import prometheus_metrics
from churn.telemetry.prometheus_metrics import Sample

OUTCOME, AT, BENTO, REASON = "deploy.outcome", "deploy.at", "deploy.bento", "deploy.reason"
APPROVED = "deploy.approved"  # the Bento that a person has approved
PROGRESS, WAITS = "in progress", "waits for approval"
APPROVAL_SECONDS = 5.0  # between checks
OUTCOMES = (KEPT, BACK, REFUSED, CUT)


def mark_in_progress(plan: Plan, run: str, place: str) -> None:
    """Tag the version as being deployed."""
    tags = {OUTCOME: PROGRESS, AT: _now(), BENTO: plan.bento, "deploy.run": run, "deploy.place": place}
    model_registry.annotate(plan.model, {**tags, REASON: "", "deploy.former": plan.former})


def approved(plan: Plan, run: str, place: str, hours: float, say: Callable[[str], None]) -> bool:
    """Wait until a person approves this Bento; False if nobody does within ``hours``."""
    model, until = plan.model, time.monotonic() + 3600 * hours
    tags = {OUTCOME: WAITS, AT: _now(), BENTO: plan.bento, "deploy.run": run, "deploy.place": place, APPROVED: ""}
    model_registry.annotate(model, tags)
    say(f"Waits for approval: {commands.say('approve', DATASET=model.tags['dataset'], VERSION=model.version)}")
    while time.monotonic() < until:
        if model_registry.by_version(model.name, model.version).tags.get(APPROVED) == plan.bento:
            return True
        time.sleep(APPROVAL_SECONDS)
    return False


def approve(model: Registered) -> str:
    """Approve the version's waiting deployment, and return a message. Raises ChurnError if none is waiting."""
    if model.tags.get(OUTCOME) != WAITS:
        raise ChurnError(f"{model.name} version {model.version}: no deployment is waiting for approval")
    model_registry.annotate(model, {APPROVED: model.tags[BENTO]})
    return f"Approved: version {model.version} at {model.tags['deploy.place']}"


def already_begun(plan: Plan, run: str) -> bool:
    """Whether an earlier attempt of this run began to deploy the version."""
    tags = model_registry.by_version(plan.model.name, plan.model.version).tags
    return tags.get("deploy.run") == run and tags.get(OUTCOME) != WAITS


def said_kept(plan: Plan, run: str) -> str:
    """The note of an earlier attempt of this run that the version is kept; empty if there is none."""
    tags = model_registry.by_version(plan.model.name, plan.model.version).tags
    return tags[REASON] if tags.get("deploy.run") == run and tags.get(OUTCOME) == KEPT else ""


def mark_ended(plan: Plan, outcome: Outcome) -> None:
    """Tag the version with the outcome of its deployment."""
    tags = {OUTCOME: outcome.verdict, AT: _now(), REASON: outcome.reason, "deploy.seconds": f"{outcome.seconds:.0f}"}
    model_registry.annotate(plan.model, tags)


def settle_kept(plan: Plan) -> None:
    """Tag a version that is served, but whose deployment died before it could record that, as kept."""
    tags = model_registry.by_version(plan.model.name, plan.model.version).tags
    if plan.bento == plan.former == tags.get(BENTO) and tags.get(OUTCOME) == PROGRESS:
        mark_ended(
            plan,
            Outcome(KEPT, f"version {plan.model.version} is served, but its deployment died before recording that"),
        )


def rejected(model: Registered, bento: str) -> str:
    """How and why the deployment of this Bento failed, in words; empty if it did not fail."""
    if model.tags.get(BENTO) != bento or model.tags.get(OUTCOME) not in (BACK, REFUSED):
        return ""
    return f"{model.tags[OUTCOME]} at {model.tags[AT]} ({model.tags.get(REASON, '')})"


def to_serve(dataset: Dataset) -> tuple[Registered, str]:
    """The version that a service starts with, and the reason if it is not the champion.

    It is another version if the champion's deployment failed or died, and that version was kept before. Raises ChurnError if
    there is no champion.
    """
    champion = release.champion(dataset)
    if champion.tags.get(OUTCOME, KEPT) == KEPT:
        return champion, ""
    kept = sorted(model_registry.by_tags(dataset.model, {OUTCOME: KEPT}), key=lambda one: one.tags[AT])
    if not kept:
        return champion, ""
    how = f"{champion.tags[OUTCOME]} ({champion.tags.get(REASON, '')})"
    return kept[
        -1
    ], f"version {kept[-1].version} is served: the deployment of champion version {champion.version} was {how}"


def samples(outcome: Outcome, counted: dict[str, int]) -> Iterator[Sample]:
    """The metrics: the number of deployments by outcome, and the duration of this one in seconds."""
    for name in OUTCOMES:
        yield prometheus_metrics.DEPLOYMENTS.of(counted.get(name, 0), outcome=name)
    yield prometheus_metrics.DEPLOYMENT_SECONDS.of(outcome.seconds)


def post_outcome(plan: Plan, outcome: Outcome) -> str:
    """Post the outcome to the webhook, if there is one. Returns a message on the result."""
    model = plan.model
    return notify.post(f"*{outcome.verdict.upper()}: {model.name} version {model.version}*\n{outcome.reason}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
