"""The leaderboard of uplift models, on the training customers only: one candidate for each learner and model family."""

import importlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data.snapshots import Snapshot
from churn.settings.dataset import Dataset
from churn.settings.train import Family, TrainConfig, UpliftRule
from churn.training import estimators, hyperparameter_search
from churn.training.hyperparameter_search import Candidate
from churn.uplift import learners, outcome_rows, ranking_metrics
from churn.uplift.outcome_rows import OutcomeRows
from churn.uplift.ranking_metrics import Interval

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

ROUNDS = 200  # bootstrap samples for a candidate


@dataclass(frozen=True)
class UpliftFamily:
    """A learner over a model family."""

    learner: str
    base: Family

    @property
    def name(self) -> str:
        """The name on the leaderboard and in the registry."""
        return f"{self.learner}_{self.base.name}"


@dataclass(frozen=True)
class UpliftCandidate:
    """The best setting of an UpliftFamily, by cross-fitted Qini coefficient on the training customers."""

    family: UpliftFamily
    params: dict[str, Any]
    qini: Interval
    auuc: Interval
    seconds: float


def branches(config: TrainConfig, outcomes: bytes | None) -> list[Family | UpliftFamily]:
    """The branches of a training: the churn families and, given ``outcomes`` to learn from, the uplift families."""
    if config.uplift is None or outcomes is None:
        return list(config.model)
    chosen = [one for one in config.model if not config.uplift.families or one.name in config.uplift.families]
    return [*config.model, *(UpliftFamily(learner, one) for learner in config.uplift.learners for one in chosen)]


def tune_branch(
    family: Family | UpliftFamily,
    config: TrainConfig,
    data: Snapshot,
    outcomes: bytes | None,
    *options: Any,
) -> Candidate | UpliftCandidate:
    """The candidate of one branch: a churn model from the training rows, an uplift model from the ``outcomes``.

    ``options`` are further arguments of ``hyperparameter_search.tune``.
    """
    if isinstance(family, Family):
        return hyperparameter_search.tune(family, config.search, data.dataset, data.train, *options)
    assert config.uplift is not None
    assert outcomes is not None
    rows = outcome_rows.rows_from_bytes(outcomes, data.dataset)
    return tune_uplift(family, config, data.dataset, rows.of(~rows.held_out(config.uplift.holdout, config.search.seed)))


def tune_uplift(family: UpliftFamily, config: TrainConfig, dataset: Dataset, rows: OutcomeRows) -> UpliftCandidate:
    """Try ``trials`` random settings of the family; except for the first, none starts after ``search.seconds``."""
    from sklearn.model_selection import ParameterSampler
    from threadpoolctl import threadpool_limits

    rule, seed, started = _rule(config), config.search.seed, time.monotonic()
    deadline = started + (config.search.seconds or math.inf)
    x = estimators.preparation(family.base, dataset).fit_transform(rows.inputs(dataset))
    best: tuple[float, dict[str, Any], np.ndarray] | None = None
    for params in ParameterSampler(estimators.distributions(family.base), rule.trials, random_state=seed):
        if best is not None and time.monotonic() > deadline:
            break
        with threadpool_limits(1):
            makers = _makers(family.base, seed, params)
            score = learners.cross_fitted(family.learner, *makers, x, rows.kept, rows.contacted, rows.share, seed)
        qini = ranking_metrics.qini(rows.kept, score, rows.contacted)
        if best is None or qini > best[0]:
            best = (qini, params, score)
    assert best is not None
    sure = [
        ranking_metrics.resampled(metric, rows.kept, best[2], rows.contacted, seed, ROUNDS)
        for metric in (ranking_metrics.qini, ranking_metrics.auuc)
    ]
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in best[1].items()}
    return UpliftCandidate(family, plain, sure[0], sure[1], time.monotonic() - started)


def parted(
    tuned: Sequence[Candidate | UpliftCandidate],
) -> tuple[list[Candidate], list[UpliftCandidate]]:
    """The churn candidates, and the uplift candidates, best first."""
    uplift = [one for one in tuned if isinstance(one, UpliftCandidate)]
    uplift.sort(key=lambda one: (-one.qini.value, one.family.name))
    return [one for one in tuned if isinstance(one, Candidate)], uplift


def fit_winner(
    winner: UpliftCandidate, dataset: Dataset, rows: OutcomeRows, seed: int, new: "pd.DataFrame"
) -> "tuple[Pipeline, np.ndarray]":
    """The winner fitted on all ``rows``, as a pipeline over model inputs.

    Also the probability that the customers ``new`` (model inputs) stay when left alone and when contacted, shape (len(new), 2),
    from models of the same family.
    """
    from sklearn.pipeline import Pipeline

    prepare = estimators.preparation(winner.family.base, dataset)
    x, makers = prepare.fit_transform(rows.inputs(dataset)), _makers(winner.family.base, seed, winner.params)
    fitted = learners.fit_learner(winner.family.learner, *makers, x, rows.kept, rows.contacted, rows.share, seed)
    expected = learners.chances(makers[0], x, rows.kept, rows.contacted, prepare.transform(new))
    return Pipeline([("prepare", prepare), ("model", fitted)]), expected


def _makers(family: Family, seed: int, params: Mapping[str, Any]) -> tuple[learners.Make, learners.Make]:
    """Factories of the family's classifier, and of the same library's regressor with the settings that it shares."""
    from sklearn.linear_model import Ridge

    module, name = family.estimator.rsplit(".", 1)
    kind = getattr(importlib.import_module(module), name.replace("Classifier", "Regressor"))
    kind = kind if name.endswith("Classifier") else Ridge
    accepted = kind().get_params()
    drawn = {"random_state": seed, **family.fixed, **params}
    settings = {
        key: value for key, value in drawn.items() if key in accepted and not (kind is Ridge and key == "solver")
    }
    return (lambda: estimators.estimator(family, seed, params)), (lambda: kind(**settings))


def _rule(config: TrainConfig) -> UpliftRule:
    assert config.uplift is not None
    return config.uplift
