"""config/monitor.toml: how the prediction log is divided into windows, and which findings raise an alert."""

from typing import Literal

from churn.settings.core import Strict
from pydantic import Field, model_validator

Numeric = Literal["kolmogorov_smirnov", "jensen_shannon", "wasserstein"]
Categorical = Literal["jensen_shannon", "chi2"]
Method = Literal["kolmogorov_smirnov", "jensen_shannon", "wasserstein", "chi2"]
Metric = Literal["roc_auc", "f1", "accuracy"]


class WindowSize(Strict):
    """The ``last`` windows to compare: of ``days`` each, up to now, or of ``rows`` each, the newest."""

    days: float | None = Field(default=None, gt=0)
    rows: int | None = Field(default=None, ge=10)
    last: int = Field(default=3, ge=1, le=100)
    min_rows: int = Field(default=300, ge=30)

    @model_validator(mode="after")
    def _one_size(self) -> "WindowSize":
        if (self.days is None) == (self.rows is None):
            raise ValueError("[window] needs either 'days' or 'rows'")
        if self.rows is not None and self.rows < self.min_rows:
            raise ValueError(f"windows of {self.rows} rows are never judged with min_rows = {self.min_rows}")
        return self


class Drift(Strict):
    """The drift methods and their thresholds (see ``drift_thresholds``).

    ``false_alarms`` is the share of windows without drift in which any column may be flagged; ``least`` is the smallest
    distance that matters, by method; ``threshold`` sets thresholds by column and method, and overrides both.
    """

    numeric: tuple[Numeric, ...] = Field(default=("kolmogorov_smirnov", "wasserstein"), min_length=1)
    categorical: tuple[Categorical, ...] = Field(default=("jensen_shannon", "chi2"), min_length=1)
    false_alarms: float = Field(default=0.01, gt=0, lt=0.5)
    missing: float = Field(default=0.02, ge=0, lt=1)
    unseen: float = Field(default=0.01, ge=0, lt=1)
    least: dict[Method, float] = {}
    threshold: dict[str, dict[Method, float]] = {}
    resamples: int = Field(default=1000, ge=200)
    seed: int = Field(default=42, ge=0)


class Performance(Strict):
    """The drops in performance that matter, by metric.

    Outcomes are looked up for the predictions of the last ``label_days`` and evaluated once there are ``min_labels``.
    """

    drop: dict[Metric, float] = {"roc_auc": 0.03}
    label_days: int = Field(default=90, ge=1)
    min_labels: int = Field(default=200, ge=50)


class Alert(Strict):
    """How many of the last windows, the newest included, must violate a threshold to raise an alert."""

    violations: int = Field(default=2, ge=1)


class MonitorConfig(Strict):
    """config/monitor.toml."""

    window: WindowSize
    alert: Alert = Alert()
    drift: Drift = Drift()
    performance: Performance = Performance()

    @model_validator(mode="after")
    def _reachable(self) -> "MonitorConfig":
        if self.alert.violations > self.window.last:
            raise ValueError(
                f"alert.violations = {self.alert.violations} can never be reached with window.last = {self.window.last}"
            )
        return self
