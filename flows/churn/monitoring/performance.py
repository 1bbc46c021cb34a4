"""The model's current performance: NannyML's estimate without labels (CBPE), and the scores where outcomes are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.monitoring.drift import ONE_CHUNK, quiet
from churn.serving.reference_data import Reference
from churn.settings.monitor import Performance

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["probability", "decision", "outcome"]
METRICS = ["roc_auc", "f1", "accuracy"]
ROWS = 200_000  # a larger window is estimated from a sample of this many rows
CERTAIN = 3.0  # standard errors; chance exceeds them in about one of a thousand windows


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric in one window, its lower threshold, and its standard error."""

    metric: str
    value: float
    threshold: float
    error: float

    @property
    def fell(self) -> bool:
        """Whether the value is below the threshold."""
        return self.value < self.threshold


@dataclass(frozen=True)
class Realised:
    """The scores of rows with known outcomes, and CBPE's estimates for the same rows."""

    rows: int
    churned: int
    scores: tuple[MetricValue, ...]
    estimated: Mapping[str, float]

    @property
    def fallen(self) -> list[MetricValue]:
        """The scores below their thresholds."""
        return [score for score in self.scores if score.fell]

    def score(self, metric: str) -> MetricValue:
        """The realised score of ``metric``."""
        return next(score for score in self.scores if score.metric == metric)


class Estimator:
    """Computes estimated and realised scores of windows, with CBPE fitted once on the reference."""

    def __init__(self, reference: Reference, rule: Performance) -> None:
        """``rule`` sets the drops that matter."""
        self._reference, self._rule = _frame(reference.table), rule

    @cached_property
    def _fitted(self) -> Any:
        from nannyml import CBPE
        from nannyml.chunk import SizeBasedChunker

        return CBPE(
            metrics=METRICS,
            y_pred_proba="probability",
            y_pred="decision",
            y_true="outcome",
            problem_type="classification_binary",
            chunker=SizeBasedChunker(ONE_CHUNK),
        ).fit(self._reference)

    @cached_property
    def reference(self) -> dict[str, tuple[float, float]]:
        """The estimate of each metric for the reference itself, with its standard error."""
        return self._estimates(self._reference)

    @cached_property
    def realised_reference(self) -> dict[str, tuple[float, float]]:
        """The value of each metric on the reference, with its standard error."""
        return _realised(self._reference, self._reference)

    def estimate(self, window: "pd.DataFrame") -> list[MetricValue]:
        """The estimated scores of a window with ``probability`` and ``decision``."""
        return self._scores(self._estimates(_frame(window)), self.reference)

    def realised(self, labelled: "pd.DataFrame") -> Realised:
        """The scores of rows that also have an ``outcome``, and the estimate for the same rows."""
        rows = _frame(labelled)
        scores = self._scores(_realised(self._reference, rows), self.realised_reference)
        estimated = {metric: value for metric, (value, _) in self._estimates(rows).items()}
        return Realised(len(rows), int(rows.outcome.sum()), tuple(scores), estimated)

    def _estimates(self, rows: "pd.DataFrame") -> dict[str, tuple[float, float]]:
        if len(rows) > ROWS:
            rows = rows.sample(ROWS, random_state=0)
        with quiet():
            return _values(self._fitted.estimate(rows[["probability", "decision"]]).data.iloc[-1])

    def _scores(
        self, now: Mapping[str, tuple[float, float]], before: Mapping[str, tuple[float, float]]
    ) -> list[MetricValue]:
        scores = []
        for metric, (value, error) in now.items():
            was, its_error = before[metric]
            fall = max(self._rule.drop.get(metric, np.inf), CERTAIN * float(np.hypot(error, its_error)))  # type: ignore[call-overload]
            scores.append(MetricValue(metric, value, was - fall, error))
        return scores


def _frame(table: "pd.DataFrame") -> "pd.DataFrame":
    """The columns that scores need, in NannyML's form: decisions and outcomes are 0 or 1."""
    frame = table[[name for name in COLUMNS if name in table]].reset_index(drop=True)
    integers = {name: frame[name].astype("int64") for name in COLUMNS[1:] if name in frame}
    return frame.assign(probability=frame.probability.astype("float64"), **integers)


def _realised(reference: "pd.DataFrame", rows: "pd.DataFrame") -> dict[str, tuple[float, float]]:
    from nannyml.chunk import SizeBasedChunker
    from nannyml.performance_calculation import PerformanceCalculator

    calculator = PerformanceCalculator(
        metrics=METRICS,
        y_true="outcome",
        y_pred="decision",
        y_pred_proba="probability",
        problem_type="classification_binary",
        chunker=SizeBasedChunker(ONE_CHUNK),
    )
    with quiet():
        return _values(calculator.fit(reference).calculate(rows).data.iloc[-1])


def _values(chunk: "pd.Series") -> dict[str, tuple[float, float]]:
    """Value and sampling error of each metric."""
    return {metric: (float(chunk[metric, "value"]), float(chunk[metric, "sampling_error"])) for metric in METRICS}
