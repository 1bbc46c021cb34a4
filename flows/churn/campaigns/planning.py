"""A campaign's plan: who is chosen within budget and policy, in which arm, with which offer, and the design's power."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn.campaigns import assignment, effect
from churn.campaigns.campaign_log import CONTACT, CONTROL
from churn.errors import ChurnError
from churn.settings.score import CampaignConfig

if TYPE_CHECKING:
    import pandas as pd

LEAST_HELD = 5  # customers in a stratum's smaller arm, if the campaign is large enough
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class CampaignPlan:
    """Who is in the campaign, in which arm, with which offer.

    ``members`` has one row for each customer, in ranking order, with id, arm, offer, cost, probability, share, stratum and
    ``new`` (not in the log yet). ``left_out`` counts, by reason, customers not chosen. ``scored`` has all customers of the
    source, with their columns and the models' predictions (None: they are not written).
    """

    campaign: str
    members: "pd.DataFrame"
    left_out: dict[str, int]
    scored: "pd.DataFrame | None" = None

    @property
    def contacted(self) -> int:
        """The number of customers to contact."""
        return int((self.members.arm == CONTACT).sum())

    @property
    def held(self) -> int:
        """The number of customers held back."""
        return len(self.members) - self.contacted

    @property
    def cost(self) -> float:
        """The total cost of all contacts."""
        return float(self.members.cost.sum())

    @property
    def visible(self) -> float:
        """The smallest effect on the churn rate that the report will probably detect; infinite if an arm is empty."""
        churn = float(self.members.probability.mean()) if len(self.members) else 0.0
        return effect.smallest_visible(churn, self.contacted, self.held)

    def __str__(self) -> str:
        """Sizes, costs and power in one line."""
        seen = f"{100 * self.visible:.1f} points of churn" if np.isfinite(self.visible) else "none: an arm is empty"
        return (
            f"Campaign {self.campaign}: {self.contacted:,} contacts for {self.cost:,.2f}, {self.held:,} held back; "
            f"smallest effect that it can show (4 times of 5): {seen}"
        )


def require_campaign_name(name: str) -> None:
    """Raise ChurnError for an invalid campaign name; names become part of file names."""
    if not _NAME.fullmatch(name):
        raise ChurnError(f"{name!r} cannot be a campaign's name: lowercase letters, digits, _ and -, a letter first")


def draft(candidates: "pd.DataFrame", assigned: "pd.DataFrame", campaign: str, rule: CampaignConfig) -> CampaignPlan:
    """The plan for ``candidates``, whatever their order.

    They are n customers with columns id, probability, worth (the ranking score), suppressed, recent (bool) and group (text).
    ``assigned`` are the campaign's rows in the log, with ``id``: they keep what is logged, and count towards the budget.
    """
    import pandas as pd

    mine = candidates.id.isin(assigned.id).to_numpy()
    columns = candidates.drop(columns=[name for name in assigned if name != "id"], errors="ignore")
    earlier = columns[mine].merge(assigned, on="id").assign(new=False)
    order, left_out = _chosen(candidates[~mine].reset_index(drop=True), earlier, assigned, campaign, rule)
    fresh = _assigned(order, campaign, rule).assign(new=True)
    members = pd.concat([part for part in (earlier, fresh) if len(part)] or [fresh], ignore_index=True)
    rank = np.lexsort((assignment.draws(campaign, "rank", members.id.tolist()), -members.worth.to_numpy()))
    return CampaignPlan(campaign, members.iloc[rank].reset_index(drop=True), left_out)


def most_contacts(rule: CampaignConfig) -> int:
    """The contacts that the budget allows; with several offers, whichever of them are drawn."""
    limits = [] if rule.targeting.contacts is None else [rule.targeting.contacts]
    if rule.targeting.money is not None:
        costs, shares = (np.array([getattr(offer, name) for offer in rule.offer]) for name in ("cost", "share"))
        spare = costs.sum() if len(costs) > 1 else 0.0
        limits.append(max(0, int((rule.targeting.money - spare) / np.average(costs, weights=shares) + 1e-9)))
    return min(limits)


def _chosen(
    candidates: "pd.DataFrame", earlier: "pd.DataFrame", assigned: "pd.DataFrame", campaign: str, rule: CampaignConfig
) -> "tuple[pd.DataFrame, dict[str, int]]":
    """The customers to assign, in ranking order, and the number left out for each reason."""
    left_out = {}
    pays = rule.targeting.ranking == "probability" or candidates.worth > 0
    for reason, out in (
        ("on the suppression list", candidates.suppressed),
        (f"contacted in the last {rule.policy.days_between:g} days", candidates.recent & ~candidates.suppressed),
        ("not worth a contact", ~(candidates.suppressed | candidates.recent | pays)),
    ):
        left_out[reason] = int(out.sum())
    eligible = candidates[~(candidates.suppressed | candidates.recent) & pays]
    tie = assignment.draws(campaign, "rank", eligible.id.tolist())  # not row order, which may change
    eligible = eligible.iloc[np.lexsort((tie, -eligible.worth.to_numpy()))]
    share, within = rule.targeting.control, np.ones(len(eligible), dtype=bool)
    for group, most in rule.policy.quota.items():
        same = (eligible.group == group).to_numpy()
        already = earlier[earlier.group == group]
        # Arms are rounded over all groups together: ask for half a customer less, so that no quota is exceeded.
        within &= ~same | (
            np.cumsum(same) <= _room(most - 0.5, len(already), int((already.arm == CONTACT).sum()), share)
        )
    left_out["beyond the quota of their group"] = int((~within).sum())
    room = _room(most_contacts(rule), len(assigned), int((assigned.arm == CONTACT).sum()), share)
    left_out["beyond the budget"] = max(0, int(within.sum()) - room)
    return eligible[within].head(room), {reason: count for reason, count in left_out.items() if count}


def _room(most: float, members: int, contacts: int, control: float) -> int:
    """How many more may be chosen for ``most`` contacts in total, if the share ``control`` of them is held back."""
    total, left = (int((most - used) / (1 - control) + 1e-9) for used in (0, contacts))
    return max(0, min(total - members, left))


def _assigned(chosen: "pd.DataFrame", campaign: str, rule: CampaignConfig) -> "pd.DataFrame":
    """The chosen with arm, offer, cost, share and stratum."""
    ids, target = chosen.id.tolist(), rule.targeting
    count = int(len(chosen) * min(target.control, 1 - target.control)) // LEAST_HELD
    tie = assignment.draws(f"{campaign}\0stratum", target.salt, ids)
    risk = assignment.strata(chosen.probability.to_numpy(), tie, min(max(count, 1), assignment.STRATA))
    blocks = {group: number for number, group in enumerate(sorted(rule.policy.quota), 1)}
    stratum = risk + assignment.STRATA * chosen.group.map(blocks).fillna(0).to_numpy(dtype=np.int64)
    held = assignment.control(assignment.draws(campaign, target.salt, ids), stratum, target.control)
    offer = _offers(assignment.draws(f"{campaign}\0offer", target.salt, ids), stratum, held, rule)
    cost = np.array([*(one.cost for one in rule.offer), 0.0])[offer]
    names = np.array([*(one.name for one in rule.offer), ""], dtype=object)[offer]
    arm = np.where(held, CONTROL, CONTACT)
    return chosen.assign(arm=arm, offer=names, cost=cost, share=target.control, stratum=stratum)


def _offers(draw: np.ndarray, stratum: np.ndarray, held: np.ndarray, rule: CampaignConfig) -> np.ndarray:
    """The index of each customer's offer, drawn in proportion to the shares in each stratum; -1 if held back."""
    assigned, free = np.full(len(draw), -1), ~held
    shares: Sequence[float] = [offer.share for offer in rule.offer]
    for number, share in enumerate(shares):
        rows = np.flatnonzero(free)
        mine = rows[assignment.control(draw[rows], stratum[rows], share / sum(shares[number:]))]
        assigned[mine], free[mine] = number, False
    return assigned
