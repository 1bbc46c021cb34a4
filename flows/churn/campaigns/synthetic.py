"""Campaigns with a known effect: sure things, persuadables, lost causes and do-not-disturbs (Radcliffe 2007)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# For each kind: the probability of churn when left alone, and when contacted.
KINDS = {
    "sure thing": (0.05, 0.05),
    "persuadable": (0.55, 0.25),
    "lost cause": (0.9, 0.88),
    "do not disturb": (0.15, 0.35),
}
SHARES = (0.45, 0.2, 0.2, 0.15)


@dataclass(frozen=True)
class Truth:
    """n customers with both potential outcomes, which are unknowable for real ones.

    ``table`` has the columns customer_id, tenure, spend, tickets, logins; ``alone`` and ``contacted`` are the probabilities of
    churn, shape (n,), ``churned_alone`` and ``churned_contacted`` the potential outcomes, bool of shape (n,).
    """

    table: "pd.DataFrame"
    alone: np.ndarray
    contacted: np.ndarray
    churned_alone: np.ndarray
    churned_contacted: np.ndarray

    @property
    def uplift(self) -> np.ndarray:
        """By how much a contact lowers each customer's probability of churn, shape (n,)."""
        return self.alone - self.contacted

    def outcome(self, contacted: np.ndarray) -> np.ndarray:
        """Who churns if exactly the customers in ``contacted`` (bool of shape (n,)) are contacted."""
        return np.where(contacted, self.churned_contacted, self.churned_alone)


def population(rows: int, seed: int, effect: float = 1.0) -> Truth:
    """``rows`` customers of four kinds, which their columns reveal in part; ``effect`` scales the effect of a contact."""
    import pandas as pd

    draw = np.random.default_rng(seed)
    kind = draw.choice(len(KINDS), rows, p=SHARES)
    alone, contacted = (np.array([chances[i] for chances in KINDS.values()])[kind] for i in (0, 1))
    table = pd.DataFrame(
        {
            "customer_id": [f"C{row:07d}" for row in range(rows)],
            "tenure": np.clip(draw.normal(np.array([48, 24, 10, 36])[kind], 8), 1, 72).round(1),
            "spend": np.clip(draw.normal(np.array([40, 70, 55, 60])[kind], 12), 5, 200).round(2),
            "tickets": draw.poisson(np.array([0.5, 2.5, 5.0, 0.7])[kind]),
            "logins": draw.poisson(np.array([12, 8, 1.5, 20])[kind]),
        }
    )
    contacted = alone + effect * (contacted - alone)
    luck = draw.random(rows)  # one draw for both outcomes: a contact without effect changes no outcome
    return Truth(table, alone, contacted, luck < alone, luck < contacted)
