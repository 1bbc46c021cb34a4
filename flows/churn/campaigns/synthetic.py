"""Campaigns whose effect is known: sure things, persuadables, lost causes and do-not-disturbs (Radcliffe 2007)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# Of each kind: the chance to churn when left alone, and when contacted.
KINDS = {
    "sure thing": (0.05, 0.05),
    "persuadable": (0.55, 0.25),
    "lost cause": (0.9, 0.88),
    "do not disturb": (0.15, 0.35),
}
SHARES = (0.45, 0.2, 0.2, 0.15)


@dataclass(frozen=True)
class Truth:
    """n customers and what nobody can know of real ones.

    ``table`` has the columns customer_id, tenure, spend, tickets, logins; ``alone`` and ``contacted`` are both chances to churn,
    shape (n,), ``churned_alone`` and ``churned_contacted`` both outcomes, bool of shape (n,).
    """

    table: "pd.DataFrame"
    alone: np.ndarray
    contacted: np.ndarray
    churned_alone: np.ndarray
    churned_contacted: np.ndarray

    @property
    def uplift(self) -> np.ndarray:
        """By how much a contact lowers each customer's chance to churn, shape (n,)."""
        return self.alone - self.contacted

    def outcome(self, contacted: np.ndarray) -> np.ndarray:
        """Who churns when those ``contacted`` (bool of shape (n,)) are contacted and no others."""
        return np.where(contacted, self.churned_contacted, self.churned_alone)


def population(rows: int, seed: int, effect: float = 1.0) -> Truth:
    """``rows`` customers of four kinds that their columns give away in part; ``effect`` scales what a contact does."""
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
    luck = draw.random(rows)  # one draw for both outcomes: a contact that changes nothing changes nobody
    return Truth(table, alone, contacted, luck < alone, luck < contacted)
