"""From the families' best trials to one finished model: blended where that helps, refitted, calibrated where that helps,
with its threshold. All of it on the training rows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn import calibration, models, scores, tuning, value
from churn.calibration import Calibration
from churn.config import BLEND, Family, Search, Worth
from churn.dataset import Dataset
from churn.tuning import Candidate, Trial
from churn.value import Curve

LEAST_GAIN = 0.0005  # of the deciding score: a member of a blend that brings less is not worth its time

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Chosen:
    """The fitted pipeline over model inputs, how it was calibrated, and the threshold with the profit curve behind it
    (None without [value]: then the threshold has the best F1)."""

    pipeline: "Pipeline"
    calibration: Calibration
    threshold: float
    curve: Curve | None


def board(tuned: Sequence[Candidate], search: Search, dataset: Dataset, train: "pd.DataFrame") -> list[Candidate]:
    """The leaderboard: the families and, where ``search.blend`` is on and it helps, their blend; best first."""
    ranked = tuning.leaderboard(list(tuned), search.metric)
    mixed = blend(ranked, search, dataset, train) if search.blend else None
    return ranked if mixed is None else tuning.leaderboard([*ranked, mixed], search.metric)


def blend(ranked: Sequence[Candidate], search: Search, dataset: Dataset, train: "pd.DataFrame") -> Candidate | None:
    """The mean of several families' probabilities: forward selection (Caruana et al. 2004) on their out-of-fold ones.

    The best family comes first, then whichever raises the deciding score most, as long as it does by LEAST_GAIN. None if
    no other family does.
    """
    started, outcome = time.monotonic(), models.outcome(dataset, train)
    folds = [tested_on for _, tested_on in tuning.splitter(search).split(outcome, outcome)]
    members, rest = [ranked[0]], list(ranked[1:])
    best = _mean(members, outcome, folds, search)
    while rest:
        tried = [_mean([*members, candidate], outcome, folds, search) for candidate in rest]
        places = range(len(rest))
        most = max(places, key=lambda i: tried[i].scores[search.metric])
        if tried[most].scores[search.metric] < best.scores[search.metric] + LEAST_GAIN:
            break
        best = tried[most]
        members.append(rest.pop(most))
    if len(members) == 1:
        return None
    family = Family(name=BLEND, estimator="churn.pipeline.Blend", iterations=1)
    unseen = np.mean([member.unseen for member in members], axis=0)
    return Candidate(family, (best,), best, unseen, time.monotonic() - started, members=tuple(members))


def _mean(members: Sequence[Candidate], outcome: np.ndarray, folds: Sequence[np.ndarray], search: Search) -> Trial:
    unseen = np.mean([member.unseen for member in members], axis=0)
    found = [scores.deciding(outcome[places], unseen[places]) for places in folds]
    params = {f"{m.family.name}.{name}": value for m in members for name, value in m.best.params.items()}
    means = {name: float(np.mean([fold[name] for fold in found])) for name in found[0]}
    return Trial(params, means, tuple(fold[search.metric] for fold in found))


def choose(winner: Candidate, search: Search, dataset: Dataset, train: "pd.DataFrame", worth: Worth | None) -> Chosen:
    """Fit the winner on all training rows. Calibration and threshold come from its out-of-fold probabilities."""
    from churn import features

    inputs, outcome = features.frame(dataset, train), models.outcome(dataset, train)
    folds = [tested_on for _, tested_on in tuning.splitter(search).split(inputs, outcome)]
    calibrated = calibration.learn(outcome, winner.unseen, folds)
    unseen = calibrated.apply(winner.unseen)
    curve = value.curve(value.gains(worth, train, outcome), unseen) if worth is not None else None
    threshold = curve.threshold if curve is not None else scores.best_f1_threshold(outcome, unseen)
    fitted = _unfitted(winner, search, dataset).fit(inputs, outcome)
    return Chosen(models.calibrate(fitted, calibrated), calibrated, threshold, curve)


def _unfitted(winner: Candidate, search: Search, dataset: Dataset) -> "Pipeline":
    from churn.pipeline import Blend
    from sklearn.pipeline import Pipeline

    if not winner.members:
        return models.build(winner.family, dataset, search.seed, winner.best.params)
    return Pipeline([("model", Blend([(m.family.name, _unfitted(m, search, dataset)) for m in winner.members]))])
