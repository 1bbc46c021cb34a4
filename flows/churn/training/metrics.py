"""What is measured: scores of probabilities against outcomes, and how sure they are. Arrays have the shape (n,)."""

from collections.abc import Callable, Sequence

import numpy as np

DECIDING = (
    "roc_auc",
    "average_precision",
    "neg_brier_score",
    "neg_log_loss",
)  # higher is better, as scikit-learn has it

METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "brier", "log_loss", "ece", "ks", "lift_10")
LOWER_IS_BETTER = ("brier", "log_loss", "ece")
SURE = 0.99  # of an interval that closes a gate
F1_TIE = 0.002  # a fraction of its standard error, even with 10,000 customers


def deciding(outcome: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """DECIDING: the scores a search may be decided by."""
    return {
        "roc_auc": auc(outcome, probability),
        "average_precision": average_precision(outcome, probability),
        "neg_brier_score": -brier(outcome, probability),
        "neg_log_loss": -log_loss(outcome, probability),
    }


def evaluate(outcome: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, float]:
    """``decided`` at ``probability >= threshold``."""
    return decided(outcome, probability, probability >= threshold)


def decided(outcome: np.ndarray, probability: np.ndarray, decision: np.ndarray) -> dict[str, float]:
    """METRICS: ``outcome`` 0 or 1, ``probability`` in 0..1, ``decision`` bool."""
    hits = float(np.sum(decision & (outcome == 1)))
    return {
        "accuracy": float(np.mean(decision == outcome)),
        "precision": hits / max(float(decision.sum()), 1.0),
        "recall": hits / max(float(outcome.sum()), 1.0),
        "f1": 2 * hits / max(float(decision.sum() + outcome.sum()), 1.0),
        "roc_auc": auc(outcome, probability),
        "pr_auc": average_precision(outcome, probability),
        "brier": brier(outcome, probability),
        "log_loss": log_loss(outcome, probability),
        "ece": ece(outcome, probability),
        "ks": ks(outcome, probability),
        "lift_10": lift(outcome, probability, 0.1),
    }


def auc(outcome: np.ndarray, score: np.ndarray) -> float:
    """ROC-AUC as the Mann-Whitney statistic with average ranks: a bootstrap calls it thousands of times."""
    from scipy.stats import rankdata

    ranks = rankdata(score)
    positives = int(outcome.sum())
    return float(
        (ranks[outcome == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(outcome) - positives))
    )


def auc_error(outcome: np.ndarray, score: np.ndarray, customer: np.ndarray | None = None) -> float:
    """Standard error of ``auc`` (DeLong et al. 1988), of rows that are not independent where ``customer``, (n,), says whose
    each is (Obuchowski 1997). NaN with fewer than two rows of an outcome.
    """
    return _error(_influence(outcome, score), customer)


def auc_gain(
    outcome: np.ndarray, score: np.ndarray, other: np.ndarray, customer: np.ndarray | None = None
) -> tuple[float, float]:
    """How much larger ``auc`` is by ``score`` than by ``other`` on the same rows, and the standard error of that."""
    error = _error(_influence(outcome, score) - _influence(outcome, other), customer)
    return auc(outcome, score) - auc(outcome, other), error


def independent(outcome: np.ndarray, customer: np.ndarray | None) -> int:
    """How many customers the rarer outcome was seen in."""
    if customer is None:
        return int(np.bincount(outcome, minlength=2).min())
    return min(len(np.unique(customer[outcome == value])) for value in (0, 1))


def _influence(outcome: np.ndarray, score: np.ndarray) -> np.ndarray:
    """What each row adds to ``auc``'s deviation from its expectation, by ranks (Sun & Xu 2014): of a churned row the share of
    the retained ones it is above, of a retained one the share of the churned it is below, from their means.
    """
    from scipy.stats import rankdata

    ranks, found = rankdata(score), np.empty(len(outcome))
    for value in (0, 1):
        rows = outcome == value
        n, others = int(rows.sum()), int((~rows).sum())
        above = (ranks[rows] - rankdata(score[rows])) / others
        found[rows] = (2 * value - 1) * (above - above.mean()) / np.sqrt(n * (n - 1)) if n > 1 else np.nan
    return found


def _error(influence: np.ndarray, customer: np.ndarray | None) -> float:
    if customer is not None:
        influence = np.bincount(np.unique(customer, return_inverse=True)[1], influence)
    return float(np.sqrt(np.sum(influence**2)))


def average_precision(outcome: np.ndarray, score: np.ndarray) -> float:
    """Area under the precision-recall curve as scikit-learn's ``average_precision_score`` has it: tied scores are one step."""
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
    """Expected calibration error (Naeini et al. 2015): the mean over ``bins`` equally wide bins, weighted by their rows,
    of the difference between the mean probability and the share of positives.
    """
    place = np.minimum((np.asarray(probability, dtype=float) * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=probability - outcome, minlength=bins)
    return float(np.abs(gaps).sum() / len(outcome))


def ks(outcome: np.ndarray, probability: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance between the probabilities of churned and of retained customers."""
    groups = [np.sort(probability[outcome == value]) for value in (0, 1)]
    stayed, churned = (np.searchsorted(group, probability, side="right") / len(group) for group in groups)
    return float(np.abs(stayed - churned).max())


def lift(outcome: np.ndarray, probability: np.ndarray, share: float) -> float:
    """How many times more churners are among the ``share`` of customers with the highest probability than on average."""
    top = np.argsort(-probability, kind="stable")[: max(1, round(share * len(outcome)))]
    return float(outcome[top].mean() / outcome.mean())


def best_f1_threshold(outcome: np.ndarray, probability: np.ndarray) -> float:
    """The threshold with the highest F1 score; give it out-of-fold probabilities, never the holdout's.

    F1 is flat around its top, and where exactly it peaks is chance: of the thresholds within F1_TIE of the best, the highest
    one, which bothers the fewest customers.
    """
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(outcome, probability)
    f1 = (2 * precision * recall / np.maximum(precision + recall, 1e-12))[: len(thresholds)]
    return float(thresholds[f1 >= f1.max() - F1_TIE].max())


def fold_interval(by_fold: Sequence[float]) -> tuple[float, float]:
    """95 % interval of a cross-validated mean: Student's t with the variance corrected for the overlap of the training
    parts (Nadeau & Bengio 2003).
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
    """The SURE interval of one of METRICS, also of few rows: for ROC-AUC DeLong's error with Student's t, for shares
    Wilson's (1927), for the others the bootstrap: the percentile one, and for errors, whose resamples lie above them (most
    of all ECE's), the basic one (Davison & Hinkley 1997, ch. 5). Rows of one ``customer`` count as one.
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
        return {metric: decided(outcome[rows], probability[rows], decision[rows])[metric]}

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
    """Percentile bootstrap intervals (Efron & Tibshirani 1993, ch. 13) of ``measure(rows)``, drawn within each outcome so
    that every resample has both. Where ``customer``, (n,), says whose each row is, whole customers are drawn (Field & Welsh
    2007), within those who ever churned and those who did not.
    """
    rng = np.random.default_rng(seed)
    codes = np.arange(len(outcome))
    if customer is not None:
        _, first, codes = np.unique(customer, return_index=True, return_inverse=True)
        codes = np.argsort(np.argsort(first))[
            codes
        ]  # in the order of the rows: as without ``customer`` if none repeats
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
    low, high = np.quantile([list(found.values()) for found in drawn], edges, axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(drawn[0])}
