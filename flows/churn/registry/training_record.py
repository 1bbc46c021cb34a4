"""The record of a training, from its data to its verdict, for cards and the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn.data.snapshots import Snapshot
from churn.registry.gate import SUMMARY, Gate
from churn.registry.model_registry import Registered
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.settings.train import TrainConfig, Worth
from churn.training.evaluation import Evaluation
from churn.training.hyperparameter_search import Candidate
from churn.training.selection import Chosen


@dataclass(frozen=True)
class Training:
    """A training: data, settings and results; ``board`` is the leaderboard, best family first."""

    data: Snapshot
    config: TrainConfig
    lineage: Mapping[str, str]
    board: list[Candidate]
    chosen: Chosen
    evaluation: Evaluation
    gate: Gate

    @property
    def winner(self) -> Candidate:
        """The first candidate of the leaderboard."""
        return self.board[0]

    @property
    def value(self) -> Worth | None:
        """The value of a retained customer on which decisions are based: [value] of config, or else of the data set."""
        return self.chosen.worth

    @property
    def seconds(self) -> float:
        """The time of all searches in seconds, summed over the families."""
        return sum(candidate.seconds for candidate in self.board)

    def record(self) -> dict[str, Any]:
        """The training's part of promotion.json, next to the verdict."""
        metric = self.config.search.metric
        return {
            "dataset": self.data.dataset.name,
            "data_version": self.data.version,
            "rows": [len(self.data.train), len(self.data.holdout)],
            "scores": self.evaluation.scores,
            "metric": metric,
            "families": [
                {
                    "name": one.family.name,
                    "score": one.best.scores[metric],
                    "interval": one.interval,
                    "brier": -one.best.scores["neg_brier_score"],
                    "seconds": round(one.seconds, 1),
                }
                for one in self.board
            ],
        }


def ending(champion: Registered, version: Registered, bento: str, gate_result: Gate | None, again: str) -> str:
    """The last lines of TrainFlow: the champion, whether it is this training's ``version``, and why.

    ``gate_result`` is None if the version existed before; ``again`` is the command that trains anyway.
    """
    whose = (
        ""
        if version.version == champion.version
        else f" (of another training; this one made version {version.version})"
    )
    if gate_result is None:
        whose, why = "", "" if version.version == champion.version else f" ({version.tags[SUMMARY].rstrip('.')})"
        outcome = f"nothing to train: same data and config as version {version.version}{why}; to train anyway: {again}"
    else:
        outcome = gate_result.summary
    return f"Champion: version {champion.version}{whose} as {bento}; {outcome}"


def other_bounds(gate_result: Gate, dataset: Dataset, settings: str, again: str, anew: str) -> str:
    """How to accept a model that the gate rejected: the files with the violated bounds, and the command to train with others.

    The data set's bounds are part of the data version: ``anew`` creates another version; ``again`` trains on the same version
    with the file ``settings``. A resumed run keeps all bounds.
    """
    broken = [v for v in gate_result.verdicts if not v.passed]
    of_dataset = [v.metric for v in broken if v.metric in dataset.gate and not v.slice]
    others = [v for v in broken if v.metric not in of_dataset]
    ways = []
    if of_dataset:
        ways.append(f"{', '.join(of_dataset)} in [gate] of {commands.description(dataset.name)}, and then: {anew}")
    if others:
        tables = dict.fromkeys("[slices.least]" if v.slice else "[gate]" for v in others)
        names = ", ".join(dict.fromkeys(v.metric for v in others))
        ways.append(f"{names} in {' and '.join(tables)} of {commands.shown(Path(settings))}, and then: {again}")
    return f"to accept such a model, change {'; '.join(ways)}"
