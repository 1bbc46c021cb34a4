"""The last step of a registered uplift pipeline. Importing this module imports scikit-learn."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Uplift(RegressorMixin, BaseEstimator):
    """A weighted sum of fitted estimators' predictions: by how much a contact raises the probability of staying."""

    def __init__(self, weights: list[float], arms: list[float | None], estimators: list[Any]) -> None:
        """Each list has one entry for every member.

        A classifier contributes the probability of staying, a regressor its prediction. An ``arm``, if given, is the last column
        of the member's inputs (1: contacted).
        """
        self.weights = weights
        self.arms = arms
        self.estimators = estimators

    def fit(self, X: Any, y: Any = None) -> "Uplift":
        """Do nothing: the members are fitted by ``learners.fit_learner``, which knows the arms."""
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The uplift of n customers, float64 of shape (n,)."""
        uplift = np.zeros(len(X))
        for weight, arm, member in zip(self.weights, self.arms, self.estimators, strict=True):
            inputs = X if arm is None else with_arm(X, arm)
            uplift += weight * (chance(member, inputs) if hasattr(member, "predict_proba") else member.predict(inputs))
        return uplift

    def __sklearn_is_fitted__(self) -> bool:
        """Always True: its members are fitted."""
        return True


def with_arm(x: np.ndarray, arm: Any) -> np.ndarray:
    """The inputs, shape (n, k), with the arm as an additional column."""
    return np.column_stack([x, np.broadcast_to(np.asarray(arm, dtype=x.dtype), len(x))])


def chance(model: Any, x: np.ndarray) -> np.ndarray:
    """The probability of staying, float64 of shape (n,)."""
    return np.asarray(model.predict_proba(x)[:, 1], dtype=np.float64)
