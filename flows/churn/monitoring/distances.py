"""Distances between two samples of one column, by scipy; missing values (NaN) are left out."""

from collections.abc import Iterable

import numpy as np


def numeric(before: np.ndarray, now: np.ndarray, methods: Iterable[str]) -> dict[str, float]:
    """The statistics named in ``methods`` of two samples of numbers, shapes (m,) and (n,), without missing values.

    Kolmogorov-Smirnov's and Wasserstein's are exact; Jensen-Shannon's is of histograms in the bins that Doane's rule gives the
    first sample, and one for what lies outside of them.
    """
    from scipy import stats

    distances: dict[str, float] = {}
    for method in methods:
        if method == "kolmogorov_smirnov":
            distances[method] = float(stats.ks_2samp(before, now, method="asymp").statistic)
        elif method == "wasserstein":
            distances[method] = float(stats.wasserstein_distance(before, now))
        else:
            edges = np.histogram_bin_edges(before, bins="doane")
            distances[method] = _jensen_shannon(np.histogram(before, edges)[0], np.histogram(now, edges)[0], len(now))
    return distances


def categorical(before: np.ndarray, now: np.ndarray, methods: Iterable[str]) -> dict[str, float]:
    """The statistics named in ``methods`` of two samples of codes from 0, shapes (m,) and (n,), without missing values.

    Chi-square is Pearson's, with Yates' correction where there are two levels; for Jensen-Shannon the levels that the first
    sample does not have are one.
    """
    from scipy import stats

    size = int(max(before.max(), now.max())) + 1
    counts = np.stack([np.bincount(side.astype(np.int64), minlength=size) for side in (before, now)])
    distances: dict[str, float] = {}
    for method in methods:
        if method == "chi2":
            distances[method] = float(stats.chi2_contingency(counts[:, counts.any(axis=0)]).statistic)
        else:
            occurring = counts[:, counts[0] > 0]
            distances[method] = _jensen_shannon(occurring[0], occurring[1], len(now))
    return distances


def _jensen_shannon(before: np.ndarray, now: np.ndarray, rows: int) -> float:
    """The distance, base 2 (Lin 1991), of two lists of counts; those of the second's ``rows`` in no bin are in a last one."""
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon([*before, 0], [*now, rows - now.sum()], base=2))
