"""The finished trials of a running search, on disk, so that a resume need not fit them again."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from churn.settings.environment import TEMPORARY, private
from churn.training.search.trials import Trial

FOLDER = TEMPORARY


class Known(NamedTuple):
    """A finished trial, and its score at each stage it reached."""

    trial: Trial
    reached: tuple[float, ...]


class Checkpoint:
    """One file for each trial of one family in one training, without customer ids.

    The files are temporary: swept after a day, and lost with a pod; the search then starts over.
    """

    def __init__(self, training: str = "", family: str = "") -> None:
        """``training`` is the training's id, which a resume keeps; without one nothing is kept."""
        self._folder = FOLDER / f"search-{training.replace('/', '-')}" / family if training else None

    def get(self, number: int, params: dict[str, Any]) -> Known | None:
        """The trial with this number, if it finished with the same parameters."""
        if self._folder is None or not (file := self._file(number)).is_file():
            return None
        with np.load(file, allow_pickle=False) as kept:
            described, unseen = json.loads(str(kept["described"])), kept["unseen"]
        if described["asked"] != json.loads(json.dumps(params)):
            return None
        fields = {**described["trial"], "by_fold": tuple(described["trial"]["by_fold"])}
        return Known(Trial(**fields, unseen=unseen if len(unseen) else None), tuple(described["reached"]))

    def put(self, number: int, params: dict[str, Any], trial: Trial, reached: Sequence[float]) -> None:
        """Keep a finished trial; the write is atomic."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        fields = {name: value for name, value in asdict(trial).items() if name != "unseen"}
        described = json.dumps({"asked": params, "trial": fields, "reached": list(reached)})
        half = self._file(number).with_suffix(".half")
        with open(half, "wb", opener=private) as file:
            np.savez(file, described=described, unseen=np.array([]) if trial.unseen is None else trial.unseen)
        half.rename(self._file(number))

    def clear(self) -> None:
        """Remove the kept trials once the search has ended."""
        if self._folder is None:
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._folder.parent.is_dir() and not any(self._folder.parent.iterdir()):
            self._folder.parent.rmdir()

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number}.npz"
