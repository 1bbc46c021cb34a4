"""The last step of a registered uplift pipeline. Importing this module imports scikit-learn."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Uplift(RegressorMixin, BaseEstimator):
    """A weighted sum of what several fitted estimators say of a customer: by how much a contact raises the chance to stay."""

    def __init__(self, weights: list[float], arms: list[float | None], estimators: list[Any]) -> None:
        """One of each for every member.

        A classifier gives the chance to stay, a regressor its prediction. Where an ``arm`` is given, it is the last column of the
        member's inputs (1: contacted).
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
        """Always: it is made of fitted members."""
        return True


def with_arm(x: np.ndarray, arm: Any) -> np.ndarray:
    """The inputs, shape (n, k), with the arm as one more column."""
    return np.column_stack([x, np.broadcast_to(np.asarray(arm, dtype=x.dtype), len(x))])


def chance(model: Any, x: np.ndarray) -> np.ndarray:
    """The chance to stay, float64 of shape (n,)."""
    return np.asarray(model.predict_proba(x)[:, 1], dtype=np.float64)
