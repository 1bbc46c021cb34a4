"""Verification before a rollout.

It finds the Bento, and checks that it is what the registry recorded, that it may be served, and that it still suits its callers.
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from churn.deployment import record, request_schema
from churn.deployment.checks import DeploymentCheck
from churn.deployment.rollout import Plan
from churn.deployment.target import Target
from churn.errors import ChurnError
from churn.registry import gate, model_registry, synthetic_notice
from churn.registry.model_registry import Registered
from churn.serving import bento_server, bento_store, packaging, reference_data, release
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.training import onnx_scorer

KEPT_ROWS = 500
_VERSION = re.compile(rf"{packaging.SERVICE}[:-]v(\d+)-")


@dataclass(frozen=True)
class Request:
    """What to deploy, as requested.

    ``version`` is a registry version (empty: the champion), ``bento`` one that is already built (empty: the version's);
    ``breaking`` allows a change that breaks callers; ``by_hand`` says whether a person asked, rather than the end of a training.
    """

    version: str = ""
    bento: str = ""
    breaking: bool = False
    by_hand: bool = True


@dataclass(frozen=True)
class Verified:
    """The ``plan`` with its checks; or, in words, why there is ``nothing`` to do."""

    plan: Plan
    checks: tuple[DeploymentCheck, ...] = ()
    nothing: str = ""


def verify(target: Target, dataset: Dataset, request: Request) -> Verified:
    """Determine what to serve and whether it may be served. Raises ChurnError if the version or target does not exist."""
    model = model_registry.by_version(dataset.model, request.version) if request.version else release.champion(dataset)
    bento, served = request.bento or target.address(model), target.served()
    former = registered_version(dataset, served)
    plan = Plan(model, bento, served, former.version if former is not None else "")
    if served == bento:
        return Verified(plan, nothing=f"{bento} is served already at {target.place}")
    if not request.by_hand and (before := record.rejected(model, bento)):
        again = commands.say("deploy", DATASET=dataset.name, VERSION=model.version)
        return Verified(plan, nothing=f"version {model.version} was {before}; to try it again: {again}")
    checks = list(licence(model, former))
    if all(one.passed for one in checks):
        old = next((one.url for one in target.instances() if one.ready), "")
        checks += check_answers(model, bento, old, request.breaking)
    return Verified(plan, tuple(checks))


def registered_version(dataset: Dataset, bento: str) -> Registered | None:
    """The registry version that a Bento, given by tag or address, was built from; None if unknown."""
    match = _VERSION.search(bento)
    versions = {one.version: one for one in model_registry.by_tags(dataset.model, {})} if match else {}
    return versions.get(match[1]) if match else None


def licence(model: Registered, served: Registered | None) -> Iterator[DeploymentCheck]:
    """Whether the version may be served: it has a gate verdict, and no synthetic model replaces a real one."""
    judged = model.tags.get(gate.SUMMARY, "")
    yield DeploymentCheck(
        "gate", bool(judged), judged or "no gate verdict is recorded, and only versions with one are served"
    )
    synthetic = synthetic_notice.learned_from_synthetic(model)
    if served is not None and synthetic and not synthetic_notice.learned_from_synthetic(served):
        reason = f"the model learned from synthetic customers, the served version {served.version} from real ones"
        yield DeploymentCheck("customers", False, reason)
    else:
        yield DeploymentCheck("customers", True, f"learned from {'synthetic' if synthetic else 'real'} ones")


def check_answers(model: Registered, bento: str, served_url: str, breaking: bool) -> Iterator[DeploymentCheck]:
    """Serve a copy of the Bento, and check its answers on stored rows and its request schema.

    The schema is compared with that of the service at ``served_url``, if there is one.
    """
    kept = reference_data.load(model)
    rows = kept.table.head(KEPT_ROWS)
    try:
        tag = bento_store.install(bento) if bento.startswith("s3://") else packaging.require_whole(bento)
        yield DeploymentCheck("checksum", True, f"{bento} is unchanged since it was built")
    except ChurnError as error:
        yield DeploymentCheck("checksum", False, str(error))
        return
    try:
        with (
            tempfile.TemporaryDirectory() as log,
            bento_server.served(tag, CHURNFLOW_PREDICTIONS=log, CHURNFLOW_API_KEYS="") as url,
        ):
            schema = request_schema.fetch_schema(url)
            requests = packaging.json_rows(kept.dataset, rows)
            worst = bento_server.differ(url, requests, rows["probability"].to_numpy())
    except (ChurnError, OSError) as error:
        yield DeploymentCheck("start", False, str(error))
        return
    yield DeploymentCheck(
        "parity", worst <= onnx_scorer.PARITY, f"largest difference on {len(rows)} kept rows: {worst:.0e}"
    )
    again = commands.say("deploy", DATASET=kept.dataset.name, VERSION=model.version, BREAKING="1")
    yield _compatible(schema, served_url, breaking, again)


def _compatible(schema: request_schema.Schema, served_url: str, breaking: bool, again: str) -> DeploymentCheck:
    if not served_url:
        return DeploymentCheck("request schema", True, "nothing is served yet")
    changes = request_schema.breaking(request_schema.fetch_schema(served_url), schema)
    finding = "; ".join(changes) or "accepts everything that the served version accepts"
    if changes and not breaking:
        finding += f"; if no caller depends on it: {again}"
    return DeploymentCheck("request schema", breaking or not changes, finding)
