"""A lock on a registered model, on any tracking store, for processes on any machine.

MLflow has no compare-and-set, but it guarantees unique names: the lock is the registered model NAME.lock, and its description is
the holder's token. It is removed by renaming it to NAME.lock.TOKEN, which succeeds once per token. Therefore only one of several
processes takes over an abandoned lock, and a former holder can remove only its own lock. Clocks of different machines are never
compared. The token identifies the process: if it ran on this machine and is dead, the lock is taken over at once.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from churn.errors import ChurnError
from churn.registry.mlflow_store import Missing, Taken

if TYPE_CHECKING:
    from mlflow import MlflowClient

SECONDS = 60.0  # a lock with the same token for longer was abandoned by a process that is dead or slow
PATIENCE = 120.0  # seconds to wait for the lock


class Held(ChurnError):
    """Another process has the lock."""


@contextmanager
def locked(mlflow: "MlflowClient", name: str, patience: float | None = None) -> Iterator[Callable[[], None]]:
    """Hold the lock on the registered model ``name``.

    Yields a function to call before writing: it raises ChurnError if this process took longer than SECONDS and another one has
    taken over the lock. Raises Held if the lock is not available within ``patience`` seconds (default: PATIENCE).
    """
    lock, token = f"{name}.lock", f"{uuid.uuid4().hex}-{_here()}-{_process(os.getpid())}"
    _take(mlflow, lock, token, PATIENCE if patience is None else patience)

    def require() -> None:
        if _holder(mlflow, lock) != token:
            raise ChurnError(
                f"{name}: another process took over the registry's lock after {SECONDS:g} s; check the versions' "
                "aliases in MLflow, and run this again"
            )

    try:
        yield require
    finally:
        if _remove(mlflow, lock, token):
            for left in mlflow.search_registered_models(f"name LIKE '{lock}.%'"):
                if left.name.startswith(f"{lock}."):  # in LIKE, _ is any character
                    mlflow.delete_registered_model(left.name)


@cache
def _here() -> str:
    """An identifier of this machine since its boot, and of its process table; empty if there is none."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
        return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _process(number: int) -> str:
    """An identifier of a running process that later ones of the same number do not share; empty if it is not running."""
    try:
        state, *rest = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else f"{number}.{rest[18]}"


def _dead(token: str) -> bool:
    """Whether the token's process ran on this machine and has ended."""
    _, here, process = (*token.split("-"), "", "")[:3]
    return bool(here) and here == _here() and bool(process) and _process(int(process.partition(".")[0])) != process


def _take(mlflow: "MlflowClient", lock: str, token: str, patience: float) -> None:
    until = time.monotonic() + patience
    seen, since = None, 0.0
    while not _create(mlflow, lock, token):
        holder, now = _holder(mlflow, lock), time.monotonic()
        if holder == token:  # the answer to our request was lost, and the request was repeated
            return
        if holder is not None and _dead(holder):
            _remove(mlflow, lock, holder)
            continue
        if now > until:
            raise Held(
                f"the registry stays locked by other processes; if no training runs, delete the model {lock!r} in MLflow"
            )
        if holder != seen:
            seen, since = holder, now
        elif holder is not None and now - since > SECONDS:
            _remove(mlflow, lock, holder)
            continue
        time.sleep(0.2)


def _create(mlflow: "MlflowClient", lock: str, token: str) -> bool:
    try:
        mlflow.create_registered_model(lock, description=token)
    except (Taken, Missing):  # Missing: the lock that MLflow found was released just then
        return False
    return True


def _holder(mlflow: "MlflowClient", lock: str) -> str | None:
    """The holder's token; None if nobody holds the lock."""
    try:
        return mlflow.get_registered_model(lock).description or ""
    except Missing:
        return None


def _remove(mlflow: "MlflowClient", lock: str, token: str) -> bool:
    """Whether this call removed the lock of ``token``. It is set aside, so that no later call can remove it again."""
    aside = f"{lock}.{token}"
    try:
        if _holder(mlflow, lock) != token:
            return False
        mlflow.rename_registered_model(lock, aside)
        if _holder(mlflow, aside) == token:
            return True
        mlflow.rename_registered_model(aside, lock)  # another process's, created since we looked
    except (Missing, Taken):  # it was released, or another process was first
        pass
    return False
