"""The hyperparameter search of one model family, on the training rows alone."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data import features
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.cpus import cpus
from churn.settings.dataset import Dataset
from churn.settings.environment import FLOWS, IN_POD
from churn.settings.train import Family, Search
from churn.training import estimators, folds, metrics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trial:
    """One parameter setting and its cross-validated scores.

    ``scores`` are means over the folds, ``by_fold`` the deciding metric of each fold; ``share`` is the share of the training rows
    it was fitted on (below 1 if successive halving dropped it early).
    """

    params: dict[str, Any]
    scores: dict[str, float]
    by_fold: tuple[float, ...]
    share: float = 1.0


@dataclass(frozen=True)
class Candidate:
    """The best trial of a family, and its out-of-fold probabilities.

    ``unseen`` has one for each training row, in the order of the table, and NaN for rows that no fold tests on (see ``folds``).
    ``stopped`` says that the time budget ended the search before all trials were done; ``members`` are the candidates of a
    blend.
    """

    family: Family
    trials: tuple[Trial, ...]
    best: Trial
    unseen: np.ndarray
    seconds: float
    stopped: bool = False
    members: "tuple[Candidate, ...]" = ()

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the deciding metric over the folds."""
        return metrics.fold_interval(self.best.by_fold)


@dataclass(frozen=True)
class Fold:
    """One fold, preprocessed for a family: matrices and outcomes to fit and test on, and the positions of the test rows."""

    inputs: np.ndarray
    outcome: np.ndarray
    test_inputs: np.ndarray
    test_outcome: np.ndarray
    test_rows: np.ndarray


def prepare_folds(family: Family, search: Search, dataset: Dataset, train: "pd.DataFrame") -> list[Fold]:
    """Fit the preprocessing on the training part of each fold, once for all trials."""
    inputs, outcome = features.frame(dataset, train), features.outcome(dataset, train)
    made = []
    for fit, test in folds.folds(search, dataset, train):
        step = estimators.preparation(family, dataset)
        fitted = step.fit_transform(inputs.iloc[fit])
        made.append(Fold(fitted, outcome[fit], step.transform(inputs.iloc[test]), outcome[test], test))
    return made


def tune(family: Family, search: Search, dataset: Dataset, train: "pd.DataFrame", jobs: int = 1) -> Candidate:
    """Tune one family by random search (Bergstra & Bengio 2012) with cross-validation (see ``folds``).

    Its trials and scores are those of scikit-learn's RandomizedSearchCV over the whole pipeline. With ``strategy = "halving"`` it
    is successive halving (Jamieson & Talwalkar 2016): all trials start on few rows, and the best 1/factor continue with
    factor times as many.

    After ``search.seconds`` no further fit starts, and the best finished trial wins (the first always finishes).
    """
    from sklearn.model_selection import ParameterSampler

    started = time.monotonic()
    deadline = time.time() + (search.seconds or math.inf)  # wall clock, as workers may be other machines
    prepared = prepare_folds(family, search, dataset, train)
    settings = list(ParameterSampler(estimators.distributions(family), family.iterations, random_state=search.seed))
    finished: dict[int, tuple[Trial, list[np.ndarray]]] = {}
    alive, stopped = list(range(len(settings))), False
    for share in shares(search, len(settings)):
        tried = _try(family, search, prepared, [settings[i] for i in alive], share, jobs, deadline)
        finished |= {i: result for i, result in zip(alive, tried, strict=True) if result is not None}
        stopped = stopped or None in tried
        done = [i for i, result in zip(alive, tried, strict=True) if result is not None]
        keep = max(1, math.ceil(len(alive) / search.factor))
        alive = sorted(done, key=lambda i: -finished[i][0].scores[search.metric])[:keep]
        if stopped:
            break
    best, predictions = finished[alive[0]] if alive else max(finished.values(), key=lambda f: f[0].share)
    unseen = np.full(len(train), np.nan)
    for fold, predicted in zip(prepared, predictions, strict=True):
        unseen[fold.test_rows] = predicted
    trials = tuple(finished[i][0] for i in sorted(finished))
    return Candidate(family, trials, best, unseen, time.monotonic() - started, stopped)


def jobs(search: Search, families: int) -> int:
    """The number of fits that the step of one family may run at once.

    ``search.cpus``, else its share of this machine's CPUs, so that families tuned side by side never use more than there are.
    The limits of containers count; a pod has its CPUs to itself.
    """
    return search.cpus or max(1, cpus() // (1 if IN_POD else families))


def shares(search: Search, trials: int) -> list[float]:
    """The share of the training rows in each round: one round with all rows, or the rounds of successive halving."""
    rounds = math.ceil(math.log(trials, search.factor)) if search.strategy == "halving" and trials > 1 else 0
    return [search.factor**-left for left in range(rounds, -1, -1)]


def _try(
    family: Family,
    search: Search,
    prepared: Sequence[Fold],
    settings: Sequence[dict[str, Any]],
    share: float,
    jobs: int,
    deadline: float,
) -> list[tuple[Trial, list[np.ndarray]] | None]:
    """The trial of each setting with its test predictions for each fold; None if the deadline passed first."""
    from joblib import Parallel, delayed

    tasks = [
        delayed(_predict)(
            estimators.estimator(family, search.seed, params), fold, share, search.seed, number and deadline
        )
        for number, params in enumerate(settings)
        for fold in prepared
    ]
    with _backend(search.backend, jobs):
        try:
            predicted = Parallel()(tasks)
        except (TypeError, ValueError) as error:  # a parameter whose type or value the estimator rejects
            raise ChurnError(
                f"model '{family.name}': a fit failed: {error}; correct it in {commands.settings('train.toml')}"
            ) from error
    trials: list[tuple[Trial, list[np.ndarray]] | None] = []
    for number, params in enumerate(settings):
        mine = predicted[number * len(prepared) : (number + 1) * len(prepared)]
        trials.append(None if any(p is None for p in mine) else (_trial(params, prepared, mine, share, search), mine))
    return trials


def _backend(name: str, jobs: int) -> Any:
    """Joblib's backend with ``jobs`` workers; for Ray, the cluster at RAY_ADDRESS, else a local one."""
    from joblib import parallel_config

    if name == "ray":
        alone: dict[str, Any] = {}
        if "RAY_ADDRESS" not in os.environ:
            # Ray's switch for "local only", of every platform despite its name and read on import: it listens on loopback.
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


def _predict(estimator: Any, fold: Fold, share: float, seed: int, deadline: float) -> np.ndarray | None:
    """The probabilities of the fold's test rows, by the estimator fitted on ``share`` of its training rows.

    A ``deadline`` of 0 means none: the first setting is always tried, so that there is a result.
    """
    from threadpoolctl import threadpool_limits

    if deadline and time.time() > deadline:
        return None
    rows = slice(None) if share == 1 else _sample(fold.outcome, share, seed)
    # Fits run in parallel: more than one thread each would only compete for the cores.
    with threadpool_limits(1):
        fitted = estimator.fit(fold.inputs[rows], fold.outcome[rows])
        return fitted.predict_proba(fold.test_inputs)[:, 1].astype(np.float64)


def _sample(outcome: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The positions of a stratified sample; a larger share contains the smaller ones."""
    rng = np.random.default_rng(seed)
    chosen = []
    for value in (0, 1):
        places = rng.permutation(np.flatnonzero(outcome == value))
        chosen.append(places[: max(2, round(share * len(places)))])
    return np.sort(np.concatenate(chosen))


def _trial(
    params: dict[str, Any], prepared: Sequence[Fold], predicted: Sequence[np.ndarray], share: float, search: Search
) -> Trial:
    scores = [metrics.deciding(fold.test_outcome, p) for fold, p in zip(prepared, predicted, strict=True)]
    means = {name: float(np.mean([fold[name] for fold in scores])) for name in scores[0]}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}
    return Trial(plain, means, tuple(fold[search.metric] for fold in scores), share)


def leaderboard(candidates: list[Candidate], metric: str) -> list[Candidate]:
    """The candidates, best first; ties by name, so that the order does not depend on which branch finished first."""
    return sorted(candidates, key=lambda c: (-c.best.scores[metric], c.family.name))
