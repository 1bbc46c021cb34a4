"""config/score.toml: whom ScoreFlow ranks, and how."""

from churn.settings.core import Strict
from churn.settings.data import Source
from pydantic import Field


class Score(Strict):
    """[score] of config/score.toml. ``shard_rows`` customers are scored by one branch; the first ``explained`` of the list
    get ``reasons`` reasons each; a larger share of rows with errors than ``quarantine`` stops the run; ``log`` says
    whether real customers' predictions go to the prediction log.
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
