"""From the best trial of each family to the final model, on the training rows alone.

The families are blended and the probabilities calibrated where that helps; the model is refitted and its threshold chosen.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn.data import features
from churn.settings.dataset import Dataset
from churn.settings.train import BLEND, Family, Search, Worth
from churn.training import calibration, estimators, expected_profit, folds, hyperparameter_search, metrics
from churn.training.calibration import Calibration
from churn.training.expected_profit import Curve
from churn.training.hyperparameter_search import Candidate, Trial

LEAST_GAIN = 0.0005  # of the deciding score: less is not worth another member's time

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Chosen:
    """The final model: the fitted pipeline over model inputs, its calibration, and its threshold.

    With [value], the threshold is the probability above which contacting a customer with ``worth.margin`` pays, else the one with
    the best F1 score. ``worth`` is [value] as ``expected_profit.settle`` returns it, ``curve`` what deciding by it earns out of
    fold; both are None without [value].
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
    """Blend families by averaging their probabilities, with forward selection (Caruana et al. 2004) out of fold.

    Starts with the best family and adds whichever raises the deciding score most, as long as it does by LEAST_GAIN. None if no
    other family does.
    """
    started, outcome = time.monotonic(), features.outcome(dataset, train)
    tested = [places.test for places in folds.folds(search, dataset, train)]
    members, rest = [ranked[0]], list(ranked[1:])
    best = _mean(members, outcome, tested, search)
    while rest:
        tried = [_mean([*members, candidate], outcome, tested, search) for candidate in rest]
        places = range(len(rest))
        most = max(places, key=lambda i: tried[i].scores[search.metric])
        if tried[most].scores[search.metric] < best.scores[search.metric] + LEAST_GAIN:
            break
        best = tried[most]
        members.append(rest.pop(most))
    if len(members) == 1:
        return None
    family = Family(name=BLEND, estimator="churn.training.pipeline.Blend", iterations=1)
    unseen = np.mean([member.unseen for member in members], axis=0)
    return Candidate(family, (best,), best, unseen, time.monotonic() - started, members=tuple(members))


def _mean(members: Sequence[Candidate], outcome: np.ndarray, tested: Sequence[np.ndarray], search: Search) -> Trial:
    unseen = np.mean([member.unseen for member in members], axis=0)
    scores = [metrics.deciding(outcome[places], unseen[places]) for places in tested]
    params = {f"{m.family.name}.{name}": value for m in members for name, value in m.best.params.items()}
    means = {name: float(np.mean([fold[name] for fold in scores])) for name in scores[0]}
    return Trial(params, means, tuple(fold[search.metric] for fold in scores))


def finalize(winner: Candidate, search: Search, dataset: Dataset, train: "pd.DataFrame", worth: Worth | None) -> Chosen:
    """Fit the winner on all training rows, and choose calibration and threshold by its out-of-fold probabilities.

    Raises:
        ChurnError: ``worth`` gives no margin for most customers.
    """
    from churn.data import features

    inputs, outcome = features.frame(dataset, train), features.outcome(dataset, train)
    tested = [places.test for places in folds.folds(search, dataset, train)]
    calibrated = calibration.learn(outcome, winner.unseen, tested)
    fitted = _unfitted(winner, search, dataset).fit(inputs, outcome)
    pipeline, rows = estimators.calibrate(fitted, calibrated), np.sort(np.concatenate(tested))
    outcome, unseen = outcome[rows], calibrated.apply(winner.unseen[rows])
    if worth is None:
        return Chosen(pipeline, calibrated, metrics.best_f1_threshold(outcome, unseen), None)
    worth = expected_profit.settle(worth, train, dataset)
    raw = features.from_frame(dataset, train.iloc[rows])
    curve = expected_profit.curve(
        expected_profit.gains(worth, raw, outcome), expected_profit.expected(worth, raw, unseen)
    )
    return Chosen(pipeline, calibrated, float(expected_profit.break_even(worth, worth.margin)), curve, worth)


def _unfitted(winner: Candidate, search: Search, dataset: Dataset) -> "Pipeline":
    from churn.training.pipeline import Blend
    from sklearn.pipeline import Pipeline

    if not winner.members:
        return estimators.build_pipeline(winner.family, dataset, search.seed, winner.best.params)
    return Pipeline([("model", Blend([(m.family.name, _unfitted(m, search, dataset)) for m in winner.members]))])
