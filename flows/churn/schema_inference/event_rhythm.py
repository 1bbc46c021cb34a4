"""Derives suggestions from a log's rhythm: windows no shorter than its gaps, and a horizon after which few come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

HORIZONS = (30, 60, 90, 180)
WINDOWS = (7, 14, 30, 60, 90, 180, 365)
MOST_WINDOWS = 3
FEW_RETURN = 0.2  # share of customers back after a silence of the horizon, up to which silence means gone
DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Horizon:
    """The meaning of a silence of ``days`` days.

    ``churned`` is the share of customers silent for that long after the latest moment at which this is observable, ``back`` the
    share of silences of that length that ended.
    """

    days: int
    churned: float
    back: float


@dataclass(frozen=True)
class Rhythm:
    """The rhythm of a log.

    ``gap`` is the median number of days between a customer's days with events (NaN: nobody has two), ``first`` and ``last`` are
    the log's first and last day, ``horizons`` the meaning of each horizon.
    """

    gap: float
    first: np.datetime64
    last: np.datetime64
    horizons: tuple[Horizon, ...]

    @property
    def span(self) -> int:
        """The number of days that the log covers."""
        return int((self.last - self.first) / DAY)

    @property
    def horizon(self) -> int:
        """The shortest horizon after which few come back, among those for which the log is long enough.

        If there is none, the longest of these.
        """
        able = [one for one in self.horizons if 2.5 * one.days < self.span] or [self.horizons[0]]
        return next((one.days for one in able if one.back <= FEW_RETURN), able[-1].days)

    @property
    def windows(self) -> Sequence[int]:
        """Windows that the log covers and in which a typical customer has an event."""
        able = [
            days for days in WINDOWS if days >= (self.gap if self.gap == self.gap else 30) and 2 * days <= self.span
        ]
        return able[:MOST_WINDOWS] or [max(self.span // 2, 1)]


def rhythm(who: "pd.Series", at: "pd.Series") -> Rhythm:
    """The rhythm of a log of n events, ``who`` and ``at`` each of shape (n,)."""
    import pandas as pd

    named = who.notna().to_numpy()
    who, at = who[named], at[named]
    days = pd.DataFrame({"who": pd.factorize(who)[0], "day": at.to_numpy("datetime64[D]")}).drop_duplicates()
    days = days.sort_values(["who", "day"], ignore_index=True)
    day, same = days["day"].to_numpy("datetime64[D]"), np.diff(days["who"].to_numpy()) == 0
    gaps = (np.diff(day) / DAY)[same]
    tails = (day.max() - day[np.append(~same, True)]) / DAY  # each customer's silence before the end of the log
    horizons = tuple(_horizon(n, days, gaps, tails) for n in HORIZONS)
    return Rhythm(float(np.median(gaps)) if len(gaps) else float("nan"), day.min(), day.max(), horizons)


def _horizon(length: int, days: "pd.DataFrame", gaps: np.ndarray, tails: np.ndarray) -> Horizon:
    day, who = days["day"].to_numpy("datetime64[D]"), days["who"].to_numpy()
    moment = day.max() - length * DAY
    before, after = np.unique(who[day <= moment]), np.unique(who[day > moment])
    churned = float(1 - np.isin(before, after).mean()) if len(before) else float("nan")
    ended, going_on = int((gaps > length).sum()), int((tails > length).sum())
    return Horizon(length, churned, ended / (ended + going_on) if ended + going_on else 0.0)
