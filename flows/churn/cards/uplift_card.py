"""The uplift model's part of TrainFlow's card: its verdict, its rivals, and the customers kept within the budget."""

from churn.cards.card_parts import Part, Table
from churn.registry.gate import Gate
from churn.settings.train import Worth
from churn.training import expected_profit
from churn.uplift.holdout import UpliftModel
from churn.uplift.ranking_metrics import Interval


def parts(model: UpliftModel | None, verdict: Gate | None) -> list[Part]:
    """The parts of the card; empty if no uplift model was trained."""
    if model is None or verdict is None:
        return []
    board = [
        [str(place), one.family.name, _between(one.qini), _between(one.auuc), f"{one.seconds:.0f} s"]
        for place, one in enumerate(model.board, start=1)
    ]
    return [
        f"# Uplift: {model.winner.family.name}",
        f"**{verdict.summary}** Outcomes of {model.rows:,} customers of randomised campaigns; "
        f"{model.held_out:,} of them held out.",
        Table(["verdict", "evidence"], [["ok" if v.passed else "FAILED", str(v)] for v in verdict.verdicts]),
        "Cross-fitted on the other customers, best Qini coefficient first (a random order has 0, a perfect one 1):",
        Table(["", "learner and family", "Qini, 95 %", "AUUC, 95 %", "search"], board),
        "On those held out, against ranking by the risk of churn; bootstrapped, paired:",
        Table(["", "by uplift", "by risk", "ahead"], [_scores(model, name) for name in ("qini", "auuc")]),
        f"Contacting whoever's uplift is {model.threshold:.4f} or more. Who would stay, by inverse propensity weighting "
        "and doubly robust (Dudik, Langford & Li 2011):",
        Table(
            ["contacted", "customers", "stay, weighted", "stay, doubly robust"],
            [[p.name, f"{p.contacted:,}", _percent(p.weighted), _percent(p.robust)] for p in model.policies],
        ),
    ]


def _scores(model: UpliftModel, name: str) -> list[str]:
    return [name, *(_between(model.scores[f"{name}{what}"]) for what in ("", "_by_risk", "_over_risk"))]


def _between(one: Interval) -> str:
    return f"{one.value:.4f} ({one.low:+.4f} to {one.high:+.4f})"


def _percent(one: Interval) -> str:
    return f"{100 * one.value:.2f} % ({100 * one.low:.2f} to {100 * one.high:.2f})"


def measured_rates(worth: Worth | None) -> list[Part]:
    """The success rates measured by campaigns, and the risk above which a contact pays."""
    if worth is None or not worth.evidence:
        return []
    rows = []
    for one, limit in zip(worth.evidence, expected_profit.pays_from(worth), strict=True):
        risk = "all" if one is worth.evidence[0] else f"{one.above:.3f} to {one.up_to:.3f}"
        sizes = f"{one.contacted:,} / {one.control:,}"
        rates = [
            f"{rate:.1%}" if rate >= -1 else "below -100 %" for rate in (one.measured, one.low, one.high, one.rate)
        ]
        rows.append([risk, sizes, *rates, "never" if limit >= 1 else f"above {limit:.3f}"])
    introduction = (
        "Success rate as campaigns measured it: of those who would churn, the share that a contact keeps; below 0 contacts drive "
        "customers away. What counts is the rate measured at a customer's own risk, drawn towards the others' as far as chance "
        "may explain how they differ: the point, also where the interval includes 0; where it is not above 0 no contact pays. "
        + (
            "That of all counts below the lowest risk that was in a campaign."
            if len(rows) > 1
            else "That of all counts: there are too few outcomes with a known risk to tell groups apart."
        )
    )
    columns = ["risk", "contacted / held back", "measured", "95 % from", "to", "counts", "a contact pays"]
    return [introduction, Table(columns, rows)]
