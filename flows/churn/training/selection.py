"""From the trials of each family to the final model, on the training rows alone.

The good trials are blended and the probabilities calibrated where that helps; the model is refitted and its threshold chosen.
"""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from churn.data import features
from churn.settings.dataset import Dataset
from churn.settings.train import BLEND, Family, Search, Worth
from churn.training import calibration, estimators, expected_profit, folds, hyperparameter_search, metrics
from churn.training.calibration import Calibration
from churn.training.expected_profit import Curve
from churn.training.hyperparameter_search import Candidate
from churn.training.search import ensemble, trials

LEAST_GAIN = 0.0002  # in the deciding score: less is not worth the time of further members

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Chosen:
    """The final model: the fitted pipeline over model inputs, its calibration, and its threshold.

    With [value], the threshold is the smallest probability above which contacting a customer with ``worth.margin`` pays, else
    the one with the best F1 score. ``worth`` is [value] as ``expected_profit.settle`` returns it, ``curve`` the out-of-fold
    profit of its decisions; both are None without [value].
    """

    pipeline: "Pipeline"
    calibration: Calibration
    threshold: float
    curve: Curve | None
    worth: Worth | None = None


def board(tuned: Sequence[Candidate], search: Search, dataset: Dataset, train: "pd.DataFrame") -> list[Candidate]:
    """The leaderboard, best first: the families and, if ``search.blend`` is on and it helps, their blend."""
    ranked = hyperparameter_search.leaderboard(list(tuned), search.metric)
    mixed = blend(ranked, search, dataset, train) if search.blend else None
    return ranked if mixed is None else hyperparameter_search.leaderboard([*ranked, mixed], search.metric)


def blend(ranked: Sequence[Candidate], search: Search, dataset: Dataset, train: "pd.DataFrame") -> Candidate | None:
    """Blend the good trials of all families (see ``ensemble``) by their out-of-fold probabilities.

    The selection starts with the best candidate of the best families; how many, and whether it continues from there, is decided
    by the cross-fitted score: each fold is scored with the weights learned on the other folds. None if the blend does not beat
    the best family by LEAST_GAIN.
    """
    from threadpoolctl import threadpool_limits

    started, outcome = time.monotonic(), features.outcome(dataset, train)
    tested = [places.test for places in folds.folds(search, dataset, train)]
    library, rows = _library(ranked, search.metric), np.sort(np.concatenate(tested))
    library = [library[i] for i in ensemble.different(np.stack([one.unseen[rows] for one in library]))]
    predictions = np.stack([one.unseen for one in library])
    firsts = [place for place, one in enumerate(library) if not one.family.name.rpartition("-")[0]]

    def learned(learn: np.ndarray, count: int, steps: int) -> np.ndarray:
        return ensemble.weights(predictions[:, learn], outcome[learn], firsts[:count], steps, search.seed)

    def crossed(*how: int) -> trials.Trial:
        mixed = [learned(np.setdiff1d(rows, places), *how) @ predictions[:, places] for places in tested]
        return trials.trial({}, [outcome[places] for places in tested], mixed, search.metric)

    ways = list(itertools.product(range(1, len(firsts) + 1), ensemble.STEPS))
    with threadpool_limits(1):  # the order of a sum changes its last digits
        tried = [crossed(*how) for how in ways]
    most = max(range(len(ways)), key=lambda way: tried[way].scores[search.metric])
    if tried[most].scores[search.metric] < ranked[0].best.scores[search.metric] + LEAST_GAIN:
        return None
    weights = learned(rows, *ways[most])
    chosen = tuple(one for one, weight in zip(library, weights, strict=True) if weight > 0)
    params = {f"{one.family.name}.{name}": value for one in chosen for name, value in one.best.params.items()}
    family = Family(name=BLEND, estimator="churn.training.pipeline.Blend", iterations=1)
    best, shares = replace(tried[most], params=params), tuple(weights[weights > 0].tolist())
    return Candidate(family, (best,), best, weights @ predictions, time.monotonic() - started, False, chosen, shares)


def _library(ranked: Sequence[Candidate], metric: str) -> list[Candidate]:
    """The good trials of all families as candidates, best first; a family's second is named FAMILY-2."""
    candidates = []
    for one in ranked:
        good = [trial for trial in one.trials if trial.unseen is not None] or [replace(one.best, unseen=one.unseen)]
        for number, trial in enumerate(sorted(good, key=lambda trial: -trial.scores[metric]), start=1):
            name = one.family.name if number == 1 else f"{one.family.name}-{number}"
            family = one.family.model_copy(update={"name": name})
            assert trial.unseen is not None
            candidates.append(Candidate(family, (trial,), trial, trial.unseen, one.seconds))
    return sorted(candidates, key=lambda one: -one.best.scores[metric])


def finalize(winner: Candidate, search: Search, dataset: Dataset, train: "pd.DataFrame", worth: Worth | None) -> Chosen:
    """Fit the winner on all training rows, and choose calibration and threshold from its out-of-fold probabilities.

    Raises:
        ChurnError: ``worth`` gives no margin for most customers.
    """
    inputs, outcome = features.frame(dataset, train), features.outcome(dataset, train)
    tested = [places.test for places in folds.folds(search, dataset, train)]
    calibrated = calibration.learn(outcome, winner.unseen, tested)
    fitted = _unfitted(winner, search, dataset, inputs).fit(inputs, outcome)
    pipeline, rows = estimators.calibrate(fitted, calibrated), np.sort(np.concatenate(tested))
    outcome, unseen = outcome[rows], calibrated.apply(winner.unseen[rows])
    if worth is None:
        return Chosen(pipeline, calibrated, metrics.best_f1_threshold(outcome, unseen), None)
    worth = expected_profit.settle(worth, train, dataset)
    raw = features.from_frame(dataset, train.iloc[rows])
    curve = expected_profit.curve(
        expected_profit.gains(worth, raw, outcome, unseen), expected_profit.expected(worth, raw, unseen)
    )
    return Chosen(pipeline, calibrated, min(expected_profit.pays_from(worth)), curve, worth)


def _unfitted(winner: Candidate, search: Search, dataset: Dataset, inputs: "pd.DataFrame") -> "Pipeline":
    from churn.training.pipeline import Blend
    from sklearn.pipeline import Pipeline

    if not winner.members:
        return estimators.build_pipeline(winner.family, dataset, search.seed, winner.best.params, inputs)
    members = [(m.family.name, _unfitted(m, search, dataset, inputs)) for m in winner.members]
    return Pipeline([("model", Blend(members, list(winner.weights) or None))])
