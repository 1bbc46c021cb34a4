"""``python tests/killed.py N ID``: erase a customer, and be killed at the Nth thing that is written or removed (0: never).

Prints how many there were.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "flows"))

from churn.data import snapshots
from churn.privacy import erasure
from churn.storage.places import Place
from mlflow import MlflowClient

done = 0


def counted(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*words: Any, **named: Any) -> Any:
        global done
        done += 1
        if done == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*words, **named)

    return call


for owner, name in (
    (Place, "write"),
    (Place, "remove"),
    (snapshots, "save"),
    (MlflowClient, "set_model_version_tag"),
):
    setattr(owner, name, counted(getattr(owner, name)))
erasure.sweep(erasure.subject(sys.argv[2]), remove=True)
sys.stdout.write(str(done))
