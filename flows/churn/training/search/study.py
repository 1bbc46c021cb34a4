"""The Optuna search: a tree-structured Parzen estimator proposes settings, and pruners stop the unpromising ones."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from churn.settings.train import Family, Range, Search
from churn.training.search import fold_fits, trials
from churn.training.search.checkpoint import Checkpoint
from churn.training.search.fold_fits import Fold
from churn.training.search.trials import Trial

if TYPE_CHECKING:
    import optuna

LEAST_GAIN = 0.0002  # in the deciding score: a search that gains less is done


class Rung(NamedTuple):
    """One stage of a trial: the share of the rows to fit on, and the number of folds."""

    share: float
    folds: int


def rungs(search: Search, rows: int) -> list[Rung]:
    """The stages of a trial: after the first two folds it may be pruned.

    Above ``search.halving_rows``, stages on fewer rows come first, each with ``search.factor`` times as many as the one before
    (successive halving, Jamieson & Talwalkar 2016; asynchronous as in Li et al. 2020).
    """
    steps = max(0, math.ceil(math.log(rows / search.halving_rows, search.factor))) if search.halving_rows else 0
    last = [Rung(1.0, folds) for folds in dict.fromkeys((min(2, search.folds), search.folds))]
    return [*(Rung(search.factor**-left, min(2, search.folds)) for left in range(steps, 0, -1)), *last]


def starts(family: Family, warm: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings to try first: the champion's, then the configured ones.

    ``warm`` holds the champion's parameters as FAMILY.NAME (FAMILY-2.NAME for a blend's second member of a family); parameters
    that the family does not search, or whose value is out of range, are left to the search.
    """
    by_member: dict[str, dict[str, Any]] = {}
    for key, value in warm.items():
        member, _, name = key.partition(".")
        if member.partition("-")[0] == family.name:
            by_member.setdefault(member, {})[name] = value
    tried = [{name: v for name, v in one.items() if family.searches(name, v)} for one in by_member.values()]
    return [one for one in [*tried, *(dict(one) for one in family.start)] if one]


def proposed(
    family: Family,
    search: Search,
    prepared: Sequence[Fold],
    rows: int,
    warm: Mapping[str, Any],
    checkpoint: Checkpoint,
    deadline: float,
) -> Iterator[Trial]:
    """Yield the trials in order; the same for the same arguments, however many fits run in parallel.

    Ends after ``family.iterations``, after ``search.patience`` trials without a gain, or at the deadline. Trials in the
    checkpoint are proposed again but not fitted again, so an interrupted search continues as if it had never stopped.
    """
    stages = rungs(search, min(rows, search.rows or rows))
    study, space = _study(family, search, len(stages)), _space(family)
    for start in starts(family, warm)[: family.iterations]:
        study.enqueue_trial(start, skip_if_exists=True)
    best, since = -math.inf, 0
    for number in range(family.iterations):
        optuna_trial = study.ask(space)
        trial = _tried(
            optuna_trial, family, search, prepared, rows, stages, checkpoint, number, deadline if number else 0
        )
        if trial is None:
            return
        yield trial
        completed = trial.unseen is not None
        study.tell(
            optuna_trial, trial.scores[search.metric] if completed else None, state=None if completed else _pruned()
        )
        gained = completed and trial.scores[search.metric] > best + LEAST_GAIN
        best, since = (trial.scores[search.metric], 0) if gained else (best, since + 1)
        if search.patience and since >= search.patience:
            return


def _tried(
    optuna_trial: "optuna.Trial",
    family: Family,
    search: Search,
    prepared: Sequence[Fold],
    rows: int,
    stages: Sequence[Rung],
    checkpoint: Checkpoint,
    number: int,
    deadline: float,
) -> Trial | None:
    """The trial of a setting, stage by stage until it is pruned; None if the deadline passed first."""
    saved = checkpoint.get(number, optuna_trial.params)
    if saved is not None:
        for step, score in enumerate(saved.reached):
            optuna_trial.report(score, search.factor**step)
        return saved.trial
    result: Trial | None = None
    reached: list[float] = []
    fits: list[Any] = []
    for step, stage in enumerate(stages):
        fits = fits if step and stage.share == stages[step - 1].share else []
        tested = prepared[: stage.folds]
        (more,) = fold_fits.fitted(family, search, [optuna_trial.params], tested[len(fits) :], stage.share, deadline)
        if more is None:
            return None
        fits += more
        params, predicted = fold_fits.predict(family, optuna_trial.params, fits, tested)
        completed = stage == stages[-1]
        unseen = out_of_fold(rows, tested, predicted) if completed else None
        result = trials.trial(params, [f.test_outcome for f in tested], predicted, search.metric, stage.share, unseen)
        reached.append(result.scores[search.metric])
        optuna_trial.report(reached[-1], search.factor**step)
        if not completed and optuna_trial.should_prune():
            break
    assert result is not None
    checkpoint.put(number, optuna_trial.params, result, reached)
    return result


def out_of_fold(rows: int, prepared: Sequence[Fold], predicted: Sequence[np.ndarray]) -> np.ndarray:
    """The folds' predictions in the order of the training table, float64 of shape (rows,); NaN for rows no fold tests on."""
    unseen = np.full(rows, np.nan)
    for fold, p in zip(prepared, predicted, strict=True):
        unseen[fold.test_rows] = p
    return unseen


def _study(family: Family, search: Search, stages: int) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=search.seed, n_startup_trials=max(4, family.iterations // 3))
    pruner: optuna.pruners.BasePruner = optuna.pruners.MedianPruner(n_startup_trials=3)
    if stages > 2:
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=search.factor)
    return optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)


def _pruned() -> Any:
    from optuna.trial import TrialState

    return TrialState.PRUNED


def _space(family: Family) -> dict[str, Any]:
    from optuna import distributions

    def one(space: Any) -> Any:
        if not isinstance(space, Range):
            return distributions.CategoricalDistribution(space)
        if space.integer:
            return distributions.IntDistribution(int(space.low), int(space.high), log=space.log)
        return distributions.FloatDistribution(space.low, space.high, log=space.log)

    return {name: one(space) for name, space in family.search.items()}
