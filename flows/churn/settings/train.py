"""config/train.toml: model families and their search, the gate, the worth of a customer, and promotion."""

from typing import Annotated, Literal

from churn.settings.core import Strict
from churn.settings.score import RandomisedTrial
from pydantic import AfterValidator, Field, model_validator


class Range(Strict):
    """A search range from ``low`` to ``high``, on a log scale if ``log``; inclusive and in whole numbers if ``integer``."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low < high, and low > 0 on a log scale")
        return self

    def __contains__(self, value: object) -> bool:
        """Whether a search over the range may try the value."""
        number = isinstance(value, int) if self.integer else isinstance(value, int | float)
        return number and not isinstance(value, bool) and self.low <= value <= self.high  # type: ignore[operator]


Choice = str | int | float | bool
Value = Choice | None


METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "brier", "log_loss", "ece", "ks", "lift_10")


def _known(bounds: dict[str, float]) -> dict[str, float]:
    for metric in bounds:
        if metric not in METRICS:
            raise ValueError(f"{metric} is not a metric; known are {', '.join(METRICS)}")
    return bounds


Bounds = Annotated[dict[str, float], AfterValidator(_known)]  # of METRICS

BLEND = "blend"  # the leaderboard's name for the mean of several families


class Family(Strict):
    """A model family: the import path of an estimator, its fixed parameters, and its search space.

    ``start`` holds settings to try first. With ``early_stopping``, a boosted model stops after that many trees without
    improvement, and their number is learned; the fixed number is then the maximum. ``splines`` is the number of knots for the
    linear splines of numeric inputs.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    estimator: str = Field(pattern=r"^[\w.]+\.\w+$")
    iterations: int = Field(default=10, ge=1)
    impute: bool = False
    scale: bool = False
    splines: int = Field(default=0, ge=0)
    early_stopping: int = Field(default=0, ge=0)
    fixed: dict[str, Value] = {}
    search: dict[str, tuple[Value, ...] | Range] = {}
    start: tuple[dict[str, Value], ...] = ()

    def searches(self, name: str, value: Value) -> bool:
        """Whether the search may try this value of the parameter."""
        return name in self.search and value in self.search[name]

    @model_validator(mode="after")
    def _startable(self) -> "Family":
        for name, value in (pair for one in self.start for pair in one.items()):
            if not self.searches(name, value):
                choices = self.search[name] if name in self.search else f"only {', '.join(self.search) or 'nothing'}"
                raise ValueError(
                    f"[[model]] {self.name}: start has {name} = {value!r}, but [model.search] has {choices}"
                )
        return self


class Search(Strict):
    """The settings that all families' searches share: the folds (see ``folds``), the seed, the deciding metric, and execution.

    ``seconds`` is the time budget of each family; ``cpus`` is the number that one family's step may use (0: its share of the
    machine); ``backend`` is joblib's. With ``blend``, the weighted mean of several models may win (see ``ensemble``).

    ``strategy`` "tpe" is Optuna's, "random" scikit-learn's RandomizedSearchCV, "halving" the same with successive halving: the
    best 1/``factor`` trials continue. With "tpe" a search ends after ``patience`` trials without a gain (0: never) and starts
    with the champion's parameters (``warm_start``); above ``halving_rows`` training rows (0: never) its trials start on fewer.
    At most ``rows`` rows are cross-validated (0: all); the model is fitted on all.
    """

    folds: int = Field(default=5, ge=2)
    seed: int = Field(default=42, ge=0)
    metric: Literal["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss"] = "roc_auc"
    strategy: Literal["tpe", "random", "halving"] = "tpe"
    factor: int = Field(default=3, ge=2)
    patience: int = Field(default=0, ge=0)
    warm_start: bool = True
    halving_rows: int = Field(default=50_000, ge=0)
    rows: int = Field(default=200_000, ge=0)
    seconds: float | None = Field(default=None, gt=0)
    cpus: int = Field(default=0, ge=0)
    backend: Literal["loky", "threading", "ray"] = "loky"
    blend: bool = True


class MeasuredRate(Strict):
    """The success rate of contacts measured by campaigns, for customers with a risk ``above`` one bound and ``up_to`` another.

    ``measured`` is the rate of these customers alone, ``low`` to ``high`` its 95 % interval; decisions use ``rate`` (see
    ``success.measured``). Below 0, contacts drive customers away. ``contacted`` and ``control`` count the customers in each arm.
    """

    above: float
    up_to: float
    contacted: int
    control: int
    measured: float
    low: float
    high: float
    rate: float


class Worth(Strict):
    """What a retained customer is worth, and what retaining one costs, in one currency.

    The worth is ``margin``, or ``margin_column`` (money per month) times ``horizon`` (months); then ``margin`` stands in only
    where the column is missing (default: the median of the training rows). Every contact costs ``contact_cost``, every
    accepted offer ``offer_cost``; ``success_rate`` is the share of contacted churners who stay, or "measured" by risk from the
    outcomes of [uplift]. ``budget`` is the share of customers that can be contacted, for the report. ``evidence`` is filled in by
    the training if the rate is measured: first the rate of all customers, then those of the risk groups, lowest risk first.
    """

    contact_cost: float = Field(ge=0)
    offer_cost: float = Field(default=0.0, ge=0)
    success_rate: Annotated[float, Field(gt=0, le=1)] | Literal["measured"]
    margin: float | None = Field(default=None, gt=0)
    margin_column: str | None = None
    horizon: float = Field(default=12.0, gt=0)
    budget: float = Field(default=0.1, gt=0, le=1)
    evidence: tuple[MeasuredRate, ...] = ()

    @property
    def rate(self) -> float:
        """The overall success rate, after ``success.measured``; ``expected_profit.success_rates`` gives each customer's."""
        if self.evidence:
            return self.evidence[0].rate
        assert not isinstance(self.success_rate, str)
        return self.success_rate

    @model_validator(mode="after")
    def _one_margin(self) -> "Worth":
        if self.margin is None and self.margin_column is None:
            raise ValueError("[value] needs 'margin' or 'margin_column'")
        return self


class Slices(Strict):
    """When a group of customers (a slice) is evaluated separately, and what it must reach.

    A group needs ``min_rows`` customers and ``min_class_rows`` of each outcome. A score worse than that of all customers by
    more than ``gap`` is a warning; a score whose whole 99 % interval (see ``metrics.interval``) is worse than ``least`` fails the
    gate.
    """

    min_rows: int = Field(default=50, ge=1)
    min_class_rows: int = Field(default=20, ge=1)
    gap: Bounds = {"roc_auc": 0.1, "ece": 0.1}
    least: Bounds = {"roc_auc": 0.55}


class Promotion(Strict):
    """When the challenger replaces the champion.

    It does if its holdout ROC-AUC is higher by more than ``margin`` with the given ``confidence``, or a higher confidence if the
    same holdout has been used before (see ``holdout_looks``). The reported interval is from ``resamples`` paired bootstrap
    samples.
    """

    margin: float = Field(default=0.0, ge=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=1000, ge=100)


class UpliftRule(Strict):
    """The table [uplift]: uplift models, with one branch for each of ``learners`` and each of ``families``.

    ``families`` are names of [[model]] (default: all). Outcomes are those of logged campaigns after ``horizon_days``: from the
    file ``outcomes``, the data version ``data_version``, or else the service's feedback; or those of a ``trial`` assigned
    elsewhere, of which ``arms`` count as contacted (default: all but its control). Training needs ``least`` customers who stayed,
    and as many who churned, in each arm. ``trials`` settings of each family are tried; the share ``holdout`` of the customers is
    read once, by the gate; ``budget`` is the share of the customers that a policy contacts.
    """

    learners: tuple[Literal["s", "t", "x", "dr"], ...] = Field(default=("s", "t", "x", "dr"), min_length=1)
    families: tuple[str, ...] = ()
    trials: int = Field(default=3, ge=1)
    horizon_days: float = Field(default=90, ge=0)
    outcomes: str = ""
    data_version: str = ""
    trial: RandomisedTrial | None = None
    arms: tuple[str, ...] = ()
    least: int = Field(default=50, ge=20)
    holdout: float = Field(default=0.3, gt=0, lt=1)
    budget: float = Field(default=0.2, gt=0, lt=1)
    gate: dict[Literal["qini", "auuc", "qini_over_risk"], float] = {"qini": 0.0}


class TrainConfig(Strict):
    """config/train.toml; ``leakage`` is the maximum ROC-AUC of any single column."""

    experiment: str = "churn"
    leakage: float = Field(default=0.98, gt=0.5, le=1)
    search: Search = Search()
    gate: Bounds = {}
    slices: Slices = Slices()
    value: Worth | None = None
    uplift: UpliftRule | None = None
    promotion: Promotion = Promotion()
    model: tuple[Family, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> "TrainConfig":
        names = [family.name for family in self.model]
        if len(set(names)) < len(names):
            raise ValueError(f"two [[model]] tables have the same name: {', '.join(names)}")
        if BLEND in names:
            raise ValueError(f"no [[model]] may be named {BLEND!r}: the mean of several families has that name")
        if self.uplift is not None and (unknown := sorted(set(self.uplift.families) - set(names))):
            raise ValueError(f"[uplift] families: no [[model]] is named {', '.join(unknown)}")
        return self
