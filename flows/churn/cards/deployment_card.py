"""The card of DeployFlow: the verdict first, then the checks, both versions' latency and a timeline."""

from churn.cards.card_parts import CHURNED, STAYED, Chart, Part, Table
from churn.deployment.rollout import KEPT, Outcome, Plan


def parts(plan: Plan, outcome: Outcome) -> list[Part]:
    """The card's parts, verdict first."""
    before = f" Before it, version {plan.former_version} was served." if plan.former_version else ""
    return [
        f"# Version {plan.model.version}: {outcome.verdict}",
        f"**{outcome.reason}**{before}",
        f"Bento `{plan.bento}`, {plan.model.tags.get('family', '')} on data version `{plan.model.tags['data_version']}`; "
        f"{outcome.seconds:.0f} s from the first new instance to the verdict.",
        "## Checks",
        Table(
            ["check", "passed", "found"],
            [[one.name, "yes" if one.passed else "NO", one.said] for one in outcome.checks],
        ),
        *_latencies(outcome),
        *_shadow(outcome),
        *_timeline(outcome),
    ]


def _latencies(outcome: Outcome) -> list[Part]:
    if not outcome.latencies:
        return []
    rows = [
        [f"version {one.version}" if one.version else "the former one", f"{one.number}", _ms(one.median), _ms(one.p99)]
        for one in outcome.latencies
    ]
    return [
        "## Latency",
        "Single predictions, one after the other, in turns with the version that was served.",
        Table(["instance of", "requests", "median", "99 of 100 within"], rows),
    ]


def _shadow(outcome: Outcome) -> list[Part]:
    shadow = outcome.shadow
    if shadow is None:
        return []
    rows = [
        [one.prediction, f"{one.before:.3f}", f"{one.now:.3f}", "yes" if one.decision else "no"] for one in shadow.first
    ]
    return [
        "## What it would have answered",
        f"{shadow.rows:,} predictions of the last day, answered again and thrown away: {shadow.otherwise:,} would be decided "
        f"otherwise. The probabilities differ by {shadow.median:.3f} (median), at most {shadow.largest:.3f}.",
        *([Table(["prediction", "before", "now", "decision now"], rows)] if rows else []),
    ]


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _timeline(outcome: Outcome) -> list[Part]:
    if not outcome.timeline:
        return []
    points = [{"at": at, "who": who, "what": what} for at, who, what in outcome.timeline]
    colour = STAYED if outcome.verdict == KEPT else CHURNED
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        **{
            "width": 640,
            "data": {"values": points},
            "mark": {"type": "point", "filled": True, "size": 80, "color": colour},
        },
        "encoding": {
            "x": {"field": "at", "type": "quantitative", "title": "seconds since the deployment began"},
            "y": {"field": "who", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 320}},
            "tooltip": [{"field": "what"}, {"field": "at"}],
        },
    }
    return [
        "## Timeline",
        Chart(spec),
        Table(["second", "who", "what"], [[f"{at:.1f}", who, what] for at, who, what in outcome.timeline]),
    ]
