"""The card of CampaignFlow: sizes, costs, what the design can show, and who was left out."""

from churn.campaigns.campaign_log import CONTACT
from churn.campaigns.planning import CampaignPlan
from churn.cards.card_parts import CHURNED, STAYED, Chart, Part, Table
from churn.settings.score import CampaignConfig

GROUPS = 10


def parts(plan: CampaignPlan, rule: CampaignConfig, places: tuple[str, ...]) -> list[Part]:
    """The parts of the card; empty ``places`` (the lists' addresses) mean a dry run."""
    written = (
        f"Contacts: `{places[0]}`. Held back, never to be exported with them: `{places[1]}`."
        if places
        else "**Dry run: nothing was written, nobody is assigned yet.**"
    )
    return [
        f"# {plan}",
        written,
        f"Ranked by {rule.targeting.ranking.replace('_', ' ')}; {100 * rule.targeting.control:g} % of the chosen are held "
        "back, drawn within groups of like risk. Leave them alone: without them nobody can say what the contacts brought.",
        "## Arms",
        _arms(plan),
        *(
            [Table(["left out", "customers"], [[why, f"{n:,}"] for why, n in plan.left_out.items()])]
            if plan.left_out
            else []
        ),
        *([_spread(plan)] if len(plan.members) else []),
    ]


def _arms(plan: CampaignPlan) -> Table:
    rows = []
    for (arm, offer), members in plan.members.groupby(["arm", "offer"], sort=True):
        name = f"{arm}: {offer}" if arm == CONTACT else "held back"
        rows.append(
            [name, f"{len(members):,}", f"{members.cost.sum():,.2f}", f"{100 * members.probability.mean():.1f} %"]
        )
    return Table(["arm", "customers", "cost", "mean risk"], rows)


def _spread(plan: CampaignPlan) -> Chart:
    """The distribution of probabilities in both arms, which should look alike."""
    tenth = (plan.members.probability * GROUPS).astype(int).clip(upper=GROUPS - 1)
    contacted = plan.members.arm == CONTACT
    points = [
        {"risk": f"{number / GROUPS:.1f}", "arm": name, "share": float((tenth[own] == number).mean())}
        for name, own in (("contacted", contacted), ("held back", ~contacted))
        if own.any()
        for number in range(GROUPS)
    ]
    colour = {"domain": ["contacted", "held back"], "range": [CHURNED, STAYED]}
    return Chart(
        {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            **{"width": 640, "height": 180, "data": {"values": points}, "mark": "bar"},
            "encoding": {
                "x": {"field": "risk", "type": "ordinal", "title": "probability of churn, from"},
                "xOffset": {"field": "arm"},
                "y": {"field": "share", "type": "quantitative", "title": "share of the arm", "axis": {"format": "%"}},
                "color": {"field": "arm", "type": "nominal", "scale": colour, "title": None},
            },
        }
    )
