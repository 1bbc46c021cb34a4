"""What follows an alert of MonitorFlow: DataFlow and TrainFlow, started here or asked for."""

import os
import shlex
import subprocess
import sys

import base
from churn.errors import ChurnError


def commands(source: str) -> list[list[str]]:
    """DataFlow and TrainFlow as this run's data set needs them; ``source`` is what DataFlow is to read, "" for its settings'."""
    description = os.environ.get(f"{base.GIVEN}description")
    data = [*(["--config", "description", description] if description else []), "run"]
    return [["flows/data_flow.py", *data, *(["--source", source] if source else [])], ["flows/train_flow.py", "run"]]


def typed(source: str) -> str:
    """The commands as a person types them at the root."""
    return " && ".join(f"{base.python()} {shlex.join(words)}" for words in commands(source))


def run(source: str) -> None:
    """Run DataFlow, then TrainFlow. Raises ChurnError if one fails."""
    for words in commands(source):
        flow(words)


def flow(words: list[str], **environ: str) -> None:
    """Run a flow and print what its last step says. Raises ChurnError with the end of its output if it fails."""
    # The settings of the flow that this one is run by must not become its own.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("METAFLOW_FLOW_CONFIG", base.GIVEN))}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=base.ROOT,
        env={**kept, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise ChurnError(f"{shlex.join(words)} failed; its output ends:\n{done.stdout[-3000:]}")
    for line in done.stdout.splitlines():
        head, _, text = line.partition("] ")
        if "/end/" in head and not text.startswith("Task "):
            print(f"  {text}", flush=True)


def announce(payload: dict[str, str]) -> None:
    """On a cluster, the event that DataFlow waits for (config/deploy.toml); nothing elsewhere."""
    from metaflow.plugins.argo.argo_events import ArgoEvent

    event = base.DEPLOY.start["DataFlow"].event
    # The variable is Metaflow's own sign of a pod; its safe_publish raises outside of one, or hides every error.
    if event and "ARGO_WORKFLOW_TEMPLATE" in os.environ:
        ArgoEvent(event).publish(payload, ignore_errors=False)
