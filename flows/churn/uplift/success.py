"""The success rate of contacts, measured by randomised campaigns: the share of would-be churners that a contact keeps."""

import itertools
from collections.abc import Sequence

import numpy as np
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.settings.train import MeasuredRate, Worth
from churn.training import metrics
from churn.uplift import outcome_rows
from churn.uplift.outcome_rows import OutcomeRows

TENTHS = 10  # groups by risk
FEWEST_GROUPS = 4  # from which a spread can be estimated
FEWEST = 10  # customers in each arm of a group


def measured(worth: Worth | None, outcomes: bytes | None, dataset: Dataset) -> Worth | None:
    """``worth`` with the ``evidence`` of its success rate if that is "measured" from the ``outcomes``.

    Each tenth of the campaigns' customers, by risk at their assignment, has its own rate, shrunk towards the others' as far as
    chance may explain their differences (see ``shrunk``). There are fewer groups if a tenth would have fewer than FEWEST
    customers in an arm; the overall rate is used if fewer than FEWEST_GROUPS remain, or if no risk is known (trials assigned
    elsewhere). Raises ChurnError if there are no outcomes to measure it from.
    """
    if worth is None or worth.success_rate != "measured":
        return worth
    if outcomes is None:
        raise ChurnError(
            f'[value] success_rate = "measured": there are not enough campaign outcomes; {commands.settings("train.toml")} '
            "[uplift] sets their source and the number needed; until then, set success_rate to a number"
        )
    rows = outcome_rows.rows_from_bytes(outcomes, dataset)
    everybody = np.ones(len(rows.kept), dtype=bool)
    overall = _measured(rows, everybody, 0.0, 1.0, log_ratio(rows, everybody)[0])
    return worth.model_copy(update={"evidence": (overall, *by_risk(rows))})


def by_risk(rows: OutcomeRows) -> list[MeasuredRate]:
    """The rates of risk groups, lowest risk first; empty if there are too few customers to form groups."""
    edges = _edges(rows)
    if not len(edges):
        return []
    parts = [(rows.risk > above) & (rows.risk <= up_to) for above, up_to in itertools.pairwise(edges)]
    ratios = shrunk(*np.array([log_ratio(rows, part) for part in parts]).T)
    bounds = [*edges[:-1].tolist(), 1.0]  # the last group stands in for risks above all that were in a campaign
    return [_measured(rows, *one) for one in zip(parts, bounds[:-1], bounds[1:], ratios, strict=True)]


def _edges(rows: OutcomeRows) -> np.ndarray:
    """The risk bounds of the groups, lower bound excluded, upper included; empty if there are too few customers."""
    if np.isnan(rows.risk).any():
        return np.empty(0)
    lowest, highest = np.nextafter(rows.risk.min(), -1), rows.risk.max()
    for count in range(TENTHS, FEWEST_GROUPS - 1, -1):
        inner = np.quantile(rows.risk, np.arange(1, count) / count)
        edges = np.unique([lowest, *inner, highest])  # customers of the same risk stay together
        group, last = np.searchsorted(edges, rows.risk) - 1, len(edges) - 1
        sizes = [np.bincount(group[arm], minlength=last) for arm in (rows.contacted, ~rows.contacted)]
        if last >= FEWEST_GROUPS and np.min(sizes) >= FEWEST:
            return edges
    return np.empty(0)


def _measured(rows: OutcomeRows, among: np.ndarray, above: float, up_to: float, ratio: float) -> MeasuredRate:
    """The rate that campaigns measured for customers ``among``; ``ratio`` is the logarithm to use."""
    rate, low, high = success_rate(rows, among)
    contacted = int((rows.contacted & among).sum())
    return MeasuredRate(
        above=above,
        up_to=up_to,
        contacted=contacted,
        control=int(among.sum()) - contacted,
        measured=rate,
        low=low,
        high=high,
        rate=1 - float(np.exp(ratio)),
    )


def shrunk(values: Sequence[float] | np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Estimates for k >= 4 groups, shrunk towards their common mean as far as their ``variances`` explain the differences.

    Empirical Bayes (Morris 1983, section 5); the variance between groups is that of Paule & Mandel (1982), by statsmodels. An
    imprecise estimate moves almost to the mean; a precise one hardly moves.
    """
    from statsmodels.stats.meta_analysis import combine_effects

    between, count = combine_effects(values, variances, method_re="iterated").tau2, len(values)
    mean = np.average(values, weights=1 / (variances + between))
    return values - (count - 3) / (count - 1) * variances / (variances + between) * (values - mean)


def success_rate(rows: OutcomeRows, among: np.ndarray) -> tuple[float, float, float]:
    """One minus the ratio of the arms' churn ``among`` customers (bool of shape (n,)), with its 95 % interval.

    The score interval (Miettinen & Nurminen 1985), by statsmodels; if nobody or everybody in an arm leaves, it is unbounded, and
    the interval of the logarithm (Katz et al. 1978) is used.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    arms = _churned(rows, among)
    ratio, variance = _log_ratio(arms)
    margin = metrics.Z_95 * np.sqrt(variance)
    low, high = np.exp(ratio - margin), np.exp(ratio + margin)
    if all(0 < churned < size for churned, size in arms):
        low, high = confint_proportions_2indep(*arms[0], *arms[1], method="score", compare="ratio")
    return 1 - float(np.exp(ratio)), 1 - float(high), 1 - float(low)


def log_ratio(rows: OutcomeRows, among: np.ndarray) -> tuple[float, float]:
    """The logarithm of contacted churn over churn when left alone ``among`` customers (bool of shape (n,)), and its variance.

    Half a churner and half a stayer are added, so that small groups never give an infinite ratio (Agresti 2013, section 3.1).
    """
    return _log_ratio(_churned(rows, among))


def _log_ratio(arms: list[tuple[float, float]]) -> tuple[float, float]:
    churned, size = np.array(arms).T + np.array([[0.5], [1.0]])
    contacted, alone = np.log(churned / size)
    return float(contacted - alone), float((1 / churned - 1 / size).sum())


def _churned(rows: OutcomeRows, among: np.ndarray) -> list[tuple[float, float]]:
    """The number who churned and the total, in both arms: contacted, left alone.

    Weighted by the inverse probability of being drawn, and scaled to the effective sample size (Kish 1965).
    """
    arms = []
    for arm, chance in ((rows.contacted & among, rows.share), (~rows.contacted & among, 1 - rows.share)):
        weight = 1 / chance[arm]
        size = float(weight.sum() ** 2 / (weight**2).sum())
        arms.append((size * float(np.average(1 - rows.kept[arm], weights=weight)), size))
    return arms
