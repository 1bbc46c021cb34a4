"""What DeployFlow's steps need from Metaflow and the machine, and how other commands start DeployFlow."""

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import base
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.dataset import Dataset
from metaflow import Flow, Run, current, get_namespace, namespace
from metaflow.exception import MetaflowException

if TYPE_CHECKING:
    from churn.deployment.rollout import Outcome, Plan
    from churn.deployment.target import Target
    from churn.deployment.verification import Verified

TARGET = "CHURNFLOW_TARGET"  # laptop or cluster
PREFIX = "deployment:"  # of a run's tag: how the deployment ended


def on_cluster() -> bool:
    """Whether Bentos are served on the cluster. Raises ChurnError if CHURNFLOW_TARGET is neither laptop nor cluster."""
    named = os.environ[TARGET]
    if named not in ("laptop", "cluster"):
        raise ChurnError(f"{TARGET}={named}: use laptop or cluster")
    return named == "cluster"


def target(dataset: Dataset, run: str, port: str = "", image: str = "") -> "Target":
    """The target that ``run`` deploys to. Raises ChurnError if no service runs there."""
    if on_cluster():
        from churn.deployment.cluster import Cluster

        return Cluster(run, image)
    from churn.deployment.laptop import Laptop

    return Laptop(dataset.model, dataset.name, run, port)


def carry_out(place: "Target", verified: "Verified", run: str, attempt: int) -> "Outcome":
    """Carry out the deployment, unless verification rejects it.

    If the step has already run, as a second ``attempt`` or in a pod that replaces a deleted one (which Argo counts as a first
    attempt), what it left is rolled back instead.
    """
    from churn.deployment import record, rollout

    plan, checks, rule, say = verified.plan, list(verified.checks), base.DEPLOY.deploy, partial(print, flush=True)
    if bad := [f"{one.name}: {one.said}" for one in checks if not one.passed]:
        outcome = rollout.Outcome(rollout.REFUSED, "; ".join(bad), checks)
    elif kept := record.said_kept(plan, run):
        outcome = rollout.Outcome(rollout.KEPT, kept, checks)
    elif attempt or record.already_begun(plan, run):
        rollout.finish(place, run)
        outcome = rollout.Outcome(rollout.CUT, "its process had died; its changes are rolled back", checks)
    elif rule.approval and not record.approved(plan, run, place.place, rule.approval_hours, say):
        outcome = rollout.Outcome(rollout.REFUSED, f"nobody approved it within {rule.approval_hours:g} hours", checks)
    else:
        record.mark_in_progress(plan, run, place.place)
        outcome = rollout.Deployment(place, plan, rule, say).run()
        outcome.checks[:0] = checks
    record.mark_ended(plan, outcome)
    return outcome


def count(outcome: str) -> dict[str, int]:
    """The number of runs by outcome, from their tags, including this run with ``outcome``."""
    before, tags = get_namespace(), Counter[str]()
    namespace(None)
    try:
        Run(f"{current.flow_name}/{current.run_id}").add_tag(f"{PREFIX}{outcome}")
        tags = Counter(tag for run in Flow(str(current.flow_name)) for tag in run.user_tags)
    except MetaflowException as error:  # counting deployments is best effort
        print(f"Cannot count the deployments: {error}")
    finally:
        namespace(before)
    return {tag.removeprefix(PREFIX): number for tag, number in tags.items() if tag.startswith(PREFIX)}


def require(plan: "Plan", outcome: "Outcome", card: str) -> None:
    """Raise ChurnError unless the new version was kept."""
    from churn.deployment import rollout

    if outcome.verdict != rollout.KEPT:
        served = f"; version {plan.former_version} is served" if plan.former_version else ""
        raise ChurnError(
            f"version {plan.model.version} is {outcome.verdict}{served}: {outcome.reason}. Its card: {card}"
        )


def champion(dataset: Dataset, start: Callable[[list[str]], None]) -> None:
    """Deploy the champion wherever its data set is currently served; ``start`` runs a command."""
    from churn.deployment import laptop

    if on_cluster() or laptop.running(dataset.model):
        start(commands.words("deploy", DATASET=dataset.name))
