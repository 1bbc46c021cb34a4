"""Metrics of probabilities and decisions against outcomes, and their uncertainty. Arrays have the shape (n,)."""

from collections.abc import Callable, Sequence

import numpy as np

DECIDING = (
    "roc_auc",
    "average_precision",
    "neg_brier_score",
    "neg_log_loss",
)  # higher is better, as scikit-learn has it

LOWER_IS_BETTER = ("brier", "log_loss", "ece")
Z_95 = 1.96  # standard errors from an estimate to either end of its 95 % interval
SURE = 0.99  # the confidence of intervals that may fail a gate
F1_TIE = 0.002  # a fraction of the standard error of F1, even with 10,000 customers


def deciding(outcome: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """The scores in DECIDING; a search optimises one of them."""
    return {
        "roc_auc": auc(outcome, probability),
        "average_precision": average_precision(outcome, probability),
        "neg_brier_score": -brier(outcome, probability),
        "neg_log_loss": -log_loss(outcome, probability),
    }


def scores_at(outcome: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, float]:
    """The scores in METRICS (see ``decided``) when the decision is ``probability >= threshold``."""
    return decided(outcome, probability, probability >= threshold)


def decided(outcome: np.ndarray, probability: np.ndarray, decision: np.ndarray) -> dict[str, float]:
    """The scores in METRICS of decisions; ``outcome`` is 0 or 1, ``probability`` in 0..1, ``decision`` bool."""
    return {metric: of_decision(outcome, probability, decision) for metric, of_decision in OF_DECISIONS.items()}


def accuracy(outcome: np.ndarray, decision: np.ndarray) -> float:
    """The share of decisions that are right."""
    return float(np.mean(decision == outcome))


def precision(outcome: np.ndarray, decision: np.ndarray) -> float:
    """The share of those decided for who churn; 0 without any."""
    return _hits(outcome, decision) / max(float(decision.sum()), 1.0)


def recall(outcome: np.ndarray, decision: np.ndarray) -> float:
    """The share of churners who are decided for; 0 without any."""
    return _hits(outcome, decision) / max(float(outcome.sum()), 1.0)


def f1(outcome: np.ndarray, decision: np.ndarray) -> float:
    """The harmonic mean of ``precision`` and ``recall``."""
    return 2 * _hits(outcome, decision) / max(float(decision.sum() + outcome.sum()), 1.0)


def _hits(outcome: np.ndarray, decision: np.ndarray) -> float:
    return float(np.sum(decision & (outcome == 1)))


def auc(outcome: np.ndarray, score: np.ndarray) -> float:
    """ROC-AUC, as the Mann-Whitney statistic with ties as a half; fast, because a bootstrap calls it thousands of times."""
    churned, retained = score[outcome == 1], score[outcome == 0]
    return float(_below(np.sort(churned), retained).sum() / (len(churned) * len(retained)))


def _below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of the scores, how many of the others are below it, an equal one as a half; NaN if any score is NaN."""
    ordered = np.sort(others)  # NaN comes last
    if np.isnan(ordered[-1:]).any() or np.isnan(scores).any():
        return np.full(len(scores), np.nan)
    return (np.searchsorted(ordered, scores) + np.searchsorted(ordered, scores, "right")) / 2


def auc_error(outcome: np.ndarray, score: np.ndarray, customer: np.ndarray | None = None) -> float:
    """The standard error of ``auc`` (DeLong et al. 1988).

    With ``customer`` (shape (n,)), it is clustered by customer (Obuchowski 1997). NaN if an outcome has fewer than two rows.
    """
    return _error(_influence(outcome, score), customer)


def auc_gain(
    outcome: np.ndarray, score: np.ndarray, other: np.ndarray, customer: np.ndarray | None = None
) -> tuple[float, float]:
    """The gain in ``auc`` of ``score`` over ``other`` on the same rows, and its standard error."""
    error = _error(_influence(outcome, score) - _influence(outcome, other), customer)
    return auc(outcome, score) - auc(outcome, other), error


def independent(outcome: np.ndarray, customer: np.ndarray | None) -> int:
    """The number of customers with the rarer outcome."""
    if customer is None:
        return int(np.bincount(outcome, minlength=2).min())
    return min(len(np.unique(customer[outcome == value])) for value in (0, 1))


def _influence(outcome: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Each row's contribution to the deviation of ``auc`` from its expectation, in O(n log n) as in Sun & Xu (2014).

    For a churned row it is the share of retained rows that it ranks above, for a retained row the share of churned rows that it
    ranks below, each less its mean.
    """
    influence = np.empty(len(outcome))
    for value in (0, 1):
        rows = outcome == value
        n, others = int(rows.sum()), score[~rows]
        above = _below(score[rows], others) / len(others)
        influence[rows] = (2 * value - 1) * (above - above.mean()) / np.sqrt(n * (n - 1)) if n > 1 else np.nan
    return influence


def _error(influence: np.ndarray, customer: np.ndarray | None) -> float:
    if customer is not None:
        influence = np.bincount(np.unique(customer, return_inverse=True)[1], influence)
    return float(np.sqrt(np.sum(influence**2)))


def average_precision(outcome: np.ndarray, score: np.ndarray) -> float:
    """Average precision, the area under the precision-recall curve, equal to scikit-learn's ``average_precision_score``."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # where each group of ties ends
    hits = np.cumsum(outcome[order])[last]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (last + 1)) / outcome.sum())


def brier(outcome: np.ndarray, probability: np.ndarray) -> float:
    """Mean squared difference between probability and outcome (Brier 1950)."""
    return float(np.mean((probability - outcome) ** 2))


def log_loss(outcome: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log likelihood, in nats; probabilities are clipped as scikit-learn clips them."""
    edge = np.finfo(float).eps
    p = np.clip(np.asarray(probability, dtype=float), edge, 1 - edge)
    return -float(np.mean(np.where(outcome == 1, np.log(p), np.log1p(-p))))


def ece(outcome: np.ndarray, probability: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015).

    The difference between the mean probability and the share of churners, averaged over ``bins`` bins of equal width, weighted by
    their rows.
    """
    place = np.minimum((np.asarray(probability, dtype=float) * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=probability - outcome, minlength=bins)
    return float(np.abs(gaps).sum() / len(outcome))


def ks(outcome: np.ndarray, probability: np.ndarray) -> float:
    """The Kolmogorov-Smirnov distance between the probabilities of churned and retained customers."""
    groups = [np.sort(probability[outcome == value]) for value in (0, 1)]
    stayed, churned = (np.searchsorted(group, probability, side="right") / len(group) for group in groups)
    return float(np.abs(stayed - churned).max())


def lift(outcome: np.ndarray, probability: np.ndarray, share: float) -> float:
    """The churn rate among the ``share`` of customers with the highest probabilities, divided by the overall churn rate."""
    top = np.argsort(-probability, kind="stable")[: max(1, round(share * len(outcome)))]
    return float(outcome[top].mean() / outcome.mean())


def best_f1_threshold(outcome: np.ndarray, probability: np.ndarray) -> float:
    """The threshold with the best F1 score; pass out-of-fold probabilities, never those of the holdout.

    F1 is flat around its maximum, and the exact peak is chance: of the thresholds within F1_TIE of the best, this is the
    highest, which contacts the fewest customers.
    """
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(outcome, probability)
    f1 = (2 * precision * recall / np.maximum(precision + recall, 1e-12))[: len(thresholds)]
    return float(thresholds[f1 >= f1.max() - F1_TIE].max())


def fold_interval(by_fold: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of a cross-validated mean.

    Student's t, with the variance corrected for the overlap of the training parts (Nadeau & Bengio 2003).
    """
    from scipy.stats import t

    k = len(by_fold)
    half = float(t.ppf(0.975, k - 1) * np.std(by_fold, ddof=1) * np.sqrt(1 / k + 1 / (k - 1)))
    middle = float(np.mean(by_fold))
    return middle - half, middle + half


def interval(
    metric: str,
    outcome: np.ndarray,
    probability: np.ndarray,
    decision: np.ndarray,
    seed: int,
    customer: np.ndarray | None = None,
) -> tuple[float, float]:
    """The confidence interval, at SURE, of one of METRICS; also valid for few rows.

    For ROC-AUC it uses DeLong's error and Student's t, for shares Wilson's interval (1927), for all others the bootstrap: the
    percentile interval or, for errors, whose resamples are biased upwards (ECE most of all), the basic one (Davison & Hinkley
    1997, ch. 5). The rows of one ``customer`` count as one.
    """
    from scipy.stats import norm, t

    if metric == "roc_auc":
        factor = float(t.ppf((1 + SURE) / 2, independent(outcome, customer) - 1))
        middle, half = auc(outcome, probability), factor * auc_error(outcome, probability, customer)
        return max(middle - half, 0.0), min(middle + half, 1.0)
    of = {"accuracy": np.ones_like(decision), "precision": decision, "recall": outcome == 1}
    if metric in of:
        rows, z = of[metric], float(norm.ppf((1 + SURE) / 2))
        n = max(len(np.unique(customer[rows])) if customer is not None else int(rows.sum()), 1)
        share = float(np.mean(decision[rows] == outcome[rows])) if rows.any() else 0.0
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
        return middle - half, middle + half

    def measure(rows: np.ndarray) -> dict[str, float]:
        return {metric: OF_DECISIONS[metric](outcome[rows], probability[rows], decision[rows])}

    low, high = bootstrap(outcome, measure, 1000, seed, customer, SURE)[metric]
    twice = 2 * measure(np.arange(len(outcome)))[metric]
    return (max(twice - high, 0.0), twice - low) if metric in LOWER_IS_BETTER else (low, high)


def bootstrap(
    outcome: np.ndarray,
    measure: Callable[[np.ndarray], dict[str, float]],
    resamples: int,
    seed: int,
    customer: np.ndarray | None = None,
    confidence: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals (Efron & Tibshirani 1993, ch. 13) of the scores that ``measure(rows)`` returns.

    Rows are drawn within each outcome, so that every resample has both. With ``customer`` (shape (n,)), whole customers are drawn
    (Field & Welsh 2007), within those who ever churned and those who did not.
    """
    rng = np.random.default_rng(seed)
    codes = np.arange(len(outcome))
    if customer is not None:
        _, first, codes = np.unique(customer, return_index=True, return_inverse=True)
        codes = np.argsort(np.argsort(first))[
            codes
        ]  # in row order: the same draws as without ``customer`` if none repeats
    order, size = np.argsort(codes, kind="stable"), np.bincount(codes)
    start, ever = np.cumsum(size) - size, np.bincount(codes, outcome) > 0
    classes = [members for value in (False, True) if len(members := np.flatnonzero(ever == value))]
    drawn = []
    for _ in range(resamples):
        picked = np.concatenate([rng.choice(members, len(members)) for members in classes])
        end = np.cumsum(size[picked])
        shift = np.repeat(start[picked] - end + size[picked], size[picked])
        drawn.append(measure(order[np.arange(end[-1]) + shift]))
    edges = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile([list(scores.values()) for scores in drawn], edges, axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(drawn[0])}


OF_DECISIONS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda outcome, _, decision: accuracy(outcome, decision),
    "precision": lambda outcome, _, decision: precision(outcome, decision),
    "recall": lambda outcome, _, decision: recall(outcome, decision),
    "f1": lambda outcome, _, decision: f1(outcome, decision),
    "roc_auc": lambda outcome, probability, _: auc(outcome, probability),
    "pr_auc": lambda outcome, probability, _: average_precision(outcome, probability),
    "brier": lambda outcome, probability, _: brier(outcome, probability),
    "log_loss": lambda outcome, probability, _: log_loss(outcome, probability),
    "ece": lambda outcome, probability, _: ece(outcome, probability),
    "ks": lambda outcome, probability, _: ks(outcome, probability),
    "lift_10": lambda outcome, probability, _: lift(outcome, probability, 0.1),
}
