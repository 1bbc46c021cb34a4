"""Scores, the decision threshold, the gate, and the comparison of challenger and champion."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn import models
from churn.config import Promotion
from churn.dataset import Dataset
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "brier")


def best_f1_threshold(outcome: np.ndarray, probability: np.ndarray) -> float:
    """The threshold with the highest F1 score. Give it out-of-fold probabilities, never the holdout's."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(outcome, probability)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[np.argmax(f1[:-1])])


def evaluate(outcome: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, float]:
    """METRICS on n rows: ``outcome`` 0 or 1, ``probability`` in 0..1, decided at ``probability >= threshold``."""
    from sklearn import metrics

    decision = probability >= threshold
    return {
        "accuracy": float(metrics.accuracy_score(outcome, decision)),
        "precision": float(metrics.precision_score(outcome, decision, zero_division=0)),
        "recall": float(metrics.recall_score(outcome, decision)),
        "f1": float(metrics.f1_score(outcome, decision)),
        "roc_auc": float(metrics.roc_auc_score(outcome, probability)),
        "pr_auc": float(metrics.average_precision_score(outcome, probability)),
        "brier": float(metrics.brier_score_loss(outcome, probability)),
    }


@dataclass(frozen=True)
class Evaluation:
    """The holdout, read once: outcomes and probabilities of shape (n,), the scores, and the features that matter most."""

    outcome: np.ndarray
    probability: np.ndarray
    threshold: float
    scores: dict[str, float]
    importance: list[tuple[str, float]]


def read_holdout(
    pipeline: "Pipeline", threshold: float, dataset: Dataset, holdout: "pd.DataFrame", seed: int
) -> Evaluation:
    """Score the whole pipeline (raw columns in) on the holdout."""
    inputs, outcome = holdout[list(dataset.raw)], models.outcome(dataset, holdout)
    probability = pipeline.predict_proba(inputs)[:, 1]
    scores = evaluate(outcome, probability, threshold)
    return Evaluation(outcome, probability, threshold, scores, importance(pipeline, inputs, outcome, seed))


@dataclass(frozen=True)
class Verdict:
    """One rule of the gate with its evidence."""

    metric: str
    value: float
    least: float

    @property
    def passed(self) -> bool:
        return self.value >= self.least

    def __str__(self) -> str:
        return f"{self.metric} {self.value:.4f} {'>=' if self.passed else '<'} {self.least:g}"


def gate(scores: dict[str, float], least: dict[str, float]) -> tuple[Verdict, ...]:
    """A verdict for each configured least score."""
    return tuple(Verdict(metric, scores[metric], bound) for metric, bound in least.items())


@dataclass(frozen=True)
class Comparison:
    """Challenger against champion on ``rows`` that neither has trained on: ROC-AUC of both, and the bootstrapped gain."""

    champion: str
    rows: int
    challenger_roc_auc: float
    champion_roc_auc: float
    gain_low: float
    gain_high: float
    confidence_of_gain: float
    promote: bool
    reason: str


def compare(
    outcome: np.ndarray, challenger: np.ndarray, champion: np.ndarray, name: str, rule: Promotion, seed: int
) -> Comparison:
    """Paired bootstrap of the difference in ROC-AUC (Efron & Tibshirani 1993, ch. 16) on the same rows, shape (n,).

    Ties keep the champion. With one class only, or no row left that is unseen by both, the champion stays too.
    """
    from sklearn.metrics import roc_auc_score

    if len(np.unique(outcome)) < 2:
        nan = float("nan")
        return Comparison(
            name,
            len(outcome),
            nan,
            nan,
            nan,
            nan,
            nan,
            False,
            "no rows of both outcomes that neither model has seen",
        )
    rng = np.random.default_rng(seed)
    gains = []
    for _ in range(rule.resamples):
        drawn = rng.integers(0, len(outcome), len(outcome))
        if 0 < outcome[drawn].sum() < len(drawn):
            gains.append(auc(outcome[drawn], challenger[drawn]) - auc(outcome[drawn], champion[drawn]))
    low, high = np.quantile(gains, [0.025, 0.975])
    confidence = float(np.mean(np.array(gains) > rule.margin))
    promote = confidence >= rule.confidence
    reason = (
        f"a gain above {rule.margin:g} is {confidence:.1%} certain, {rule.confidence:.0%} is "
        f"{'reached' if promote else 'needed: the champion stays'}"
    )
    return Comparison(
        name, len(outcome), float(roc_auc_score(outcome, challenger)), float(roc_auc_score(outcome, champion)),
        float(low), float(high), confidence, promote, reason,
    )  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """All that decides about a challenger: the least scores, and the comparison if there is a champion."""

    verdicts: tuple[Verdict, ...]
    comparison: Comparison | None

    @property
    def passed(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def promote(self) -> bool:
        return self.passed and (self.comparison is None or self.comparison.promote)

    @property
    def summary(self) -> str:
        if not self.passed:
            failed = "; ".join(str(verdict) for verdict in self.verdicts if not verdict.passed)
            return f"The gate is closed: {failed}."
        if self.comparison is None:
            return "The gate is passed; there is no champion yet, so this model becomes it."
        outcome = "it becomes the champion" if self.promote else f"champion version {self.comparison.champion} stays"
        return f"The gate is passed; {outcome}: {self.comparison.reason}."

    def require(self) -> None:
        """Nothing, if every least score is reached; else ChurnError: a model below them is never registered."""
        if not self.passed:
            raise ChurnError(
                f"{self.summary} Nothing is registered. Look at the gate card; to accept such a model, lower [gate] in "
                "config/train.toml or in the data set's file"
            )

    def evidence(self) -> dict[str, str]:
        """The verdict as registry tags."""
        tags = {f"gate.{v.metric}": str(v) for v in self.verdicts}
        return (
            tags
            | {"gate.promotion": self.summary}
            | ({"gate.comparison": repr(self.comparison)} if self.comparison else {})
        )


def not_comparable(champion: str, made_up: bool) -> Comparison:
    """The verdict when one of the two learned from made-up customers: the model of real customers wins, untested."""
    nan = float("nan")
    reason = (
        "the challenger learned from made-up customers, the champion from real ones"
        if made_up
        else "the champion learned from made-up customers, the challenger from real ones"
    )
    return Comparison(champion, 0, nan, nan, nan, nan, nan, not made_up, reason)


def auc(outcome: np.ndarray, score: np.ndarray) -> float:
    """ROC-AUC as the Mann-Whitney statistic with average ranks: a bootstrap calls it thousands of times."""
    from scipy.stats import rankdata

    ranks = rankdata(score)
    positives = int(outcome.sum())
    return float(
        (ranks[outcome == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(outcome) - positives))
    )


def unseen(holdout: "pd.DataFrame", others_train: "pd.DataFrame", key: str | None) -> np.ndarray:
    """True for the holdout rows that do not occur in another model's training rows, by id or, without one, by all values."""
    import pandas as pd

    if key is not None and key in others_train:
        return ~holdout[key].isin(others_train[key]).to_numpy()
    shared = [name for name in holdout.columns if name in others_train.columns]
    hashes = [pd.util.hash_pandas_object(table[shared], index=False) for table in (holdout, others_train)]
    return ~hashes[0].isin(hashes[1]).to_numpy()


def importance(pipeline: "Pipeline", inputs: "pd.DataFrame", outcome: np.ndarray, seed: int) -> list[tuple[str, float]]:
    """Permutation importance (Breiman 2001): the loss of ROC-AUC when a column is shuffled, largest first."""
    from sklearn.inspection import permutation_importance

    sample = inputs.sample(min(len(inputs), 1000), random_state=seed)
    chosen = outcome[inputs.index.get_indexer(sample.index)]
    found = permutation_importance(
        pipeline, sample, chosen, scoring="roc_auc", n_repeats=3, random_state=seed, n_jobs=1
    )
    return sorted(zip(sample.columns, found.importances_mean.tolist(), strict=True), key=lambda pair: -pair[1])
