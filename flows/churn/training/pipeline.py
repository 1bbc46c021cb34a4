"""Churnflow's own steps in the registered scikit-learn pipeline. Importing this module imports scikit-learn."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data import features
from churn.settings.dataset import Dataset, from_dump
from churn.training import calibration
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import TargetEncoder

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@lru_cache(maxsize=16)
def _described(text: str) -> Dataset:
    return from_dump(json.loads(text))


class FeatureStep(TransformerMixin, BaseEstimator):
    """First step of the registered pipeline: ``features.frame`` as a transformer."""

    def __init__(self, dataset: str) -> None:
        """``dataset`` is the data set's description as JSON."""
        self.dataset = dataset

    def fit(self, X: "pd.DataFrame", y: Any = None) -> "FeatureStep":
        """Do nothing: the features are fixed."""
        return self

    def transform(self, X: "pd.DataFrame") -> "pd.DataFrame":
        """The model inputs of the customers in ``X`` (raw columns)."""
        return features.frame(_described(self.dataset), X)

    def __sklearn_is_fitted__(self) -> bool:
        """Always True: there is nothing to fit."""
        return True


class Hinges(TransformerMixin, BaseEstimator):
    """Linear splines: for each number x the columns x and max(x - knot, 0), so that a linear model bends at every knot."""

    def __init__(self, knots: int = 5) -> None:
        """``knots`` is the number of inner quantiles of each column at which it bends."""
        self.knots = knots

    def fit(self, X: Any, y: Any = None) -> "Hinges":
        """Learn the quantiles; equal ones count once."""
        values = np.asarray(X, dtype=np.float32)
        quantiles = np.nanquantile(values, np.arange(1, self.knots + 1) / (self.knots + 1), axis=0, method="higher").T
        each = [np.unique(own[~np.isnan(own)]) for own in quantiles]
        self.columns_ = np.repeat(np.arange(len(each)), [len(own) for own in each])
        self.at_ = np.concatenate([*each, np.array([], np.float32)]).astype(np.float32)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The columns and their hinges, float32 of shape (n, columns + total knots)."""
        values = np.asarray(X, dtype=np.float32)
        return np.hstack([values, np.maximum(values[:, self.columns_] - self.at_, np.float32(0))])


class LevelRates(TransformerMixin, BaseEstimator):
    """The churn rate of each category's levels, shrunk towards the mean where they are rare (Micci-Barreca 2001)."""

    def fit(self, X: Any, y: Any) -> "LevelRates":
        """Learn the rates."""
        self.encoder_ = self._encoder().fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> np.ndarray:
        """Learn the rates, and return the rows' cross-fitted rates, float32 of shape (n, columns)."""
        self.encoder_ = self._encoder()
        return self.encoder_.fit_transform(X, y).astype(np.float32)

    def transform(self, X: Any) -> np.ndarray:
        """The rates of the levels, or the mean for unknown levels: float32 of shape (n, columns)."""
        return self.encoder_.transform(X).astype(np.float32)

    def _encoder(self) -> TargetEncoder:
        return TargetEncoder(target_type="binary", cv=StratifiedKFold(5, shuffle=True, random_state=0))


class Calibrated(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose probabilities are recalibrated (see ``calibration.recalibrate``)."""

    def __init__(self, estimator: Any, slope: float, intercept: float) -> None:
        """``estimator`` is the classifier; ``slope`` and ``intercept`` recalibrate its log odds."""
        self.estimator = estimator
        self.slope = slope
        self.intercept = intercept

    def fit(self, X: Any, y: Any) -> "Calibrated":
        """Fit the classifier; slope and intercept stay."""
        self.estimator.fit(X, y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The calibrated probabilities of staying and churning, shape (n, 2)."""
        p = calibration.recalibrate(self.estimator.predict_proba(X)[:, 1], self.slope, self.intercept)
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> np.ndarray:
        """1 where the probability of churn is 0.5 or more, else 0; shape (n,)."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)

    @property
    def classes_(self) -> np.ndarray:
        """The classes, 0 and 1."""
        return self.estimator.classes_

    def __sklearn_is_fitted__(self) -> bool:
        """Always: the classifier is fitted before it is calibrated."""
        return True


class Blend(ClassifierMixin, BaseEstimator):
    """The weighted mean of the probabilities of several pipelines."""

    weights: "list[float] | None" = None  # models of earlier releases lack this attribute

    def __init__(self, members: "list[tuple[str, Pipeline]]", weights: "list[float] | None" = None) -> None:
        """``members`` holds names and pipelines over model inputs; without ``weights`` they count equally."""
        self.members = members
        self.weights = weights

    def fit(self, X: Any, y: Any) -> "Blend":
        """Fit every member."""
        for _, member in self.members:
            member.fit(X, y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The mean probabilities of staying and churning, shape (n, 2)."""
        each = np.stack([member.predict_proba(X) for _, member in self.members])
        return np.average(each, axis=0, weights=self.weights) if self.weights else each.mean(axis=0, dtype=np.float64)

    def predict(self, X: Any) -> np.ndarray:
        """1 where the probability of churn is 0.5 or more, else 0; shape (n,)."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)

    @property
    def classes_(self) -> np.ndarray:
        """The classes, 0 and 1."""
        return self.members[0][1].classes_

    def __sklearn_is_fitted__(self) -> bool:
        """Always True: it is used only after ``fit``, or with fitted members."""
        return True
