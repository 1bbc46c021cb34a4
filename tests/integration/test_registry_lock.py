"""The registry's lock: one holder at a time, whoever dies, is slow, or has another clock."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from churn.errors import ChurnError
from churn.registry import registry_lock, tracking
from churn.registry.registry_lock import locked
from conftest import ROOT

NAME = "raced"
HOLD = """
import sys, time
sys.path.insert(0, "flows")
from churn.registry import tracking
from churn.registry.registry_lock import locked
with locked(tracking.client(), sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The session's own store; a lock is stale after a second."""
    monkeypatch.setattr(registry_lock, "SECONDS", 1.0)
    found = tracking.client()
    yield found
    assert found.search_registered_models(f"name LIKE '{NAME}%'") == [], "nothing is left behind"


@contextmanager
def alone(inside: list[int], number: int) -> Iterator[None]:
    assert inside == [], "two hold the lock"
    inside.append(number)
    time.sleep(0.1)
    yield
    inside.remove(number)


@pytest.mark.long
def test_of_several_who_find_a_lock_left_behind_one_takes_it_over(mlflow: Any) -> None:
    mlflow.create_registered_model(f"{NAME}.lock", description="of a process that died")
    inside: list[int] = []

    def work(number: int) -> int:
        with locked(tracking.client(), NAME) as require, alone(inside, number):
            require()
        return number

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0, 1, 2, 3]


@pytest.mark.long
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_killed_process_keeps_no_one_out(mlflow: Any, monkeypatch: pytest.MonkeyPatch, elsewhere: bool) -> None:
    """At once where it is seen to be dead; a process of another machine is seen only to do nothing."""
    if elsewhere:
        monkeypatch.setattr(registry_lock, "_here", lambda: "another.4026531836")
    else:
        monkeypatch.setattr(registry_lock, "SECONDS", 60.0)
    command = [sys.executable, "-c", HOLD, NAME]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.kill()
    begun = time.monotonic()
    with locked(mlflow, NAME) as require:
        require()
    assert (time.monotonic() - begun >= registry_lock.SECONDS) == elsewhere


def test_a_process_is_dead_only_if_it_is_known_to_be() -> None:
    here, process = registry_lock._here(), registry_lock._process(os.getpid())
    assert not registry_lock._dead(f"0-{here}-{process}")
    assert registry_lock._dead(f"0-{here}-{process}0"), "another one has its number"
    assert registry_lock._dead(f"0-{here}-{2**22 + 1}.1"), "no process has this number"
    for token in ("0", "", f"0-{here}-", f"0--{process}0", f"0-another.1-{process}0"):
        assert not registry_lock._dead(token), token


def test_a_holder_who_was_too_slow_is_told_before_it_writes_and_removes_nobody_elses(mlflow: Any) -> None:
    taken, done = threading.Event(), threading.Event()

    def successor() -> None:
        with locked(tracking.client(), NAME) as require:
            taken.set()
            assert done.wait(10)
            require()

    with ThreadPoolExecutor(1) as pool:
        with locked(mlflow, NAME) as require:
            require()
            later = pool.submit(successor)
            assert taken.wait(10)
            with pytest.raises(ChurnError, match=r"raced: another process took over the registry's lock after 1 s"):
                require()
        done.set()
        later.result()


def test_no_clock_of_another_machine_counts(mlflow: Any) -> None:
    """By its creation time on the server the lock is half a century old; it was seen for no time at all."""
    holds, free = threading.Event(), threading.Event()
    inside: list[int] = []

    def first() -> None:
        with locked(tracking.client(), NAME), alone(inside, 1):
            holds.set()
            assert free.wait(10)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(first)
        assert holds.wait(10)
        with sqlite3.connect(Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"))) as store:
            store.execute(
                "UPDATE registered_models SET creation_time = 0, last_updated_time = 0 WHERE name LIKE 'raced%'"
            )
        threading.Timer(0.3, free.set).start()
        with locked(mlflow, NAME), alone(inside, 2):
            pass
        held.result()


def test_what_is_removed_is_what_was_looked_at(mlflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at a stale lock and its removal another process may have made a new one."""
    with locked(mlflow, NAME) as require:
        real, answers = registry_lock._holder, ["the stale one"]
        monkeypatch.setattr(registry_lock, "_holder", lambda *words: answers.pop() if answers else real(*words))
        assert not registry_lock._remove(mlflow, f"{NAME}.lock", "the stale one")
        require()


def test_a_lock_without_token_is_taken_over_and_one_that_is_in_use_is_waited_for_in_vain(
    mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.create_registered_model(f"{NAME}.lock")  # as an older release left it
    with locked(mlflow, NAME) as require:
        require()
    stop = threading.Event()
    monkeypatch.setattr(registry_lock, "PATIENCE", 1.5)
    mlflow.create_registered_model(f"{NAME}.lock", description="0")

    def busy() -> None:
        number = 0
        while not stop.wait(0.2):
            number += 1
            mlflow.update_registered_model(f"{NAME}.lock", str(number))

    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(busy)
        with pytest.raises(ChurnError, match=r"stays locked .* delete the model 'raced\.lock' in MLflow"):
            locked(mlflow, NAME).__enter__()
        stop.set()
        others.result()
    mlflow.delete_registered_model(f"{NAME}.lock")  # the remedy of the message
