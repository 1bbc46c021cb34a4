"""A command that is killed at any moment, as a person or a machine does it."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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


def forked(
    work: Callable[[], object],
    at: int = 0,
    of: Sequence[tuple[Any, str]] = (),
    after: bool = False,
    seconds: float = 180,
) -> int:
    """Let a process of its own do the ``work``, and be killed before its change number ``at`` (0: never), or right ``after`` it.

    A change is a call of the methods ``of`` owners, or else a file written, named or removed, and a statement to SQLite that
    is no question. Returns how many there were; -1 if the process was killed.
    """
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            made = _count(at, of, after)
            work()
            os.write(write, str(made()).encode())
            code = 0
        except BaseException:  # noqa: BLE001 - nothing of this process may go on as a test
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        late = time.monotonic() + seconds
        while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
            if time.monotonic() > late:
                os.kill(process, signal.SIGKILL)
                raise AssertionError(f"it has not ended within {seconds:g} s")
            time.sleep(0.01)
        code = os.waitstatus_to_exitcode(ended[1])
        assert code == 0 or (at and code == -signal.SIGKILL), code
        return int(said.read()) if code == 0 else -1


def _count(at: int, of: Sequence[tuple[Any, str]], after: bool) -> Callable[[], int]:
    """Kill this process before or after change number ``at``; what is returned says how many there were."""
    made, connect = 0, sqlite3.connect

    def change(*_: object) -> None:
        nonlocal made
        made += 1
        if made == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def stated(sql: str) -> None:
        if sql.lstrip()[:6].upper() not in ("SELECT", "PRAGMA"):
            change()

    def hook(event: str, words: tuple[Any, ...]) -> None:
        if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir") or (
            event == "open" and words[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            change()

    def traced(*words: Any, **named: Any) -> Any:
        connection = connect(*words, **named)
        connection.set_trace_callback(stated)
        return connection

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            if not after:
                change()
                return method(*words, **named)
            done = method(*words, **named)
            change()
            return done

        return call

    for owner, name in of:
        setattr(owner, name, counted(getattr(owner, name)))
    if not of:
        sys.addaudithook(hook)
        sqlite3.connect = sqlite3.dbapi2.connect = traced
    return lambda: made


def sample(changes: int, number: int = 40) -> list[int]:
    """As many moments of a work of so many changes, spread evenly over it; each if there are fewer."""
    return (
        sorted({1 + changes * turn // number for turn in range(number)})
        if changes > number
        else list(range(1, changes + 1))
    )
