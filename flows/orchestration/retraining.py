"""Retraining after an alert of MonitorFlow: start DataFlow and TrainFlow, or request them by an event."""

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import base
from churn.data import sources
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.core import load
from churn.settings.data import DataConfig, Source, any_synthetic
from churn.settings.dataset import Dataset
from churn.settings.environment import IN_POD
from metaflow import current
from orchestration import launch, runs

if TYPE_CHECKING:
    from churn.serving.reference_data import Reference


def typed(reference: "Reference", source: str) -> str:
    """The command with which a person retrains on newer customers.

    It reads ``source``, or else the configured sources, or else the file that the model was trained on, but never synthetic
    customers. On a cluster it starts the deployed DataFlow.
    """
    if IN_POD:
        where = "--production" if current.is_production else f"--branch {current.branch_name}"
        return f"python flows/data_flow.py {where} argo-workflows trigger"
    read = source
    if not read and any_synthetic(_configured(reference.dataset)):
        read = runs.read_by(reference.model.tags["data_version"]) or commands.FILE
    return commands.say("run", DATASET=reference.dataset.name, SOURCE=read)


def check(dataset: Dataset, source: str, learned_from_synthetic: bool = True) -> None:
    """Raise ChurnError if a retraining would use synthetic customers that cannot or must not be used.

    They cannot without a [synthetic] table; they must not for a model trained on real customers.
    """
    ours = not source and any_synthetic(_configured(dataset))
    if ours and not ((dataset.synthetic or dataset.tables) and learned_from_synthetic):
        again = commands.say("monitor", DATASET=dataset.name, RETRAIN="1", SOURCE=commands.FILE)
        place = commands.description(dataset.name) if dataset.tables else commands.settings("data.toml")
        raise ChurnError(
            f"{place} has only synthetic customers, which must not be used to retrain after an alert; "
            f"give a file of newer customers: {again}"
        )


def asked() -> str:
    """``before`` of MonitorFlow: refuse what can be refused before the run; prints nothing."""
    if "--retrain" in sys.argv:
        source = launch.option("source")
        check(base.on_disk("description"), source)
        if source:
            sources.named(source)
    return ""


def description() -> str:
    """The description file of this run's data set, if one was given."""
    return os.environ.get(f"{base.GIVEN}description", "")


def _configured(dataset: Dataset) -> tuple[Source, ...]:
    """What DataFlow reads without ``--source``; for events, the tables in the description."""
    if dataset.tables:
        return tuple(source for table in dataset.tables.values() for source in table.source)
    return load(DataConfig, base.ROOT / "config" / "data.toml").source


def flow(words: list[str], **environ: str) -> None:
    """Run a flow and print its last step's output. Raises ChurnError with the end of its output if it fails."""
    # The calling flow's settings must not leak into this one.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("METAFLOW_FLOW_CONFIG", base.GIVEN))}
    done = subprocess.run(words, env={**kept, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise ChurnError(f"{shlex.join(words)} failed; its output ends:\n{done.stdout[-3000:]}")
    for line in done.stdout.splitlines():
        head, _, text = line.partition("] ")
        if "/end/" in head and not text.startswith("Task "):
            print(f"  {text}", flush=True)


def announce(flow: str, payload: dict[str, str]) -> None:
    """On a cluster, publish the event that the flow waits for (config/deploy.toml); elsewhere, do nothing."""
    from metaflow.plugins.argo.argo_events import ArgoEvent

    event = base.DEPLOY.start[flow].event
    # Metaflow recognises a pod by this variable; its safe_publish raises outside a pod, or hides every error.
    if event and "ARGO_WORKFLOW_TEMPLATE" in os.environ:
        ArgoEvent(event).publish(payload, ignore_errors=False)
