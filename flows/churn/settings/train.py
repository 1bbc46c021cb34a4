"""config/train.toml: model families and their search, the gate, what a customer is worth, and promotion."""

from typing import Literal

from churn.settings.core import Strict
from pydantic import Field, model_validator


class Range(Strict):
    """A search range: ``low`` to ``high`` (inclusive for integers), on a log scale if ``log``."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low < high, and low > 0 on a log scale")
        return self


Choice = str | int | float | bool
Value = Choice | None


BLEND = "blend"  # the name of the mean of several families on the leaderboard


class Family(Strict):
    """A model family: an estimator's import path, its fixed parameters, and the space that is searched."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    estimator: str = Field(pattern=r"^[\w.]+\.\w+$")
    iterations: int = Field(default=10, ge=1)
    impute: bool = False
    scale: bool = False
    fixed: dict[str, Value] = {}
    search: dict[str, tuple[Value, ...] | Range] = {}


class Search(Strict):
    """What all families share: the folds (see ``folds``, the same for all), the seed, the metric that decides, and how
    the search runs. ``seconds`` is each family's time budget; ``cpus`` what one family's step may use (0: the machine's
    share); ``backend`` is joblib's. With ``blend`` the mean of several families may win (see ``selection.blend``).
    """

    folds: int = Field(default=5, ge=2)
    seed: int = Field(default=42, ge=0)
    metric: Literal["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss"] = "roc_auc"
    strategy: Literal["random", "halving"] = "random"
    factor: int = Field(default=3, ge=2)
    seconds: float | None = Field(default=None, gt=0)
    cpus: int = Field(default=0, ge=0)
    backend: Literal["loky", "threading", "ray"] = "loky"
    blend: bool = True


class Worth(Strict):
    """What keeping a customer is worth: ``margin`` in money, or ``margin_column`` (money a month) times ``horizon`` (months),
    and then ``margin`` only where that is missing (by default the median of the training rows).

    ``contact_cost`` is paid for everyone contacted, ``offer_cost`` for everyone who takes the offer, ``success_rate`` is
    the share of contacted churners who stay. ``budget`` is the share of customers that can be contacted, for the report.
    """

    contact_cost: float = Field(ge=0)
    offer_cost: float = Field(default=0.0, ge=0)
    success_rate: float = Field(gt=0, le=1)
    margin: float | None = Field(default=None, gt=0)
    margin_column: str | None = None
    horizon: float = Field(default=12.0, gt=0)
    budget: float = Field(default=0.1, gt=0, le=1)

    @model_validator(mode="after")
    def _one_margin(self) -> "Worth":
        if self.margin is None and self.margin_column is None:
            raise ValueError("[value] needs 'margin' or 'margin_column'")
        return self


class Slices(Strict):
    """Groups are judged on their own from ``min_rows`` customers and ``min_class_rows`` of each outcome. A score that is
    worse than the whole's by more than ``gap`` is a warning; one surely below ``least`` closes the gate: the better end of
    its 99 % interval (see ``scores.interval``) decides.
    """

    min_rows: int = Field(default=50, ge=1)
    min_class_rows: int = Field(default=20, ge=1)
    gap: dict[str, float] = {"roc_auc": 0.1, "ece": 0.1}
    least: dict[str, float] = {"roc_auc": 0.55}


class Promotion(Strict):
    """The challenger replaces the champion if a gain of holdout ROC-AUC above ``margin`` is certain by ``confidence``, or
    by more where the same customers have been looked at before (see ``comparison.needed``). The interval shown is of
    ``resamples`` paired bootstrap samples.
    """

    margin: float = Field(default=0.0, ge=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=1000, ge=100)


class TrainConfig(Strict):
    """config/train.toml. ``leakage`` is the ROC-AUC that no column alone may exceed."""

    experiment: str = "churn"
    leakage: float = Field(default=0.98, gt=0.5, le=1)
    search: Search = Search()
    gate: dict[str, float] = {}
    slices: Slices = Slices()
    value: Worth | None = None
    promotion: Promotion = Promotion()
    model: tuple[Family, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> "TrainConfig":
        names = [family.name for family in self.model]
        if len(set(names)) < len(names):
            raise ValueError(f"two [[model]] tables have the same name: {', '.join(names)}")
        if BLEND in names:
            raise ValueError(f"no [[model]] may be named {BLEND!r}: the mean of several families has that name")
        return self
