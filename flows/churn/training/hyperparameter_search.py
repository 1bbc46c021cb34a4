"""The hyperparameter search of one model family, on the training rows alone."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.settings.cpus import cpus
from churn.settings.dataset import Dataset
from churn.settings.environment import IN_POD
from churn.settings.train import Family, Search
from churn.training import estimators, metrics
from churn.training.search import fold_fits, study, trials
from churn.training.search.checkpoint import Checkpoint
from churn.training.search.trials import Trial

if TYPE_CHECKING:
    import pandas as pd

GOOD = 8  # trials of a family that a blend may choose from, the best


@dataclass(frozen=True)
class Candidate:
    """The best trial of a family, and its out-of-fold probabilities.

    ``unseen`` has one for each training row, in table order, with NaN for rows that no fold tests on (see ``folds``).
    ``stopped`` is true if the time budget ended the search before all trials were done; ``members`` are the candidates of a
    blend, with their ``weights``.
    """

    family: Family
    trials: tuple[Trial, ...]
    best: Trial
    unseen: np.ndarray
    seconds: float
    stopped: bool = False
    members: "tuple[Candidate, ...]" = ()
    weights: tuple[float, ...] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the deciding metric over the folds."""
        return metrics.fold_interval(self.best.by_fold)


def tune(
    family: Family,
    search: Search,
    dataset: Dataset,
    train: "pd.DataFrame",
    jobs: int = 1,
    warm: Mapping[str, Any] | None = None,
    training: str = "",
    seen: Callable[[int, int], None] | None = None,
) -> Candidate:
    """Tune one family with cross-validation (see ``folds``), by ``search.strategy``.

    "tpe" is Optuna's search (see ``study``), which starts with the champion's parameters, ``warm``, and resumes an interrupted
    attempt of the same ``training``. "random" is random search (Bergstra & Bengio 2012), with the trials and scores of
    scikit-learn's RandomizedSearchCV over the whole pipeline. "halving" is random search with successive halving (Jamieson &
    Talwalkar 2016): all trials start on few rows, and the best 1/factor continue with factor times as many.

    After ``search.seconds`` no further fit starts, and the best finished trial wins (the first always finishes). ``seen`` is
    called after each trial of "tpe" with the number of trials done and the total.
    """
    started = time.monotonic()
    deadline = time.time() + (search.seconds or math.inf)  # wall clock: workers may be other machines
    prepared = fold_fits.preprocessed(family, search, dataset, train)
    checkpoint = Checkpoint(training, family.name)
    with fold_fits.parallel(search.backend, jobs):
        if search.strategy == "tpe":
            tried = []
            for trial in study.proposed(family, search, prepared, len(train), warm or {}, checkpoint, deadline):
                tried.append(trial)
                if seen is not None:
                    seen(len(tried), family.iterations)
        else:
            tried = _random(family, search, prepared, len(train), deadline)
    checkpoint.clear()
    done = [trial for trial in tried if trial.unseen is not None]
    best = max(done, key=lambda trial: trial.scores[search.metric])
    kept = sorted(done, key=lambda trial: -trial.scores[search.metric])[:GOOD]
    recorded = tuple(trial if any(trial is one for one in kept) else replace(trial, unseen=None) for trial in tried)
    assert best.unseen is not None
    late = search.seconds is not None and time.time() > deadline
    return Candidate(
        family, recorded, best, best.unseen, time.monotonic() - started, late and len(tried) < family.iterations
    )


def jobs(search: Search, families: int) -> int:
    """The number of fits that one family's step may run in parallel.

    ``search.cpus``, else the family's share of this machine's CPUs, so that families tuned in parallel do not oversubscribe
    them. Container limits count; a pod has its CPUs to itself.
    """
    return search.cpus or max(1, cpus() // (1 if IN_POD else families))


def shares(search: Search, trials: int) -> list[float]:
    """The share of the training rows in each round: one round with all rows, or the rounds of successive halving."""
    rounds = math.ceil(math.log(trials, search.factor)) if search.strategy == "halving" and trials > 1 else 0
    return [search.factor**-left for left in range(rounds, -1, -1)]


def _random(
    family: Family, search: Search, prepared: Sequence[fold_fits.Fold], rows: int, deadline: float
) -> list[Trial]:
    """The trials of settings drawn in advance, in one round or in those of successive halving."""
    from sklearn.model_selection import ParameterSampler

    settings = list(ParameterSampler(estimators.distributions(family), family.iterations, random_state=search.seed))
    outcomes = [fold.test_outcome for fold in prepared]
    finished: dict[int, Trial] = {}
    alive = list(range(len(settings)))
    for share in shares(search, len(settings)):
        first = [] if finished else fold_fits.fitted(family, search, settings[:1], prepared, share)
        others = [settings[i] for i in alive[len(first) :]]
        tried = [*first, *fold_fits.fitted(family, search, others, prepared, share, deadline)]
        for i, fits in zip(alive, tried, strict=True):
            if fits is not None:
                params, predicted = fold_fits.predict(family, settings[i], fits, prepared)
                unseen = study.out_of_fold(rows, prepared, predicted)
                finished[i] = trials.trial(params, outcomes, predicted, search.metric, share, unseen)
        done = [i for i, fits in zip(alive, tried, strict=True) if fits is not None]
        keep = max(1, math.ceil(len(alive) / search.factor))
        alive = sorted(done, key=lambda i: -finished[i].scores[search.metric])[:keep]
        if None in tried:
            break
    most = max(trial.share for trial in finished.values())  # fewer rows, worse predictions: only these can win
    return [finished[i] if finished[i].share == most else replace(finished[i], unseen=None) for i in sorted(finished)]


def leaderboard(candidates: list[Candidate], metric: str) -> list[Candidate]:
    """The candidates, best first; ties are broken by name, so the order does not depend on which branch finished first."""
    return sorted(candidates, key=lambda c: (-c.best.scores[metric], c.family.name))
