"""What the rhythm of a log suggests: windows no shorter than its gaps, and a horizon after which few come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

HORIZONS = (30, 60, 90, 180)
WINDOWS = (7, 14, 30, 60, 90, 180, 365)
MOST_WINDOWS = 3
FEW_RETURN = 0.2  # a share of customers who come back after a silence of the horizon, small enough to call them gone
DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Horizon:
    """What a silence of so many ``days`` would mean.

    ``churned`` is the share of customers silent for so long after the latest moment that allows to see it, ``back`` the share of
    the silences of that length that ended.
    """

    days: int
    churned: float
    back: float


@dataclass(frozen=True)
class Rhythm:
    """The rhythm of a log.

    ``gap`` is the median of the days between a customer's days with events (NaN: nobody has two), ``first`` and ``last`` are
    days of the log, ``horizons`` what each horizon would mean.
    """

    gap: float
    first: np.datetime64
    last: np.datetime64
    horizons: tuple[Horizon, ...]

    @property
    def span(self) -> int:
        """The days that the log covers."""
        return int((self.last - self.first) / DAY)

    @property
    def horizon(self) -> int:
        """The shortest after whose silence few come back, among those that the log is long enough for.

        Else the longest of these.
        """
        able = [one for one in self.horizons if 2.5 * one.days < self.span] or [self.horizons[0]]
        return next((one.days for one in able if one.back <= FEW_RETURN), able[-1].days)

    @property
    def windows(self) -> Sequence[int]:
        """Windows in which a customer of usual rhythm has an event, and that the log covers."""
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
    tails = (day.max() - day[np.append(~same, True)]) / DAY  # each customer's silence until the end of the log
    horizons = tuple(_horizon(n, days, gaps, tails) for n in HORIZONS)
    return Rhythm(float(np.median(gaps)) if len(gaps) else float("nan"), day.min(), day.max(), horizons)


def _horizon(length: int, days: "pd.DataFrame", gaps: np.ndarray, tails: np.ndarray) -> Horizon:
    day, who = days["day"].to_numpy("datetime64[D]"), days["who"].to_numpy()
    moment = day.max() - length * DAY
    before, after = np.unique(who[day <= moment]), np.unique(who[day > moment])
    churned = float(1 - np.isin(before, after).mean()) if len(before) else float("nan")
    ended, going_on = int((gaps > length).sum()), int((tails > length).sum())
    return Horizon(length, churned, ended / (ended + going_on) if ended + going_on else 0.0)
