"""The gate: the bounds that a model must meet to be registered, and whether it becomes champion."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from churn.errors import ChurnError
from churn.registry.champion_challenger import Comparison
from churn.training import metrics
from churn.training.evaluation import Slice

SUMMARY = "gate.promotion"  # the verdict's tag
ENVIRONMENT = {"MIN_ACCURACY": "accuracy", "MIN_F1_SCORE": "f1"}


@dataclass(frozen=True)
class Verdict:
    """One rule of the gate with its evidence.

    ``bound`` is the minimum value, or the maximum for an error. A group is judged by the better end of its ``interval``, so that
    the gate rarely closes by chance.
    """

    metric: str
    value: float
    bound: float
    slice: str = ""
    interval: tuple[float, float] | None = None

    @property
    def passed(self) -> bool:
        """Whether the value, or the better end of its interval, meets the bound."""
        low, high = self.interval or (self.value, self.value)
        return low <= self.bound if self.metric in metrics.LOWER_IS_BETTER else high >= self.bound

    def __str__(self) -> str:
        """The evidence in one line."""
        lower = self.metric in metrics.LOWER_IS_BETTER
        kept = self.value <= self.bound if lower else self.value >= self.bound
        sign = {True: "<=" if lower else ">=", False: ">" if lower else "<"}[kept]
        where = f" of {self.slice}" if self.slice else ""
        text = f"{self.metric}{where} {self.value:.4f} {sign} {self.bound:g}"
        if self.interval is None:
            return text
        surely = "" if kept else ", not surely" if self.passed else ", surely"
        return f"{text}{surely} ({metrics.SURE:.0%} interval {self.interval[0]:.4f} to {self.interval[1]:.4f})"


def bounds(*sections: Mapping[str, float]) -> dict[str, float]:
    """Merge the bounds of several tables; later tables take precedence, and the environment (ENVIRONMENT) over all.

    Raises ChurnError for a value in the environment that is not a number from 0 to 1.
    """
    combined: dict[str, float] = {}
    for table in sections:
        combined |= table
    for variable, metric in ENVIRONMENT.items():
        if text := os.environ.get(variable):
            combined[metric] = _share(variable, text)
    return combined


def _share(variable: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ChurnError(f"environment variable {variable}: {text!r} is not a number from 0 to 1; correct or unset it")
    return value


def verdicts(scores: Mapping[str, float], limits: Mapping[str, float]) -> tuple[Verdict, ...]:
    """A verdict for each bound."""
    return tuple(Verdict(metric, scores[metric], bound) for metric, bound in limits.items())


def slice_verdicts(slices: tuple[Slice, ...], limits: Mapping[str, float]) -> tuple[Verdict, ...]:
    """A verdict for each bound in each group that is large enough to be judged."""
    return tuple(
        Verdict(metric, s.scores[metric], bound, f"{s.column}={s.group}", s.intervals.get(metric))
        for s in slices
        if s.scores
        for metric, bound in limits.items()
    )


@dataclass(frozen=True)
class Gate:
    """Everything that decides about a challenger: the bounds, the comparison if there is a champion, and warnings."""

    verdicts: tuple[Verdict, ...]
    comparison: Comparison | None
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every bound is met."""
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def promote(self) -> bool:
        """Whether the model becomes champion."""
        return self.passed and (self.comparison is None or self.comparison.promote)

    @property
    def summary(self) -> str:
        """The result in one line."""
        if not self.passed:
            failed = "; ".join(str(verdict) for verdict in self.verdicts if not verdict.passed)
            return f"The gate is closed: {failed}."
        if self.comparison is None:
            return "The gate is passed; there is no champion yet, so this model becomes it."
        outcome = "it becomes the champion" if self.promote else f"champion version {self.comparison.champion} stays"
        return f"The gate is passed; {outcome}: {self.comparison.reason}."

    def require(self, card: str, remedy: str) -> None:
        """Raise ChurnError unless every bound is met: other models are never registered.

        The message names the command that shows the ``card``, and ends with ``remedy``.
        """
        if not self.passed:
            raise ChurnError(f"{self.summary} Nothing is registered. Its card shows more: {card}; {remedy}")

    def evidence(self) -> dict[str, str]:
        """The verdict as registry tags."""
        tags = {f"gate.{v.metric}": str(v) for v in self.verdicts if not v.slice}
        if slices := [str(v) for v in self.verdicts if v.slice]:
            tags["gate.slices"] = "; ".join(slices)
        if self.warnings:
            tags["gate.warnings"] = "; ".join(self.warnings)
        if self.comparison is not None:
            tags["gate.comparison"] = repr(self.comparison)
            if self.comparison.look:
                tags["gate.look"] = str(self.comparison.look)
        return tags | {SUMMARY: self.summary}

    def record(self) -> dict[str, Any]:
        """The verdict for promotion.json."""
        return {
            "passed": self.passed,
            "promote": self.promote,
            "summary": self.summary,
            "verdicts": [{**asdict(v), "passed": v.passed} for v in self.verdicts],
            "comparison": asdict(self.comparison) if self.comparison is not None else None,
            "warnings": list(self.warnings),
        }
