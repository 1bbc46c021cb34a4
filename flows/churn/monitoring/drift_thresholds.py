"""Thresholds of drift, from the distances between samples of the reference when nothing has changed.

Pairs of samples, of the sizes of the reference and of the window, are drawn from the reference (two-sample bootstrap, Efron &
Tibshirani 1993, ch. 16), whole rows at a time, which preserves the dependence between columns. The threshold of a statistic
is its mean over the pairs plus c standard deviations, with one c for all statistics of all columns: the quantile, at
1 - false_alarms, of the largest standardised statistic of each pair (single-step max-T, Westfall & Young 1993, ch. 2). The
rate of false alarms is thus that of the whole window, however many columns and methods there are, and correlated ones cost
little.
"""

from typing import TYPE_CHECKING

import numpy as np
from churn.settings.monitor import Drift

if TYPE_CHECKING:
    import pandas as pd

POPULATION = (
    2000  # the most reference rows to draw from; distances are scaled with the root of the sample size beyond that
)
MISSING = "missing"
Key = tuple[str, str]  # column and method
Pair = tuple[np.ndarray, ...]  # how often each row is in either sample, shape (resamples, rows)


def roots(reference: "pd.DataFrame", categorical: frozenset[str], rule: Drift, rows: int) -> dict[Key, np.ndarray]:
    """The statistics of ``rule.resamples`` pairs of samples, by column and method; arrays of shape (resamples,).

    ``reference`` holds numbers, and codes from 0 for ``categorical`` columns (NaN: missing). All statistics fall with the
    root of the sample size; for chi2 it is the root of the statistic divided by the effective sample size.
    """
    rng = np.random.default_rng(rule.seed)
    population = reference if len(reference) <= POPULATION else reference.sample(POPULATION, random_state=rule.seed)
    m = len(population)
    n = max(round(rows * m / len(reference)), 2)
    scale = np.sqrt(effective(m, n) / effective(len(reference), rows))
    share = np.full(m, 1 / m)
    # How often each row is in the sample, shape (resamples, m), as doubles for the products below.
    pair = tuple(rng.multinomial(size, share, rule.resamples).astype(np.float64) for size in (m, n))
    statistics: dict[Key, np.ndarray] = {}
    for name in map(str, population):
        values = population[name].to_numpy(np.float64)
        measured = _categorical(values, pair, rule) if name in categorical else _numeric(values, pair, rule)
        statistics |= {(name, method): statistic * scale for method, statistic in measured.items()}
    return statistics


def effective(m: float, n: float) -> float:
    """The effective sample size of a comparison of m rows with n rows."""
    return m * n / (m + n)


def _categorical(values: np.ndarray, pair: Pair, rule: Drift) -> dict[str, np.ndarray]:
    levels = int(np.nanmax(values, initial=-1)) + 1
    onehot = np.eye(levels + 1)[np.nan_to_num(values, nan=levels).astype(int)]  # the last one is missing
    counts = [weights @ onehot for weights in pair]
    p, q = (c[:, :levels] / np.maximum(c[:, :levels].sum(axis=1, keepdims=True), 1) for c in counts)
    m, n = (c[:, :levels].sum(axis=1, keepdims=True) for c in counts)
    missing = np.abs(np.subtract(*(c[:, -1] / c.sum(axis=1) for c in counts)))
    return {MISSING: missing, **(_of_shares(p, q, m, n, rule.categorical) if levels else {})}


def _of_shares(
    p: np.ndarray, q: np.ndarray, m: np.ndarray, n: np.ndarray, methods: tuple[str, ...]
) -> dict[str, np.ndarray]:
    statistics: dict[str, np.ndarray] = {}
    if "jensen_shannon" in methods:
        statistics["jensen_shannon"] = jensen_shannon(p, q)
    if "chi2" in methods:
        pooled = (m * p + n * q) / (m + n)
        statistics["chi2"] = np.sqrt(
            np.divide((p - q) ** 2, pooled, out=np.zeros_like(p), where=pooled > 0).sum(axis=1)
        )
    return statistics


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distances, base 2 (Lin 1991), between the rows of two arrays of shares, shape (n, bins)."""
    middle = (p + q) / 2
    total = np.zeros(len(p))
    for side in (p, q):
        ratio = np.divide(side, middle, out=np.ones_like(side), where=side > 0)
        total += (side * np.log2(ratio)).sum(axis=1)
    return np.sqrt(np.maximum(total / 2, 0))


def _numeric(values: np.ndarray, pair: Pair, rule: Drift) -> dict[str, np.ndarray]:
    order = np.argsort(values, kind="stable")
    ascending = values[order][: np.count_nonzero(~np.isnan(values))]  # NaN is last
    cumulated = [np.cumsum(weights[:, order], axis=1) for weights in pair]
    statistics = {MISSING: np.abs(np.subtract(*(1 - c[:, len(ascending) - 1] / c[:, -1] for c in cumulated)))}
    if not len(ascending):
        return {MISSING: np.zeros(len(pair[0]))}
    cumulated = [c[:, : len(ascending)] for c in cumulated]
    last = np.append(np.flatnonzero(np.diff(ascending)), len(ascending) - 1)  # of each run of equal values
    f, g = (c[:, last] / np.maximum(c[:, -1:], 1) for c in cumulated)
    distance = np.abs(f - g)
    if "kolmogorov_smirnov" in rule.numeric:
        statistics["kolmogorov_smirnov"] = distance.max(axis=1)
    if "wasserstein" in rule.numeric:
        statistics["wasserstein"] = distance[:, :-1] @ np.diff(ascending[last])
    if "jensen_shannon" in rule.numeric:
        edges = np.histogram_bin_edges(ascending, bins="doane")  # as NannyML bins
        upper = np.append(np.searchsorted(ascending, edges[1:-1], side="left"), len(ascending))
        p, q = (np.diff(np.pad(c, ((0, 0), (1, 0)))[:, upper], axis=1, prepend=0) / c[:, -1:] for c in cumulated)
        statistics["jensen_shannon"] = jensen_shannon(p, q)
    return statistics


def thresholds(reference: "pd.DataFrame", categorical: frozenset[str], rule: Drift, rows: int) -> dict[Key, float]:
    """The threshold of each statistic for a window of ``rows`` rows, in its own units; ``reference`` is as for ``roots``.

    Statistics below ``rule.least`` are never drift, however rare, so they do not count as false alarms either.
    """
    statistics = roots(reference, categorical, rule, rows)
    least = {(name, method): _least(method, reference[name].std(), rule) for name, method in statistics}
    moments = {key: (float(s.mean()), float(s.std(ddof=1))) for key, s in statistics.items()}
    standard = [
        np.where(statistics[key] > least[key], (statistics[key] - mean) / sd, 0)
        for key, (mean, sd) in moments.items()
        if sd > 0
    ]
    c = float(np.quantile(np.max(standard, axis=0), 1 - rule.false_alarms)) if standard else 0.0
    values: dict[Key, float] = {}
    for (name, method), (mean, sd) in moments.items():
        root = max(mean + c * sd, least[name, method])
        if method == "chi2":
            present = float(reference[name].notna().mean())
            root = root**2 * effective(len(reference) * present, rows * present)
        values[name, method] = rule.threshold.get(name, {}).get(method, root)  # type: ignore[call-overload]
    return values


def _least(method: str, sd: float, rule: Drift) -> float:
    if method == MISSING:
        return rule.missing
    return rule.least.get(method, 0.0) * (sd if method == "wasserstein" else 1.0)  # type: ignore[call-overload]
