"""Challenger against champion on the same rows, unseen by both."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn import scores
from churn.config import Promotion

if TYPE_CHECKING:
    import pandas as pd

NAN = float("nan")


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
    if len(np.unique(outcome)) < 2:
        return undecided(name, False, "no rows of both outcomes that neither model has seen", len(outcome))
    rng = np.random.default_rng(seed)
    gains = []
    for _ in range(rule.resamples):
        drawn = rng.integers(0, len(outcome), len(outcome))
        if 0 < outcome[drawn].sum() < len(drawn):
            gains.append(scores.auc(outcome[drawn], challenger[drawn]) - scores.auc(outcome[drawn], champion[drawn]))
    low, high = np.quantile(gains, [0.025, 0.975])
    confidence = float(np.mean(np.array(gains) > rule.margin))
    promote = confidence >= rule.confidence
    reason = (
        f"a gain above {rule.margin:g} is {confidence:.1%} certain, {rule.confidence:.0%} is "
        f"{'reached' if promote else 'needed: the champion stays'}"
    )
    aucs = scores.auc(outcome, challenger), scores.auc(outcome, champion)
    return Comparison(name, len(outcome), *aucs, float(low), float(high), confidence, promote, reason)


def undecided(champion: str, promote: bool, reason: str, rows: int = 0) -> Comparison:
    """The verdict without figures, where the two cannot be compared."""
    return Comparison(champion, rows, NAN, NAN, NAN, NAN, NAN, promote, reason)


def not_comparable(champion: str, made_up: bool) -> Comparison:
    """The verdict when one of the two learned from made-up customers: the model of real customers wins, untested."""
    if made_up:
        return undecided(champion, False, "the challenger learned from made-up customers, the champion from real ones")
    return undecided(champion, True, "the champion learned from made-up customers, the challenger from real ones")


def unseen(holdout: "pd.DataFrame", others_train: "pd.DataFrame", key: str | None) -> np.ndarray:
    """True for the holdout rows that do not occur in another model's training rows, by id or, without one, by all values."""
    import pandas as pd

    if key is not None and key in others_train:
        return ~holdout[key].isin(others_train[key]).to_numpy()
    shared = [name for name in holdout.columns if name in others_train.columns]
    hashes = [pd.util.hash_pandas_object(table[shared], index=False) for table in (holdout, others_train)]
    return ~hashes[0].isin(hashes[1]).to_numpy()
