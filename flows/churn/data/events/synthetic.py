"""Contracts, purchases and tickets of synthetic customers with a known daily hazard of leaving.

The hazard depends on past events.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("contracts", "purchases", "tickets")
START = datetime(2024, 1, 1)
DAYS = 540
BASE, PER_TICKET, SILENT = (
    -7.4,
    1.0,
    1.5,
)  # of the logit: baseline, per ticket in MEMORY days, after SILENCE days without a purchase
MEMORY, SILENCE = 30, 45
RETURN = 0.004  # daily probability that a customer who left comes back
LATE, TWICE = 0.05, 0.02  # shares of rows that become known days later, and that are duplicated


@dataclass(frozen=True)
class SyntheticLog:
    """The tables, and the true hazard of each customer on each day (float64, shape (customers, DAYS)).

    NaN while not a customer.
    """

    tables: "dict[str, pd.DataFrame]"
    hazard: np.ndarray


def generate(customers: int, seed: int, signal: bool = True) -> SyntheticLog:
    """Generate the log of ``customers`` customers from START on; the same arguments give the same log.

    Without ``signal`` the hazard depends on nothing.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    rate, trouble = rng.gamma(1.0, 0.04, customers), rng.gamma(0.4, 0.06, customers)  # purchases and tickets a day
    joins = rng.integers(0, DAYS * 2 // 3, customers) * (rng.random(customers) < 0.6)
    active, since, last = np.zeros(customers, dtype=bool), np.full(customers, -1), np.full(customers, -10_000)
    hazard = np.full((customers, DAYS), np.nan)
    tickets = np.zeros((customers, DAYS), dtype=np.int8)
    rows: dict[str, list[tuple[np.ndarray, int]]] = {"purchases": [], "tickets": []}
    contracts: list[tuple[int, int, int]] = []
    for day in range(DAYS):
        begin = (joins == day) | (~active & (since >= 0) & (rng.random(customers) < RETURN))
        active |= begin
        since[begin], last[begin] = day, day
        bought = active & (rng.random(customers) < rate)
        complained = active & (rng.random(customers) < trouble)
        last[bought], tickets[complained, day] = day, 1
        for name, who in (("purchases", bought | begin), ("tickets", complained)):
            rows[name].append((np.flatnonzero(who), day))
        recent = tickets[:, max(0, day - MEMORY + 1) : day + 1].sum(axis=1)
        logit = BASE + (PER_TICKET * recent + SILENT * (day - last >= SILENCE) if signal else 0.0)
        chance = 1 / (1 + np.exp(-logit))
        hazard[active, day] = np.broadcast_to(chance, customers)[active]
        leaves = active & (rng.random(customers) < chance)
        contracts += [(int(who), int(since[who]), day + 1) for who in np.flatnonzero(leaves)]
        active &= ~leaves
    contracts += [(int(who), int(since[who]), -1) for who in np.flatnonzero(active)]
    tables = {name: _events(parts, rng, name) for name, parts in rows.items()}
    begun = pd.DataFrame(contracts, columns=["customer", "begin", "end"])
    tables["contracts"] = pd.DataFrame(
        {
            "customer_id": _ids(begun["customer"]),
            "start": _moment(begun["begin"]),
            "end": _moment(begun["end"].where(begun["end"] > 0)),
        }
    )
    return SyntheticLog(tables, hazard)


def synthetic_table(name: str, customers: int, seed: int) -> "pd.DataFrame":
    """One of the TABLES.

    Raises:
        ChurnError: There is no table ``name``.
    """
    if name not in TABLES:
        raise ChurnError(
            f"table '{name}': kind = \"synthetic\" is for {', '.join(TABLES)} only; name a file, a query or an address"
        )
    return generate(customers, seed).tables[name]


def _events(parts: list[tuple[np.ndarray, int]], rng: np.random.Generator, name: str) -> "pd.DataFrame":
    import pandas as pd

    who, day = np.concatenate([w for w, _ in parts]), np.concatenate([np.full(len(w), d) for w, d in parts])
    minutes = rng.integers(0, 24 * 60, len(who))
    at = _moment(pd.Series(day)) + pd.to_timedelta(minutes, unit="min")
    late = pd.to_timedelta(np.where(rng.random(len(who)) < LATE, rng.integers(1, 20, len(who)), 0), unit="D")
    frame = pd.DataFrame({"customer_id": _ids(pd.Series(who)), "at": at, "loaded": at + late})
    if name == "purchases":
        frame["amount"] = np.round(rng.gamma(2.0, 15.0, len(who)) + 1, 2)
        frame["channel"] = rng.choice(["shop", "web", "app"], len(who), p=[0.3, 0.5, 0.2])
    else:
        frame["topic"] = rng.choice(["billing", "quality", "delivery"], len(who))
    again = rng.random(len(who)) < TWICE
    return pd.concat([frame, frame[again]], ignore_index=True).sort_values(["at", "customer_id"], ignore_index=True)


def _ids(numbers: "pd.Series") -> "pd.Series":
    return numbers.astype(int).map("{:05d}".format).astype("str")


def _moment(days: "pd.Series") -> "pd.Series":
    import pandas as pd

    return (pd.Timestamp(START) + pd.to_timedelta(days, unit="D")).astype("datetime64[us]")
