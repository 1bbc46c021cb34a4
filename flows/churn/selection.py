"""From the best family to one finished model: refitted, calibrated where that helps, with its threshold."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn import calibration, models, scores, tuning, value
from churn.calibration import Calibration
from churn.config import Search, Worth
from churn.dataset import Dataset
from churn.tuning import Candidate
from churn.value import Curve

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


def choose(winner: Candidate, search: Search, dataset: Dataset, train: "pd.DataFrame", worth: Worth | None) -> Chosen:
    """Fit the winner on all training rows. Calibration and threshold come from its out-of-fold probabilities."""
    from churn import features

    inputs, outcome = features.frame(dataset, train), models.outcome(dataset, train)
    folds = [tested_on for _, tested_on in tuning.splitter(search).split(inputs, outcome)]
    calibrated = calibration.learn(outcome, winner.unseen, folds)
    unseen = calibrated.apply(winner.unseen)
    curve = value.curve(value.gains(worth, train, outcome), unseen) if worth is not None else None
    threshold = curve.threshold if curve is not None else scores.best_f1_threshold(outcome, unseen)
    fitted = models.build(winner.family, dataset, search.seed, winner.best.params).fit(inputs, outcome)
    return Chosen(models.calibrate(fitted, calibrated), calibrated, threshold, curve)
