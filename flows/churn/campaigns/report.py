"""The results of a campaign: each arm against the control, in numbers with intervals and in words."""

import math
from dataclasses import dataclass

import numpy as np
from churn.campaigns import assignment, effect
from churn.campaigns.effect import Effect
from churn.campaigns.outcomes import Experiment
from churn.settings.score import Judgement
from churn.training import metrics

HELPED, HARMED, OPEN = "helped", "harmed", "cannot tell yet"
POWER = 2.8 / metrics.Z_95  # times the interval's half width: the effect that is detected 4 times out of 5
FEWEST = 10  # customers in each arm of a group, below which it is not reported


@dataclass(frozen=True)
class Group:
    """The effect in one tenth of risk or of uplift; ``low`` and ``high`` are its smallest and largest value."""

    low: float
    high: float
    effect: Effect


@dataclass(frozen=True)
class Compared:
    """An arm against the control.

    ``treated`` and ``control`` are the mean outcomes; ``plain`` is the effect with the interval for a single look, ``adjusted``
    the effect adjusted for covariates (None: there are none), ``anytime`` the effect with the interval for any number of looks.
    ``gained`` is the precision gained by the adjustment over the unstratified difference, as a relative increase in the number
    of customers (0.1: a tenth). ``money`` is (profit, low, high), or None without a margin. ``reached`` and ``leaked`` are the
    shares of those contacted and of those held back whom the contact reached (None: unknown).
    """

    arm: str
    treated: float
    control: float
    plain: Effect
    adjusted: Effect | None
    gained: float | None
    anytime: Effect
    groups: tuple[Group, ...]
    by_uplift: tuple[Group, ...]
    verdict: str
    when: str
    cost: float
    money: tuple[float, float, float] | None
    reached: float | None
    leaked: float | None

    @property
    def per_kept(self) -> tuple[float, float, float] | None:
        """The cost per kept customer: estimate, low, high (infinite if possibly nobody was kept); None if nobody was."""
        kept, low, high = self.plain.kept
        if kept <= 0:
            return None
        return self.cost / kept, self.cost / high, self.cost / low if low > 0 else math.inf


def compare_arms(trial: Experiment, rule: Judgement) -> tuple[Compared, ...]:
    """Each contacted arm against the control; empty while an arm has no outcomes."""
    return tuple(_compared(trial, arm, rule) for arm in trial.treatments) if (trial.arm == trial.control).any() else ()


def _compared(trial: Experiment, arm: str, rule: Judgement) -> Compared:
    rows = np.isin(trial.arm, (arm, trial.control))
    lost, contacted = trial.lost[rows], trial.arm[rows] == arm
    stratum, covariates, risk, uplift, delivered = (
        None if values is None else values[rows]
        for values in (trial.stratum, trial.covariates, trial.risk, trial.uplift, trial.delivered)
    )
    plain = effect.difference(lost, contacted, stratum, rule.level)
    least = min(contacted.sum(), (~contacted).sum())
    usable = covariates is not None and least > 2 * (covariates.shape[1] + 1)
    adjusted = effect.adjusted(lost, contacted, covariates, rule.level) if covariates is not None and usable else None
    planned = round(len(lost) * (1 + trial.outstanding / max(len(trial.arm), 1)))
    covariate = covariates if covariates is not None and usable else np.zeros((len(lost), 0))
    anytime = effect.sequence(lost, contacted, covariate, float(contacted.mean()), planned, rule.level)
    verdict, when = _judge(plain, anytime, trial)
    sign = -1.0 if trial.good and lost.dtype != bool else 1.0
    means = [
        float((~part).mean()) if trial.good and lost.dtype == bool else sign * float(part.mean())
        for part in (lost[contacted], lost[~contacted])
    ]
    cost = float(trial.cost[rows][contacted].sum())
    return Compared(
        arm,
        means[0],
        means[1],
        plain,
        adjusted,
        None if adjusted is None else _gain(effect.difference(lost, contacted, level=rule.level), adjusted),
        anytime,
        _groups(lost, contacted, risk, rule),
        _groups(lost, contacted, uplift, rule),
        verdict,
        when,
        cost,
        None if rule.margin is None else tuple(rule.margin * kept - cost for kept in plain.kept),  # type: ignore[arg-type]
        None if delivered is None else float(delivered[contacted].mean()),
        None if delivered is None else float(delivered[~contacted].mean()),
    )


def _gain(simple: Effect, adjusted: Effect) -> float | None:
    width = adjusted.high - adjusted.low
    return ((simple.high - simple.low) / width) ** 2 - 1 if width > 0 else None


def _judge(plain: Effect, anytime: Effect, trial: Experiment) -> tuple[str, str]:
    """The verdict, and when it could change.

    While outcomes are outstanding, the report may be read every day, so the interval for any number of looks decides; once all
    are known, the interval for a single look does.
    """
    decides = anytime if trial.outstanding else plain
    if decides.low > 0 or decides.high < 0:
        return (HELPED if decides.low > 0 else HARMED), ""
    if trial.outstanding:
        until = f", the last on {trial.due}" if trial.due else ", all of them due"
        return OPEN, f"{trial.outstanding:,} outcomes are awaited{until}"
    half, rows = (plain.high - plain.low) / 2, plain.contacted + plain.control
    if not plain.value:
        return OPEN, "the arms are alike: no number of customers would show a difference of nothing"
    needed = math.ceil(rows * (POWER * half / abs(plain.value)) ** 2)
    return (
        OPEN,
        f"an effect as large as the one measured shows in a campaign of about {needed:,} customers, {rows:,} were in this one",
    )


def _groups(lost: np.ndarray, contacted: np.ndarray, risk: np.ndarray | None, rule: Judgement) -> tuple[Group, ...]:
    if risk is None:
        return ()
    tenth, groups = assignment.strata(risk, np.arange(len(risk))), []
    for number in np.unique(tenth):
        rows = tenth == number
        if min((contacted & rows).sum(), (~contacted & rows).sum()) >= FEWEST:
            difference = effect.difference(lost[rows], contacted[rows], level=rule.level)
            groups.append(Group(float(risk[rows].min()), float(risk[rows].max()), difference))
    return tuple(groups)
