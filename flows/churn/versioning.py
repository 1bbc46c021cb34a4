"""Data versions: a snapshot of train and holdout, content-addressed by DVC, pushed to a remote.

The version is DVC's directory hash (ends in ``.dir``): the same tables and description give the same version.
"""

import json
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from churn import sources
from churn.config import Split
from churn.dataset import Dataset, read
from churn.environment import STATE
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "snapshot"


@dataclass(frozen=True)
class Snapshot:
    """One data version, read back: its description, whether its customers come from the generator, and its two tables."""

    version: str
    dataset: Dataset
    made_up: bool
    train: "pd.DataFrame"
    holdout: "pd.DataFrame"


@dataclass(frozen=True)
class Saved:
    """What ``save`` did: the version, the text of the .dvc pointer, and whether anything was uploaded."""

    version: str
    pointer: str
    uploaded: bool


def split(frame: "pd.DataFrame", dataset: Dataset, settings: Split) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Train and holdout, stratified by the target with scikit-learn's ``train_test_split``."""
    from sklearn.model_selection import train_test_split

    train, holdout = train_test_split(
        frame, test_size=settings.holdout, random_state=settings.seed, stratify=frame[dataset.target]
    )
    return train.reset_index(drop=True), holdout.reset_index(drop=True)


def remote() -> str:
    """Where snapshots are kept: CHURNFLOW_DVC_REMOTE (a folder or s3://...), else a folder of the local state."""
    return os.environ.get("CHURNFLOW_DVC_REMOTE") or str(STATE / "dvc-remote")


def save(train: bytes, holdout: bytes, dataset: Dataset, made_up: bool) -> Saved:
    """Version the two Parquet tables with the data set's description and push them; idempotent.

    Works without git and leaves nothing behind but the remote's content: DVC works in a temporary folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        repo = _repo(Path(folder))
        snapshot = Path(folder, FOLDER)
        snapshot.mkdir()
        (snapshot / "train.parquet").write_bytes(train)
        (snapshot / "holdout.parquet").write_bytes(holdout)
        description = {"made_up": made_up, "dataset": dataset.model_dump(mode="json")}
        (snapshot / "snapshot.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
        stage = repo.add(str(snapshot))[0]
        pushed = repo.push([stage.addressing])
        pointer = Path(folder, f"{FOLDER}.dvc").read_text(encoding="utf-8")
        return Saved(stage.outs[0].hash_info.value, pointer, pushed > 0)


def load(version: str) -> Snapshot:
    """The snapshot of ``version`` from the remote. Raises ChurnError if the remote does not hold it."""
    from dvc.exceptions import DvcException

    with tempfile.TemporaryDirectory() as folder:
        repo = _repo(Path(folder))
        pointer = Path(folder, f"{FOLDER}.dvc")
        pointer.write_text(f"outs:\n- md5: {version}\n  hash: md5\n  path: {FOLDER}\n", encoding="utf-8")
        try:
            repo.pull([str(pointer)])
        except DvcException as error:
            raise ChurnError(
                f"data version {version!r} is not in {remote()} ({type(error).__name__}); "
                "run DataFlow, or name a version it printed"
            ) from None
        snapshot = Path(folder, FOLDER)
        description = json.loads((snapshot / "snapshot.json").read_text(encoding="utf-8"))
        tables = [sources.from_bytes((snapshot / f"{name}.parquet").read_bytes()) for name in ("train", "holdout")]
        return Snapshot(version, read(description["dataset"]), description["made_up"], *tables)


def _repo(folder: Path):  # type: ignore[no-untyped-def]  # DVC has no types
    """A DVC repository without git whose only remote is ``remote()``."""
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    repo = Repo.init(str(folder), no_scm=True)
    with repo.config.edit() as config:
        config["remote"] = {"store": {"url": remote()}}
        config["core"] = {"remote": "store", "analytics": False, "no_scm": True}
    return Repo(str(folder))
