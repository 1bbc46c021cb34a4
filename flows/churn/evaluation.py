"""The holdout, read once: scores with their intervals, groups of customers, and what the model looks at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from churn import features, models, scores, value
from churn.config import Slices, Worth
from churn.dataset import Dataset
from churn.versioning import Snapshot

if TYPE_CHECKING:
    import pandas as pd
    from churn.value import Curve
    from sklearn.pipeline import Pipeline

RESAMPLES = 300
IMPORTANCE_ROWS = 1000
REPEATS = 3  # of each column's shuffling; fewer from 75 columns on, whose cost grows with their number
REASON_ROWS = 60  # customers explained; fewer, but at least 10, from 20 columns on


@dataclass(frozen=True)
class Slice:
    """One group of the holdout. ``scores`` is empty if the group is too small to judge; ``warnings`` names its gaps."""

    column: str
    group: str
    rows: int
    churned: int
    scores: dict[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """Outcomes and probabilities of shape (n,), the scores with 95 % intervals, the groups, and the columns that matter:
    ``importance`` is the loss of ROC-AUC when a column is shuffled, ``reasons`` the mean absolute Shapley value."""

    outcome: np.ndarray
    probability: np.ndarray
    threshold: float
    scores: dict[str, float]
    importance: list[tuple[str, float]]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    reasons: list[tuple[str, float]] = field(default_factory=list)
    curve: "Curve | None" = None


def read_holdout(
    whole: "Pipeline", threshold: float, data: Snapshot, seed: int, rule: Slices, worth: Worth | None
) -> Evaluation:
    """Score the whole pipeline (raw columns in) on the holdout, at a threshold that was chosen without it."""
    dataset, holdout = data.dataset, data.holdout
    inputs, outcome = holdout[list(dataset.raw)], models.outcome(dataset, holdout)
    probability = whole.predict_proba(inputs)[:, 1]
    gain = value.gains(worth, holdout, outcome) if worth is not None else None

    def measure(rows: np.ndarray) -> dict[str, float]:
        found = scores.evaluate(outcome[rows], probability[rows], threshold)
        if gain is not None and worth is not None:
            # The profit per customer of contacting those at or above the threshold, and what the budget would reach.
            found["profit"] = float(np.mean(np.where(probability[rows] >= threshold, gain[rows], 0)))
            found["capture_at_budget"] = value.capture(outcome[rows], probability[rows], worth.budget)
            found["lift_at_budget"] = scores.lift(outcome[rows], probability[rows], worth.budget)
        return found

    found = measure(np.arange(len(outcome)))
    return Evaluation(
        outcome,
        probability,
        threshold,
        found,
        importance(whole, inputs, outcome, seed),
        scores.bootstrap(outcome, measure, RESAMPLES, seed),
        slices(dataset, holdout, outcome, probability, threshold, found, rule),
        reasons(whole, data, seed),
        value.curve(gain, probability) if gain is not None else None,
    )


def slices(
    dataset: Dataset,
    table: "pd.DataFrame",
    outcome: np.ndarray,
    probability: np.ndarray,
    threshold: float,
    whole: dict[str, float],
    rule: Slices,
) -> tuple[Slice, ...]:
    """Each group of each configured column, with a warning where it is worse than the whole by more than the gap."""
    made = []
    columns = features.frame(dataset, table)
    for column in dataset.slices:
        for group in sorted(columns[column].unique(), key=str):
            rows = (columns[column] == group).to_numpy()
            churned = int(outcome[rows].sum())
            found: dict[str, float] = {}
            if rows.sum() >= rule.min_rows and min(churned, rows.sum() - churned) >= rule.min_class_rows:
                found = scores.evaluate(outcome[rows], probability[rows], threshold)
            label = f"{group:g}" if isinstance(group, float | np.floating) else str(group)
            made.append(Slice(column, label, int(rows.sum()), churned, found, _gaps(found, whole, rule.gap)))
    return tuple(made)


def _gaps(group: dict[str, float], whole: dict[str, float], allowed: dict[str, float]) -> tuple[str, ...]:
    worse = {
        name: (group[name] - whole[name]) * (1 if name in scores.LOWER_IS_BETTER else -1)
        for name in allowed
        if name in group
    }
    return tuple(f"{name} {group[name]:.3f} against {whole[name]:.3f}" for name in worse if worse[name] > allowed[name])


def importance(whole: "Pipeline", inputs: "pd.DataFrame", outcome: np.ndarray, seed: int) -> list[tuple[str, float]]:
    """Permutation importance (Breiman 2001): the loss of ROC-AUC when a column is shuffled, largest first."""
    from sklearn.inspection import permutation_importance

    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(inputs))[:IMPORTANCE_ROWS])

    def score(model: "Pipeline", X: "pd.DataFrame", y: np.ndarray) -> float:
        return scores.auc(y, model.predict_proba(X)[:, 1])

    repeats = max(1, min(REPEATS, 150 // len(inputs.columns)))
    found = permutation_importance(
        whole, inputs.iloc[rows], outcome[rows], scoring=score, n_repeats=repeats, random_state=seed, n_jobs=1
    )
    return ranked(list(inputs.columns), found.importances_mean)


def reasons(whole: "Pipeline", data: Snapshot, seed: int) -> list[tuple[str, float]]:
    """Mean absolute Shapley value (see ``explain``) of each raw column over some holdout rows, largest first."""
    import pandas as pd
    from churn import explain

    def probability(raw: features.Columns) -> np.ndarray:
        return whole[1:].predict_proba(pd.DataFrame(features.build(dataset, raw)))[:, 1]

    dataset, holdout = data.dataset, data.holdout
    explainer = explain.Explainer(dataset, probability, explain.background(dataset, data.train, seed))
    rows = max(10, min(REASON_ROWS, 20 * REASON_ROWS // len(dataset.raw)))
    sample = holdout.sample(min(rows, len(holdout)), random_state=seed)
    found = explainer.contributions(features.from_frame(dataset, sample))
    return ranked(explainer.names, np.abs(found).mean(axis=0))


def ranked(names: Sequence[str], values: np.ndarray) -> list[tuple[str, float]]:
    """Names with their values, largest first."""
    return sorted(zip(names, values.tolist(), strict=True), key=lambda pair: -pair[1])
