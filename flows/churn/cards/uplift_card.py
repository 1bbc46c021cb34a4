"""The uplift model's part of TrainFlow's card: its verdict, its rivals, and what the policy under the budget keeps."""

from churn.cards.card_parts import Part, Table
from churn.registry.gate import Gate
from churn.uplift.holdout import UpliftModel
from churn.uplift.ranking_metrics import Interval


def parts(model: UpliftModel | None, verdict: Gate | None) -> list[Part]:
    """The parts of the card; none where no model of uplift was trained."""
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
