"""Calibration of probabilities: logistic recalibration of the log odds, learned out of fold."""

from dataclasses import dataclass

import numpy as np
from churn.training import metrics

EDGE = 1e-6  # probabilities are clipped to this distance from 0 and 1 before taking log odds


@dataclass(frozen=True)
class Calibration:
    """Logistic recalibration, ``p -> sigmoid(slope * logit(p) + intercept)`` (Cox 1958).

    ``brier`` and ``ece`` are cross-fitted, before and after recalibration. ``used`` is false if it does not lower the Brier
    score; slope and intercept are then 1 and 0.
    """

    slope: float
    intercept: float
    used: bool
    brier: tuple[float, float]
    ece: tuple[float, float]

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """The calibrated probabilities, an array of the same shape."""
        return recalibrate(probability, self.slope, self.intercept) if self.used else probability


def recalibrate(probability: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """``sigmoid(slope * logit(p) + intercept)`` of each probability p."""
    return 1 / (1 + np.exp(-(slope * _logit(probability) + intercept)))


def _logit(probability: np.ndarray) -> np.ndarray:
    p = np.clip(np.asarray(probability, dtype=float), EDGE, 1 - EDGE)
    return np.log(p) - np.log1p(-p)


def learn(outcome: np.ndarray, unseen: np.ndarray, folds: list[np.ndarray]) -> Calibration:
    """Fit slope and intercept to out-of-fold probabilities of shape (n,); use them only if they help out of fold.

    ``folds`` holds the positions of each fold's test rows; other rows are ignored. To measure the effect, each fold is
    recalibrated by a fit to the others.
    """
    tested = np.sort(np.concatenate(folds))
    crossed = np.full(len(unseen), np.nan)
    for places in folds:
        others = np.setdiff1d(tested, places)
        crossed[places] = recalibrate(unseen[places], *_fit(outcome[others], unseen[others]))
    outcome, unseen, crossed = outcome[tested], unseen[tested], crossed[tested]
    brier = metrics.brier(outcome, unseen), metrics.brier(outcome, crossed)
    ece = metrics.ece(outcome, unseen), metrics.ece(outcome, crossed)
    slope, intercept = _fit(outcome, unseen)
    # A slope of 0 or less would flatten or reverse the ranking: the model learned nothing, and calibration must not hide it.
    if brier[1] >= brier[0] or slope <= 0:
        return Calibration(1.0, 0.0, False, brier, ece)
    return Calibration(slope, intercept, True, brier, ece)


def _fit(outcome: np.ndarray, probability: np.ndarray) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf).fit(_logit(probability).reshape(-1, 1), outcome)
    return float(model.coef_[0, 0]), float(model.intercept_[0])
