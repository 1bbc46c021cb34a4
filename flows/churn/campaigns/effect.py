"""The effect of a campaign: churn in the control group minus churn in the contacted arm, whoever was actually reached.

A positive effect means customers kept. Every estimate is by intention to treat: the assigned arm counts, not whether the
contact arrived.
"""

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """An effect on the churn rate (a share, positive when the contact keeps customers) with its interval."""

    value: float
    low: float
    high: float
    contacted: int
    control: int

    @property
    def kept(self) -> tuple[float, float, float]:
        """Customers kept among those contacted: estimate, low, high."""
        return self.value * self.contacted, self.low * self.contacted, self.high * self.contacted


def difference(
    outcome: np.ndarray, contacted: np.ndarray, stratum: np.ndarray | None = None, level: float = LEVEL
) -> Effect:
    """The difference between the arms' churn rates; ``outcome`` (churned) and ``contacted`` are bool of shape (n,).

    If the arms were drawn within each ``stratum`` (int of shape (n,)), the strata's differences weighted by size, with
    Neyman's variance (Imbens & Rubin 2015, chapter 9); else Newcombe's interval (1998, method 10), by statsmodels.
    An ``outcome`` of numbers gives the difference of means, always with Neyman's variance. Raises ValueError if an arm is empty.
    """
    from scipy.stats import norm
    from statsmodels.stats.proportion import confint_proportions_2indep

    treated, held = outcome[contacted], outcome[~contacted]
    _both_arms(treated, held)
    value, variance = _stratified(outcome, contacted, stratum)
    if outcome.dtype != bool and not variance > 0:
        value, variance = _stratified(outcome, contacted, np.zeros(len(outcome)))
    if variance > 0 or outcome.dtype != bool:
        spread = norm.ppf((1 + level) / 2) * np.sqrt(variance)
        return Effect(value, value - spread, value + spread, len(treated), len(held))
    low, high = confint_proportions_2indep(
        int(held.sum()), len(held), int(treated.sum()), len(treated), method="newcomb", compare="diff", alpha=1 - level
    )
    return Effect(float(held.mean() - treated.mean()), float(low), float(high), len(treated), len(held))


def _stratified(outcome: np.ndarray, contacted: np.ndarray, stratum: np.ndarray | None) -> tuple[float, float]:
    """The estimate and its variance.

    The variance is 0 where strata are uninformative: there are none, one has fewer than two customers in an arm, or all
    outcomes within each are equal.
    """
    if stratum is None:
        return 0.0, 0.0
    group = np.unique(stratum, return_inverse=True)[1]
    arms = (contacted, ~contacted)
    n, total, square = (
        np.array([np.bincount(group[arm], what[arm], minlength=group.max() + 1) for arm in arms])
        for what in (np.ones(len(outcome)), outcome.astype(np.float64), outcome.astype(np.float64) ** 2)
    )
    if n.min() < 2:
        return 0.0, 0.0
    weight, rate = n.sum(axis=0) / len(outcome), total / n
    variance = (weight**2 * (square / n - rate**2) / (n - 1)).sum()
    return float((weight * (rate[1] - rate[0])).sum()), float(variance)


def adjusted(outcome: np.ndarray, contacted: np.ndarray, covariate: np.ndarray, level: float = LEVEL) -> Effect:
    """The difference adjusted for a pre-treatment ``covariate``, such as the model's probability, shape (n,) or (n, k).

    A regression with interactions of the arm and robust (HC2) errors (Lin 2013), which is CUPED (Deng et al. 2013) with one
    slope for each arm. Raises ValueError if an arm is empty.
    """
    import statsmodels.api as sm

    _both_arms(outcome[contacted], outcome[~contacted])
    centred = np.asarray(covariate, dtype=np.float64).reshape(len(outcome), -1)
    centred = centred - centred.mean(axis=0)
    arm = contacted.astype(np.float64)
    design = np.column_stack([np.ones(len(arm)), arm, centred, centred * arm[:, None]])
    fit = sm.OLS(outcome.astype(np.float64), design).fit(cov_type="HC2")
    (low, high), value = -fit.conf_int(1 - level)[1][::-1], -fit.params[1]
    return Effect(float(value), float(low), float(high), int(contacted.sum()), int((~contacted).sum()))


def sequence(
    outcome: np.ndarray, contacted: np.ndarray, covariate: np.ndarray, share: float, planned: int, level: float = LEVEL
) -> Effect:
    """The effect with an anytime-valid interval, which may be looked at as often as one likes.

    With probability ``level`` no look, however many there are, excludes the true effect. The asymptotic confidence sequence of
    Waudby-Smith et al. (2024, Annals of Statistics 52(6), theorem 2.2 and corollary 3.4) over doubly robust scores, tightest
    when ``planned`` customers have their outcome. ``share`` is the probability of being contacted. Raises ValueError if an
    arm is empty.
    """
    _both_arms(outcome[contacted], outcome[~contacted])
    scores = -_doubly_robust(outcome.astype(np.float64), contacted, np.asarray(covariate, dtype=np.float64), share)
    rows, alpha = len(scores), 1 - level
    rho = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / planned
    spread = float(scores.std()) * np.sqrt((rows * rho + 1) / (rows**2 * rho) * np.log((rows * rho + 1) / alpha**2))
    value = float(scores.mean())
    return Effect(value, value - spread, value + spread, int(contacted.sum()), int((~contacted).sum()))


def _doubly_robust(outcome: np.ndarray, contacted: np.ndarray, covariate: np.ndarray, share: float) -> np.ndarray:
    """Scores whose mean is the effect of contact on churn, shape (n,); Robins, Rotnitzky & Zhao (1994)."""
    design = np.column_stack([np.ones(len(outcome)), covariate.reshape(len(outcome), -1)])
    treated, held = (
        design @ np.linalg.lstsq(design[arm], outcome[arm], rcond=None)[0] for arm in (contacted, ~contacted)
    )
    return (
        treated
        - held
        + np.where(contacted, (outcome - treated) / share, 0)
        - np.where(contacted, 0, (outcome - held) / (1 - share))
    )


def smallest_visible(churn: float, contacted: int, control: int, level: float = LEVEL, power: float = 0.8) -> float:
    """The smallest effect on the churn rate that this design finds with probability ``power``; infinite without two arms.

    The normal approximation for two proportions (Cohen 1988, chapter 6), at the expected ``churn`` rate of the control.
    """
    from scipy.stats import norm

    if not contacted or not control:
        return float("inf")
    width = norm.ppf((1 + level) / 2) + norm.ppf(power)
    return float(width * np.sqrt(churn * (1 - churn) * (1 / contacted + 1 / control)))


def _both_arms(contacted: np.ndarray, control: np.ndarray) -> None:
    if not len(contacted) or not len(control):
        raise ValueError(
            f"an effect needs customers in both arms; {len(contacted)} contacted, {len(control)} held back"
        )
