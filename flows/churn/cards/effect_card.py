"""The card of EffectFlow: the verdict in words first, then the evidence."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from churn.campaigns.effect import Effect
from churn.campaigns.outcomes import Experiment
from churn.campaigns.report import HARMED, HELPED, Compared
from churn.cards.card_parts import CHURNED, STAYED, Part, Table, figure
from churn.settings.score import Judgement

GREY = "#7b8794"


def headline(campaign: str, comparisons: Sequence[Compared], trial: Experiment) -> list[str]:
    """One line for each contacted arm: its result so far."""
    if not comparisons:
        return [f"Campaign {campaign}: cannot tell yet; {_awaited(trial) or 'an arm has nobody with an outcome'}"]
    return [f"Campaign {campaign}, {one.arm}: {one.verdict}. {_sentence(one, trial)}" for one in comparisons]


def parts(
    campaign: str,
    comparisons: Sequence[Compared],
    trial: Experiment,
    rule: Judgement,
    kept: Sequence[dict[str, Any]] = (),
) -> list[Part]:
    """The parts of the card; ``kept`` holds all campaigns' reports so far (see ``verdicts.kept_verdicts``)."""
    arms = [part for one in comparisons for part in _arm(one, trial, rule)]
    lines = headline(campaign, comparisons, trial)
    summary = [f"# {lines[0]}", *(f"**{line}**" for line in lines[1:]), *_counts(trial)]
    return [*summary, *arms, *_over_time(campaign, kept, trial), _method(trial, rule)]


def _sentence(compared: Compared, trial: Experiment) -> str:
    number, binary = _shown(trial), trial.lost.dtype == bool
    rates = f"{number(compared.treated)} against {number(compared.control)}"
    sentence = f"{rates} of those held back: {_range(compared.plain, trial)}"
    if binary and compared.verdict in (HELPED, HARMED):
        kept, low, high = compared.plain.kept
        word = "more of them" if trial.good else "customers kept"
        sentence += f"; {kept:,.0f} {word} ({low:,.0f} to {high:,.0f})"
    return sentence + (f"; {compared.when}" if compared.when else "")


def _shown(trial: Experiment) -> Any:
    """The format of an outcome's mean."""
    return (lambda value: f"{100 * value:.2f} %") if trial.lost.dtype == bool else (lambda value: f"{value:,.4g}")


def _range(effect: Effect, trial: Experiment) -> str:
    """An effect with its interval; positive is the intended direction."""
    if trial.lost.dtype == bool:
        return f"{100 * effect.value:+.2f} points ({100 * effect.low:+.2f} to {100 * effect.high:+.2f})"
    return f"{effect.value:+,.4g} ({effect.low:+,.4g} to {effect.high:+,.4g})"


def _awaited(trial: Experiment) -> str:
    return f"{trial.waiting:,} outcomes are awaited, the last on {trial.due}" if trial.waiting else ""


def _counts(trial: Experiment) -> list[Part]:
    rows = [
        [f"with an outcome: {arm}", f"{int((trial.arm == arm).sum()):,}"] for arm in [*trial.treatments, trial.control]
    ]
    rows += [["too early to judge", f"{trial.waiting:,}"]] if trial.waiting else []
    rows += [[f"due, but nobody told the outcome: {arm}", f"{count:,}"] for arm, count in sorted(trial.unknown.items())]
    rows += [["held back, but contacted by another campaign", f"{trial.elsewhere:,}"]] if trial.elsewhere else []
    warning = "Those whose outcome nobody told may differ between the arms: find them before you trust the difference."
    return [Table(["customers", "number"], rows), *([warning] if trial.unknown else [])]


def _arm(compared: Compared, trial: Experiment, rule: Judgement) -> list[Part]:
    level = f"{100 * rule.level:g} %"
    within = " within groups of like risk" if trial.stratum is not None else ""
    rows = [[f"difference{within}, {level} for one look", _range(compared.plain, trial)]]
    if compared.adjusted is not None:
        gained = f"; as {100 * compared.gained:+.0f} % customers would" if compared.gained is not None else ""
        rows.append([f"adjusted by what was known before{gained}", _range(compared.adjusted, trial)])
    rows.append([f"{level} however often one looks", _range(compared.anytime, trial)])
    return [
        f"## {compared.arm}",
        _forest(compared, trial),
        Table(["estimate", "effect"], rows),
        *_money(compared, trial),
        *_reached(compared),
        *_tenths(compared, trial),
    ]


def _forest(compared: Compared, trial: Experiment) -> Any:
    """The three intervals around no effect."""
    scale = 100 if trial.lost.dtype == bool else 1
    named = [("one look", compared.plain), ("adjusted", compared.adjusted), ("any number of looks", compared.anytime)]
    shown = [(name, effect) for name, effect in named if effect is not None][::-1]
    picture, axes = figure(7, 0.5 + 0.35 * len(shown))
    axis = axes[0, 0]
    for row, (_, effect) in enumerate(shown):
        colour = STAYED if effect.low > 0 else CHURNED if effect.high < 0 else GREY
        axis.plot([scale * effect.low, scale * effect.high], [row, row], color=colour, linewidth=2)
        axis.plot(scale * effect.value, row, "o", color=colour)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(shown)), [name for name, _ in shown])
    axis.set_ylim(-0.6, len(shown) - 0.4)
    axis.set_xlabel("effect, in points: right of 0 is what the campaign is for" if scale == 100 else "effect")
    return picture


def _over_time(campaign: str, kept: Sequence[dict[str, Any]], trial: Experiment) -> list[Part]:
    """The effect by report date, for this campaign and the others with the same kind of outcome."""
    binary = trial.lost.dtype == bool
    scale = 100 if binary else 1
    series: dict[tuple[str, str], list[tuple[datetime, float, float, float]]] = {}
    for name, look in [(one["campaign"], look) for one in kept for look in one["looks"]]:
        for one in look["effects"]:
            if (one["kept"] is not None) == binary:
                value, low, high = (scale * one[key] for key in ("effect", "low", "high"))
                point = (datetime.fromisoformat(look["day"]), value, value - low, high - value)
                series.setdefault((name, one["arm"]), []).append(point)
    days = sorted({point[0] for points in series.values() for point in points})
    if len(days) < 2:
        return []
    picture, axes = figure(7, 3)
    axis = axes[0, 0]
    for (name, arm), points in sorted(series.items(), key=lambda one: one[0][0] == campaign):
        when, values, below, above = zip(*points, strict=True)
        style: dict[str, Any] = {"fmt": "o-"} if name == campaign else {"fmt": "o:", "color": GREY, "alpha": 0.6}
        axis.errorbar(when, values, yerr=(below, above), capsize=2, label=f"{name}, {arm}", **style)
    axis.axhline(0, color="black", linewidth=0.8)
    marked = days[:1]
    for day in days:
        marked += [day] if day - marked[-1] >= (days[-1] - days[0]) / 7 else []
    axis.set_xticks(marked, [f"{day:%Y-%m-%d}" for day in marked])
    axis.set_ylabel("effect, in points" if binary else "effect")
    axis.legend(frameon=False)
    caption = "Above 0 is what a campaign is for; the intervals are those for any number of looks."
    return ["## Effect by date of report", picture, caption]


def _money(compared: Compared, trial: Experiment) -> list[Part]:
    if trial.lost.dtype != bool:
        return []
    kept, low, high = compared.plain.kept
    rows = [["kept" if not trial.good else "more with the outcome", f"{kept:,.1f}", f"{low:,.1f}", f"{high:,.1f}"]]
    rows.append(["cost of the contacts", f"{compared.cost:,.2f}", "", ""])
    if compared.per_kept is not None and compared.cost:
        each, least, most = compared.per_kept
        rows.append(
            ["cost of each", f"{each:,.2f}", f"{least:,.2f}", f"{most:,.2f}" if math.isfinite(most) else "no limit"]
        )
    if compared.money is not None:
        rows.append(["profit", *(f"{value:,.2f}" for value in compared.money)])
    return [Table(["customers and money", "estimate", "from", "to"], rows)]


def _reached(compared: Compared) -> list[Part]:
    if compared.reached is None or compared.leaked is None:
        return []
    reached, leaked = f"{100 * compared.reached:.1f} %", f"{100 * compared.leaked:.1f} %"
    sentence = f"The contact reached {reached} of those to be contacted and {leaked} of those held back."
    if compared.reached > compared.leaked:
        per_reached = 100 * compared.plain.value / (compared.reached - compared.leaked)
        sentence += f" Per customer reached the effect is {per_reached:+.2f} points (Wald)."
    return [sentence]


def _tenths(compared: Compared, trial: Experiment) -> list[Part]:
    shown: list[Part] = []
    for title, what, groups in (
        ("risk", "probability of churn", compared.groups),
        ("uplift", "uplift, as the model saw it", compared.by_uplift),
    ):
        rows = [
            [
                f"{100 * g.low:.1f} to {100 * g.high:.1f} %",
                f"{g.effect.contacted:,}",
                f"{g.effect.control:,}",
                _range(g.effect, trial),
            ]
            for g in groups
        ]
        shown += [f"### By tenth of {title}", Table([what, "contacted", "held back", "effect"], rows)] if rows else []
    return [*shown, "Ten looks: one of them may stand out by chance."] if shown else []


def _method(trial: Experiment, rule: Judgement) -> str:
    horizon = "" if trial.risk is None else f" Outcomes count {rule.horizon_days:g} days after the assignment."
    return (
        "Everybody counts in the arm that was drawn, reached or not (intention to treat). While outcomes are awaited the verdict "
        f"rests on the interval for any number of looks, then on that for one.{horizon}"
    )
