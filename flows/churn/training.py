"""One training, from its data to its verdict, as the cards and the registry take it."""

from collections.abc import Mapping
from dataclasses import dataclass

from churn.config import TrainConfig, Worth
from churn.evaluation import Evaluation
from churn.gate import Gate
from churn.selection import Chosen
from churn.tuning import Candidate
from churn.versioning import Snapshot


@dataclass(frozen=True)
class Training:
    """What was trained on which data with which settings; ``board`` is the leaderboard, best family first."""

    data: Snapshot
    config: TrainConfig
    lineage: Mapping[str, str]
    board: list[Candidate]
    chosen: Chosen
    found: Evaluation
    verdict: Gate

    @property
    def winner(self) -> Candidate:
        return self.board[0]

    @property
    def value(self) -> Worth | None:
        """What a kept customer is worth: config's [value], else the data set's, as the decisions go by it."""
        return self.chosen.worth

    @property
    def seconds(self) -> float:
        """Time of all searches, summed over the families."""
        return sum(candidate.seconds for candidate in self.board)
