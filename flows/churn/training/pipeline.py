"""The steps of our own in the registered scikit-learn pipeline. Apart from ``models``: importing this imports scikit-learn."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data import features
from churn.settings.dataset import Dataset, read
from churn.training import calibration
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@lru_cache(maxsize=16)
def _described(text: str) -> Dataset:
    return read(json.loads(text))


class FeatureStep(TransformerMixin, BaseEstimator):
    """First step of the registered pipeline: ``features.frame`` as a transformer. ``dataset`` is its JSON text."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset

    def fit(self, X: "pd.DataFrame", y: Any = None) -> "FeatureStep":
        return self

    def transform(self, X: "pd.DataFrame") -> "pd.DataFrame":
        return features.frame(_described(self.dataset), X)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class Calibrated(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose probabilities are recalibrated (see ``calibration.recalibrate``)."""

    def __init__(self, estimator: Any, slope: float, intercept: float) -> None:
        self.estimator = estimator
        self.slope = slope
        self.intercept = intercept

    def fit(self, X: Any, y: Any) -> "Calibrated":
        self.estimator.fit(X, y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        p = calibration.recalibrate(self.estimator.predict_proba(X)[:, 1], self.slope, self.intercept)
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> np.ndarray:
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)

    @property
    def classes_(self) -> np.ndarray:
        return self.estimator.classes_

    def __sklearn_is_fitted__(self) -> bool:
        return True


class Blend(ClassifierMixin, BaseEstimator):
    """The mean of several pipelines' probabilities. ``members`` holds names and pipelines over model inputs."""

    def __init__(self, members: "list[tuple[str, Pipeline]]") -> None:
        self.members = members

    def fit(self, X: Any, y: Any) -> "Blend":
        for _, member in self.members:
            member.fit(X, y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.stack([member.predict_proba(X) for _, member in self.members]).mean(axis=0, dtype=np.float64)

    def predict(self, X: Any) -> np.ndarray:
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)

    @property
    def classes_(self) -> np.ndarray:
        return self.members[0][1].classes_

    def __sklearn_is_fitted__(self) -> bool:
        return True
