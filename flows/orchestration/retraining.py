"""What follows an alert of MonitorFlow: DataFlow and TrainFlow, started here or asked for."""

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
    """The command that retrains on newer customers, as a person types it.

    It reads ``source``, else the configured sources, else the file that the model's own customers came from, but
    never synthetic ones. In a cluster it starts the deployed DataFlow.
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

    That is without a [synthetic] table, or for a model that learned from real customers.
    """
    ours = not source and any_synthetic(_configured(dataset))
    if ours and not ((dataset.synthetic or dataset.tables) and learned_from_synthetic):
        again = commands.say("monitor", DATASET=dataset.name, RETRAIN="1", SOURCE=commands.FILE)
        place = commands.description(dataset.name) if dataset.tables else commands.settings("data.toml")
        raise ChurnError(
            f"{place} has synthetic customers only, and a training after an alert must not be on them; "
            f"give the file of newer ones: {again}"
        )


def asked() -> str:
    """What can be refused before a run of MonitorFlow; its first line: none."""
    if "--retrain" in sys.argv:
        source = launch.option("source")
        check(base.on_disk("description"), source)
        if source:
            sources.named(source)
    return ""


def description() -> str:
    """The file that describes this run's data set, where it was given one."""
    return os.environ.get(f"{base.GIVEN}description", "")


def _configured(dataset: Dataset) -> tuple[Source, ...]:
    """What DataFlow reads without ``--source``: of events the description's own tables."""
    if dataset.tables:
        return tuple(source for table in dataset.tables.values() for source in table.source)
    return load(DataConfig, base.ROOT / "config" / "data.toml").source


def flow(words: list[str], **environ: str) -> None:
    """Run a flow and print what its last step says. Raises ChurnError with the end of its output if it fails."""
    # The settings of the flow that this one is run by must not become its own.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("METAFLOW_FLOW_CONFIG", base.GIVEN))}
    done = subprocess.run(words, env={**kept, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise ChurnError(f"{shlex.join(words)} failed; its output ends:\n{done.stdout[-3000:]}")
    for line in done.stdout.splitlines():
        head, _, text = line.partition("] ")
        if "/end/" in head and not text.startswith("Task "):
            print(f"  {text}", flush=True)


def announce(flow: str, payload: dict[str, str]) -> None:
    """On a cluster, the event that the flow waits for (config/deploy.toml); nothing elsewhere."""
    from metaflow.plugins.argo.argo_events import ArgoEvent

    event = base.DEPLOY.start[flow].event
    # The variable is Metaflow's own sign of a pod; its safe_publish raises outside of one, or hides every error.
    if event and "ARGO_WORKFLOW_TEMPLATE" in os.environ:
        ArgoEvent(event).publish(payload, ignore_errors=False)
