"""Fits on folds: preprocessed once for all settings of a family, fitted in parallel, predicted out of fold."""

import os
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data import features
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.settings.environment import FLOWS
from churn.settings.train import Family, Search
from churn.training import estimators, folds
from churn.training.search import boosting

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fold:
    """One fold, preprocessed for a family: matrices and outcomes to fit and test on, and the positions of the test rows."""

    inputs: np.ndarray
    outcome: np.ndarray
    test_inputs: np.ndarray
    test_outcome: np.ndarray
    test_rows: np.ndarray
    _bins: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def binned(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The result of ``make``, computed once for each key."""
        if key not in self._bins:
            self._bins[key] = make()
        return self._bins[key]

    def __getstate__(self) -> dict[str, Any]:
        """The state without binned matrices, which cannot be pickled: each worker bins for itself."""
        return {**vars(self), "_bins": {}}


def preprocessed(family: Family, search: Search, dataset: Dataset, train: "pd.DataFrame") -> list[Fold]:
    """Fit the preprocessing on the training part of each fold, once for all trials."""
    inputs, outcome = features.frame(dataset, train), features.outcome(dataset, train)
    fold_data = []
    for fit, test in folds.folds(search, dataset, train):
        step = estimators.preparation(family, dataset, inputs)
        matrix = step.fit_transform(inputs.iloc[fit], outcome[fit])
        fold_data.append(Fold(matrix, outcome[fit], step.transform(inputs.iloc[test]), outcome[test], test))
    return fold_data


def fitted(
    family: Family,
    search: Search,
    settings: Sequence[dict[str, Any]],
    prepared: Sequence[Fold],
    share: float = 1.0,
    deadline: float = 0,
) -> list[list[Any] | None]:
    """Fit each setting on ``share`` of the rows of each fold, in parallel within ``parallel``.

    Returns, for each setting, the input of ``predict`` by fold; None if not all its fits had begun by the ``deadline`` (0: none).
    """
    from joblib import Parallel, delayed

    tasks = [
        delayed(_fit)(
            estimators.estimator(family, search.seed, params), fold, share, search.seed, family.early_stopping, deadline
        )
        for params in settings
        for fold in prepared
    ]
    try:
        fits = Parallel()(tasks)
    except (TypeError, ValueError) as error:  # the estimator rejects a parameter's type or value
        raise ChurnError(
            f"model '{family.name}': a fit failed: {error}; correct it in {commands.settings('train.toml')}"
        ) from error
    each = [fits[i : i + len(prepared)] for i in range(0, len(fits), len(prepared))]
    return [None if any(one is None for one in mine) else mine for mine in each]


def _fit(estimator: Any, fold: Fold, share: float, seed: int, patience: int, deadline: float) -> Any:
    """The test rows' probabilities from the estimator fitted on ``share`` of the fold's rows, or ``boosting.Grown``."""
    from threadpoolctl import threadpool_limits

    if deadline and time.time() > deadline:
        return None
    rows = slice(None) if share == 1 else sample(fold.outcome, share, seed)
    # Fits run in parallel: more than one thread each would compete for the cores.
    with threadpool_limits(1):
        if patience and (library := boosting.library(estimator)) is not None:
            return library.grow(estimator, fold, rows, patience)
        model = estimator.fit(fold.inputs[rows], fold.outcome[rows])
        return model.predict_proba(fold.test_inputs)[:, 1].astype(np.float64)


def predict(
    family: Family, params: dict[str, Any], fits: Sequence[Any], prepared: Sequence[Fold]
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The parameters with the learned number of trees, and the probabilities of each fold's test rows.

    All folds predict with the same number of trees, the mean of their best, or with all their trees where a fold has grown
    fewer; it is then a parameter like any other.
    """
    if not isinstance(fits[0], boosting.Grown):
        return params, list(fits)
    trees = max(1, round(float(np.mean([one.best for one in fits]))))
    library = boosting.library(estimators.estimator(family, 0, params))
    assert library is not None
    predicted = [
        library.predict(one.model, fold.test_inputs, min(trees, one.trees)).astype(np.float64)
        for one, fold in zip(fits, prepared, strict=True)
    ]
    return {**params, library.parameter: trees}, predicted


def sample(outcome: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The positions of a stratified sample; a larger share contains the smaller ones."""
    rng = np.random.default_rng(seed)
    chosen = []
    for value in (0, 1):
        places = rng.permutation(np.flatnonzero(outcome == value))
        chosen.append(places[: max(2, round(share * len(places)))])
    return np.sort(np.concatenate(chosen))


def parallel(name: str, jobs: int) -> Any:
    """A context with joblib's backend and ``jobs`` workers; for Ray, the cluster at RAY_ADDRESS, else a local one."""
    from joblib import parallel_config

    if name == "ray":
        alone: dict[str, Any] = {}
        if "RAY_ADDRESS" not in os.environ:
            # Ray's switch for listening on loopback only: despite its name for every platform, and read on import.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
            alone = {"address": "local", "num_cpus": jobs}
        import ray
        from ray.util.joblib import register_ray

        ray.init(
            **alone,
            ignore_reinit_error=True,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"py_modules": [str(FLOWS / "churn")]},
        )
        register_ray()
    return parallel_config(backend=name, n_jobs=jobs)
