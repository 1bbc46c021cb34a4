"""A command that is killed at any moment, as a person or a machine does it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from conftest import ROOT

BEGIN = "begun"  # what a script says when its imports are done and its work begins
BEFORE = f"""
import sys
sys.path.insert(0, "flows")
import mlflow, mlflow.store.db.utils, mlflow.store.tracking.sqlalchemy_store
from churn.settings import environment
from churn.registry import mlflow_store, model_registry
print("{BEGIN}", flush=True)
"""


def script(code: str) -> list[str]:
    """The command that runs ``code``, which begins as BEFORE does."""
    return [sys.executable, "-c", BEFORE + code]


def start(words: list[str], **environ: str) -> "subprocess.Popen[str]":
    """Its process, in a group of its own, once it has said BEGIN."""
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == BEGIN
    return process


def end(process: "subprocess.Popen[str]", how: int = signal.SIGKILL) -> int:
    """Send ``how`` to all of its processes; its exit code."""
    os.killpg(process.pid, how)
    code = process.wait(60)
    assert process.stdout is not None
    process.stdout.close()
    return code


def after(seconds: float, rng: random.Random) -> None:
    """Wait for a moment within ``seconds``."""
    time.sleep(rng.uniform(0, seconds))


def until(happened: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 60) -> None:
    """Wait for what the process is to bring about."""
    late = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < late
        time.sleep(0.01)


def leftovers(folder: Path) -> list[str]:
    """The files of a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())
