"""config/score.toml: whom ScoreFlow ranks, and how."""

from churn.settings.core import Strict
from churn.settings.data import Source
from pydantic import Field


class Score(Strict):
    """The table [score] of config/score.toml.

    Each branch scores ``shard_rows`` customers; the first ``explained`` of the ranking get ``reasons`` reasons each; a share
    of invalid rows above ``quarantine`` stops the run; ``log`` says whether predictions for real customers are logged.
    """

    shard_rows: int = Field(default=100_000, ge=1)
    explained: int = Field(default=500, ge=0)
    reasons: int = Field(default=3, ge=1)
    quarantine: float = Field(default=0.05, ge=0, lt=1)
    log: bool = True


class ScoreConfig(Strict):
    """config/score.toml."""

    source: tuple[Source, ...] = Field(min_length=1)
    score: Score = Score()
