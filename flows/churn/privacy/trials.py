"""Searches of past trainings in MLflow: one run for each family and each trial."""

import os
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from functools import partial

from churn.errors import ChurnError
from churn.registry.mlflow_store import client
from churn.registry.tracking import TRAINING

PARENT = "mlflow.parentRunId"
_SQLITE = "sqlite:///"


def known(needed: Collection[str]) -> Iterator[tuple[str, int, float, Callable[[], None], str, bool]]:
    """Every training's trials, as the fields of ``retention.Item`` after its store.

    MLflow does not report their size (0). Their group is the experiment; they are needed if the training is in ``needed``.
    """
    mlflow = client()
    for experiment in mlflow.search_experiments():
        trainings: dict[str, list[str]] = defaultdict(list)
        ended: dict[str, float] = defaultdict(float)
        token = None
        while True:
            page = mlflow.search_runs([experiment.experiment_id], page_token=token, max_results=1000)
            for run in page:
                training = run.data.tags.get(TRAINING, "")
                if training and PARENT in run.data.tags:
                    trainings[training].append(run.info.run_id)
                    ended[training] = max(ended[training], (run.info.end_time or run.info.start_time) / 1000)
            if (token := page.token) is None or not page:
                break
        for training, ids in trainings.items():
            name = f"{training}: {len(ids)} trials"
            yield name, 0, ended[training], partial(_delete, ids), experiment.name, training in needed


def _delete(runs: list[str]) -> None:
    for run in runs:
        client().delete_run(run)


def purge_deleted() -> None:
    """Purge deleted runs from a database file; a server's operator does it with ``mlflow gc``. Raises ChurnError."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if not uri.startswith(_SQLITE):
        return
    with closing(sqlite3.connect(uri.removeprefix(_SQLITE), timeout=30)) as database:
        (deleted,) = database.execute("SELECT count(*) FROM runs WHERE lifecycle_stage IN ('deleted')").fetchone()
    if not deleted:
        return
    words = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", uri, "--tracking-uri", uri]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChurnError(f"{uri}: deleted runs cannot be purged: {''.join(done.stderr.strip().splitlines()[-1:])}")
    with closing(sqlite3.connect(uri.removeprefix(_SQLITE), timeout=30)) as database:
        database.execute("VACUUM")
