"""Metrics of a ranking by uplift: Qini and uplift curves, and off-policy evaluation of a contact policy.

``kept`` is 1 where the customer stayed (the outcome that a contact should bring about), ``contacted`` the arm, ``score`` the
ranking score; all of shape (n,).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from churn.training import metrics


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


def _cumulated(kept: np.ndarray, score: np.ndarray, contacted: np.ndarray) -> tuple[np.ndarray, ...]:
    """Cumulative counts by descending score, ties as one: customers, contacted, kept of those, kept of the others."""
    order = np.argsort(score, kind="stable")[::-1]
    kept, score, arm = kept[order].astype(np.float64), score[order], contacted[order].astype(np.float64)
    ends = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    return ends + 1.0, np.cumsum(arm)[ends], np.cumsum(kept * arm)[ends], np.cumsum(kept * (1 - arm))[ends]


def qini_curve(kept: np.ndarray, score: np.ndarray, contacted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Customers reached, and how many of them the contact kept (Radcliffe 2007), starting at (0, 0)."""
    n, treated, kept_treated, kept_held = _cumulated(kept, score, contacted)
    held = n - treated
    gain = kept_treated - kept_held * np.divide(treated, held, out=np.zeros_like(n), where=held > 0)
    return np.append(0.0, n), np.append(0.0, gain)


def uplift_curve(kept: np.ndarray, score: np.ndarray, contacted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Customers reached, and the difference between the arms' rates among them times their number, starting at (0, 0)."""
    n, treated, kept_treated, kept_held = _cumulated(kept, score, contacted)
    held = n - treated
    rates = [
        np.divide(a, b, out=np.zeros_like(n), where=b > 0) for a, b in ((kept_treated, treated), (kept_held, held))
    ]
    return np.append(0.0, n), np.append(0.0, (rates[0] - rates[1]) * n)


def _over_perfect(
    curve: Callable[..., tuple[np.ndarray, np.ndarray]], perfect: np.ndarray, *arrays: np.ndarray
) -> float:
    """The area between a curve and the random line, as a share of that of the perfect curve."""
    kept, score, contacted = arrays
    x, y = curve(kept, score, contacted)
    best_x, best_y = curve(kept, perfect, contacted)
    baseline = np.trapezoid([0, y[-1]], [0, x[-1]])
    return float((np.trapezoid(y, x) - baseline) / (np.trapezoid(best_y, best_x) - baseline))


def qini(kept: np.ndarray, score: np.ndarray, contacted: np.ndarray) -> float:
    """The Qini coefficient: 1 for a perfect ranking, 0 for a random one; like scikit-uplift's ``qini_auc_score``."""
    arm = contacted.astype(int)
    return _over_perfect(qini_curve, kept * arm - kept * (1 - arm), kept, score, contacted)


def auuc(kept: np.ndarray, score: np.ndarray, contacted: np.ndarray) -> float:
    """The area under the uplift curve, normalised like ``qini``; like scikit-uplift's ``uplift_auc_score``."""
    kept, arm = kept.astype(int), contacted.astype(int)
    # The perfect ranking: customers whose outcome agrees with the arm first; then the larger of the two other groups decides.
    second = kept if (kept * (1 - arm)).sum() > ((1 - kept) * arm).sum() else arm
    return _over_perfect(uplift_curve, 2 * (kept == arm) + second, kept, score, contacted)


def resampled(
    metric: Callable[..., Any],
    kept: np.ndarray,
    score: np.ndarray,
    contacted: np.ndarray,
    seed: int,
    rounds: int = 500,
) -> Interval:
    """A metric of a ranking with its percentile interval; customers are drawn within each arm (Efron & Tibshirani 1993)."""
    low, high = _percentiles(metric, kept, score, contacted, seed, rounds)
    return Interval(metric(kept, score, contacted), float(low), float(high))


def against(
    kept: np.ndarray, score: np.ndarray, risk: np.ndarray, contacted: np.ndarray, seed: int, rounds: int
) -> dict[str, Interval]:
    """Qini and AUUC of a ``score`` and of ``risk`` on the same resamples, and the paired differences (``..._over_risk``)."""

    def both(kept: np.ndarray, scores: np.ndarray, contacted: np.ndarray) -> np.ndarray:
        pairs = [[metric(kept, one, contacted) for one in scores.T] for metric in (qini, auuc)]
        return np.array([[mine, theirs, mine - theirs] for mine, theirs in pairs]).ravel()

    names = [f"{metric}{what}" for metric in ("qini", "auuc") for what in ("", "_by_risk", "_over_risk")]
    scores = np.column_stack([score, risk])
    values, (low, high) = both(kept, scores, contacted), _percentiles(both, kept, scores, contacted, seed, rounds)
    return {name: Interval(*map(float, one)) for name, *one in zip(names, values, low, high, strict=True)}


def _percentiles(
    measure: Callable[..., Any],
    kept: np.ndarray,
    score: np.ndarray,
    contacted: np.ndarray,
    seed: int,
    rounds: int,
) -> np.ndarray:
    """The 95 % percentile interval for each value that ``measure`` returns; customers are drawn within each arm."""
    rng = np.random.default_rng(seed)
    arms = [np.flatnonzero(contacted), np.flatnonzero(~contacted)]
    values = []
    for _ in range(rounds):
        rows = np.concatenate([rng.choice(arm, len(arm)) for arm in arms])
        values.append(measure(kept[rows], score[rows], contacted[rows]))
    return np.nanpercentile(values, [2.5, 97.5], axis=0)


def policy_value(
    kept: np.ndarray,
    contacted: np.ndarray,
    share: np.ndarray | float,
    policy: np.ndarray,
    expected: np.ndarray | None = None,
) -> Interval:
    """The share of customers who would stay if exactly those of ``policy`` (bool of shape (n,)) were contacted.

    By inverse propensity weighting, with ``share`` the probability of contact; doubly robust (Dudik, Langford & Li 2011) with
    ``expected``, shape (n, 2): the probability of staying when left alone and when contacted, from models that have not seen
    the customer.
    """
    chance = np.where(contacted, share, 1 - share)
    agrees = np.where(contacted == policy, 1 / chance, 0.0)
    scores = agrees * kept
    if expected is not None:
        rows = np.arange(len(kept))
        scores = expected[rows, policy.astype(int)] + agrees * (kept - expected[rows, contacted.astype(int)])
    value, spread = float(scores.mean()), metrics.Z_95 * float(scores.std(ddof=1)) / len(scores) ** 0.5
    return Interval(value, value - spread, value + spread)
