"""Evaluation on the holdout, which is read once: scores with intervals, slices and feature importance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from churn.data import customer_keys, features
from churn.data.events import baselines
from churn.data.snapshots import Snapshot
from churn.settings.dataset import Dataset
from churn.settings.train import Search, Slices, Worth
from churn.training import expected_profit, folds, metrics

if TYPE_CHECKING:
    import pandas as pd
    from churn.training.expected_profit import Curve
    from sklearn.pipeline import Pipeline

RESAMPLES = 300
IMPORTANCE_ROWS = 1000
REPEATS = 3  # shuffles of each column; fewer from 75 columns on, as the cost grows with their number
REASON_ROWS = 60  # customers explained; fewer, but at least 10, from 20 columns on


@dataclass(frozen=True)
class Slice:
    """One group of customers in the holdout.

    ``scores`` is empty if the group is too small to evaluate; ``warnings`` names the scores that are worse than for all
    customers; ``intervals`` holds the ``metrics.interval`` of each metric that can fail the gate.
    """

    column: str
    group: str
    rows: int
    churned: int
    scores: dict[str, float]
    warnings: tuple[str, ...]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """A baseline's ROC-AUC on the holdout and the model's gain over it, each with its 95 % interval.

    ``by_fold`` is its ROC-AUC in each cross-validation fold of the leaderboard.
    """

    name: str
    auc: float
    interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]
    by_fold: tuple[float, ...] = ()

    @property
    def beaten(self) -> bool:
        """Whether the whole interval of the gain is above 0."""
        return self.gain_interval[0] > 0


@dataclass(frozen=True)
class Moment:
    """One snapshot of the holdout, ``age`` days after the newest training snapshot; ``auc`` is NaN without both outcomes."""

    moment: str
    age: int
    rows: int
    churned: int
    auc: float


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model on a holdout of n customers.

    Outcomes, probabilities and decisions have the shape (n,); ``intervals`` are 95 % confidence intervals of ``scores``;
    ``importance`` is the loss of ROC-AUC when a column is shuffled, ``reasons`` the mean absolute Shapley value of a column,
    both in descending order.
    """

    outcome: np.ndarray
    probability: np.ndarray
    decision: np.ndarray
    threshold: float
    scores: dict[str, float]
    importance: list[tuple[str, float]]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    reasons: list[tuple[str, float]] = field(default_factory=list)
    curve: "Curve | None" = None
    baselines: tuple[Baseline, ...] = ()
    moments: tuple[Moment, ...] = ()


def read_holdout(
    pipeline: "Pipeline",
    threshold: float,
    data: Snapshot,
    seed: int,
    rule: Slices,
    worth: Worth | None,
    search: Search | None = None,
) -> Evaluation:
    """Evaluate the whole pipeline (raw columns in) on the holdout, and the baselines also on the folds of ``search``.

    ``threshold`` and ``worth`` (see ``expected_profit.settle``), which determine the decisions, were chosen without the holdout.
    """
    dataset, holdout = data.dataset, data.holdout
    inputs, outcome = holdout[list(dataset.raw)], features.outcome(dataset, holdout)
    raw, probability = features.from_frame(dataset, holdout), pipeline.predict_proba(inputs)[:, 1]
    decision = expected_profit.decide(worth, raw, probability, threshold)
    customer = customer_keys.keys(holdout, dataset.id, dataset.raw)
    gain = expected_profit.gains(worth, raw, outcome, probability) if worth is not None else None
    profit = expected_profit.expected(worth, raw, probability) if worth is not None else None

    def measure(rows: np.ndarray) -> dict[str, float]:
        scores = metrics.decided(outcome[rows], probability[rows], decision[rows])
        if worth is not None and gain is not None and profit is not None:
            # The decisions' profit per customer; capture and lift when contacting the most profitable up to the budget.
            scores["profit"] = float(np.mean(np.where(decision[rows], gain[rows], 0)))
            scores["capture_at_budget"] = expected_profit.capture(outcome[rows], profit[rows], worth.budget)
            scores["lift_at_budget"] = metrics.lift(outcome[rows], profit[rows], worth.budget)
        return scores

    measured = measure(np.arange(len(outcome)))
    return Evaluation(
        outcome,
        probability,
        decision,
        threshold,
        measured,
        importance(pipeline, inputs, outcome, seed),
        metrics.bootstrap(outcome, measure, RESAMPLES, seed, customer),
        slices(dataset, holdout, outcome, probability, decision, measured, rule, seed, customer),
        reasons(pipeline, data, seed),
        expected_profit.curve(gain, profit) if gain is not None and profit is not None else None,
        compare_baselines(data, outcome, probability, customer, search),
        over_time(data, outcome, probability),
    )


def compare_baselines(
    data: Snapshot,
    outcome: np.ndarray,
    probability: np.ndarray,
    customer: np.ndarray,
    search: Search | None = None,
) -> tuple[Baseline, ...]:
    """The event-based baselines on the rows of ``probability``; empty for data without events.

    The intervals are DeLong's, paired for the gain and clustered by ``customer`` (see ``metrics.auc_gain``).
    """
    theirs = baselines.scores(data.dataset, data.holdout)
    folded = _in_folds(data, search) if search is not None and theirs else {}
    compared = []
    for name, score in theirs.items():
        auc = metrics.auc(outcome, score)
        gain, error = metrics.auc_gain(outcome, probability, score, customer)
        sure, gains = _around(auc, metrics.auc_error(outcome, score, customer)), _around(gain, error)
        compared.append(Baseline(name, auc, sure, gain, gains, folded.get(name, ())))
    return tuple(compared)


def _around(middle: float, error: float) -> tuple[float, float]:
    """The 95 % interval of an estimate with this standard error."""
    return middle - metrics.Z_95 * error, middle + metrics.Z_95 * error


def _in_folds(data: Snapshot, search: Search) -> dict[str, tuple[float, ...]]:
    """Each baseline's ROC-AUC in each fold of the training rows in which it can be fitted."""
    aucs: dict[str, tuple[float, ...]] = {}
    for places in folds.folds(search, data.dataset, data.train):
        test = data.train.iloc[places.test]
        outcome = features.outcome(data.dataset, test)
        for name, score in baselines.scores(data.dataset, test).items():
            aucs[name] = (*aucs.get(name, ()), metrics.auc(outcome, score))
    return aucs


def over_time(data: Snapshot, outcome: np.ndarray, probability: np.ndarray) -> tuple[Moment, ...]:
    """The model's ROC-AUC in each snapshot of the holdout; empty for data without snapshots."""
    if data.dataset.snapshots is None or data.dataset.time is None:
        return ()
    times, newest = data.holdout[data.dataset.time], data.train[data.dataset.time].max()
    moments = []
    for moment in sorted(times.unique()):
        rows = (times == moment).to_numpy()
        churned = int(outcome[rows].sum())
        auc = metrics.auc(outcome[rows], probability[rows]) if 0 < churned < rows.sum() else float("nan")
        moments.append(Moment(moment.isoformat(), (moment - newest).days, int(rows.sum()), churned, auc))
    return tuple(moments)


def slices(
    dataset: Dataset,
    table: "pd.DataFrame",
    outcome: np.ndarray,
    probability: np.ndarray,
    decision: np.ndarray,
    overall: dict[str, float],
    rule: Slices,
    seed: int = 0,
    customer: np.ndarray | None = None,
) -> tuple[Slice, ...]:
    """Evaluate each group of each column in ``dataset.slices``, with a warning where it scores worse than the whole.

    The arrays have the shape (n,), in the order of ``table``; ``overall`` holds the scores of all customers; rows of one
    ``customer`` are resampled together.
    """
    columns, whose = features.frame(dataset, table), np.arange(len(table)) if customer is None else customer
    return tuple(
        _slice(column, label, outcome[rows], probability[rows], decision[rows], overall, rule, seed, whose[rows])
        for column in dataset.slices
        for label, rows in _groups(columns[column])
    )


def _groups(values: "pd.Series") -> Iterator[tuple[str, np.ndarray]]:
    """The label of each group and its rows, bool of shape (n,); missing values are the last group."""
    missing = (values.isna() | (values == "")).to_numpy()
    for group in sorted(values[~missing].unique(), key=str):
        label = f"{group:g}" if isinstance(group, float | np.floating) else str(group)
        yield label, (values == group).to_numpy()
    if missing.any():
        yield "(missing)", missing


def _slice(
    column: str,
    label: str,
    outcome: np.ndarray,
    probability: np.ndarray,
    decision: np.ndarray,
    overall: dict[str, float],
    rule: Slices,
    seed: int,
    customer: np.ndarray,
) -> Slice:
    churned = int(outcome.sum())
    if len(outcome) < rule.min_rows or min(churned, len(outcome) - churned) < rule.min_class_rows:
        return Slice(column, label, len(outcome), churned, {}, ())
    scores = metrics.decided(outcome, probability, decision)
    sure = {name: metrics.interval(name, outcome, probability, decision, seed, customer) for name in rule.least}
    return Slice(column, label, len(outcome), churned, scores, _gaps(scores, overall, rule.gap), sure)


def _gaps(group: dict[str, float], overall: dict[str, float], allowed: dict[str, float]) -> tuple[str, ...]:
    worse = {
        name: (group[name] - overall[name]) * (1 if name in metrics.LOWER_IS_BETTER else -1)
        for name in allowed
        if name in group
    }
    return tuple(
        f"{name} {group[name]:.3f} against {overall[name]:.3f}" for name in worse if worse[name] > allowed[name]
    )


def importance(pipeline: "Pipeline", inputs: "pd.DataFrame", outcome: np.ndarray, seed: int) -> list[tuple[str, float]]:
    """Permutation importance (Breiman 2001): the loss of ROC-AUC when a column is shuffled, largest first."""
    from sklearn.inspection import permutation_importance
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(inputs))[:IMPORTANCE_ROWS])

    def score(model: "Pipeline", X: "pd.DataFrame", y: np.ndarray) -> float:
        return metrics.auc(y, model.predict_proba(X)[:, 1])

    repeats = max(1, min(REPEATS, 150 // len(inputs.columns)))
    with threadpool_limits(1):  # with so few rows, threads would wait for each other longer than they work
        result = permutation_importance(
            pipeline, inputs.iloc[rows], outcome[rows], scoring=score, n_repeats=repeats, random_state=seed, n_jobs=1
        )
    return ranked(list(inputs.columns), result.importances_mean)


def reasons(pipeline: "Pipeline", data: Snapshot, seed: int) -> list[tuple[str, float]]:
    """Mean absolute Shapley value (see ``shapley``) of each raw column over a sample of the holdout, largest first."""
    import pandas as pd
    from churn.training import shapley
    from threadpoolctl import threadpool_limits

    def probability(raw: features.Columns) -> np.ndarray:
        return pipeline[1:].predict_proba(pd.DataFrame(features.build(dataset, raw)))[:, 1]

    dataset, holdout = data.dataset, data.holdout
    explainer = shapley.Explainer(dataset, probability, shapley.background(dataset, data.train, seed))
    rows = max(10, min(REASON_ROWS, 20 * REASON_ROWS // len(dataset.raw)))
    sample = holdout.sample(min(rows, len(holdout)), random_state=seed)
    with threadpool_limits(1):
        contributions = explainer.contributions(features.from_frame(dataset, sample))
    return ranked(explainer.names, np.abs(contributions).mean(axis=0))


def ranked(names: Sequence[str], values: np.ndarray) -> list[tuple[str, float]]:
    """Names with their values, largest first."""
    return sorted(zip(names, values.tolist(), strict=True), key=lambda pair: -pair[1])
