"""The differences between two data versions: rows, matched by id (or, without one, by all values), and columns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn.data import casting, customer_keys
from churn.data.snapshots import Snapshot
from churn.validation import profile, sorted_columns

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Difference:
    """Counts of rows in both versions, of rows added, removed and changed, and of changed ``cells`` by column.

    ``changed`` is None for a data set without an id: a changed row then counts as one removed and one added. ``distances`` holds
    the Jensen-Shannon distances by column.
    """

    rows: tuple[int, int]
    added: int
    removed: int
    changed: int | None
    cells: dict[str, int]
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    distances: dict[str, float]


def diff(before: Snapshot, after: Snapshot) -> Difference:
    """Compare two versions of one data set, each with its training and holdout rows together."""
    import pandas as pd

    a, b = (pd.concat([v.train, v.holdout], ignore_index=True) for v in (before, after))
    shared = [name for name in a.columns if name in set(b.columns)]
    raw = [name for name in shared if name in after.dataset.columns]
    typed = [casting.cast(table[raw], after.dataset)[0] for table in (a, b)]
    held = [
        sorted_columns.SortedColumns(table, np.zeros(len(table), dtype=bool)) for table in typed
    ]  # one group: outcomes do not matter here
    distances = profile.distances(profile.profile(typed[0], after.dataset, held[0]), typed[1], held[1])
    keys = [name for name in (after.dataset.id, after.dataset.time) if name is not None]
    unique = after.dataset.id in shared and not a.duplicated(keys).any() and not b.duplicated(keys).any()
    counts = _by_id(a, b, keys, shared) if unique else _by_value(a[shared], b[shared])
    columns = [tuple(sorted(set(x.columns) - set(y.columns))) for x, y in ((b, a), (a, b))]
    return Difference((len(a), len(b)), *counts, columns[0], columns[1], distances)


def late(before: Snapshot, after: Snapshot) -> str:
    """How a backfill's customers differ from an earlier version's at their common snapshots, because of late events."""
    import pandas as pd

    key, time = after.dataset.id, after.dataset.time
    assert key is not None
    assert time is not None
    a, b = (pd.concat([v.train, v.holdout], ignore_index=True) for v in (before, after))
    shared = [name for name in a.columns if name in set(b.columns)]
    _, _, changed, cells = _by_id(a, b, [key, time], shared)
    both = len(a.merge(b, on=[key, time]))
    if not changed:
        return f"Of version {before.version}, {both:,} rows of the same customers and snapshots are the same: no event came late"
    columns = ", ".join(f"{name} {count:,}" for name, count in sorted(cells.items(), key=lambda one: (-one[1], one[0])))
    return (
        f"Of {both:,} rows of the same customers and snapshots, {changed:,} differ from version {before.version}, by events "
        f"that came late or became known since: {columns}"
    )


def _by_id(
    a: "pd.DataFrame", b: "pd.DataFrame", keys: list[str], shared: list[str]
) -> tuple[int, int, int | None, dict[str, int]]:
    left, right = a.set_index(keys)[[n for n in shared if n not in keys]], b.set_index(keys)
    both = left.index.intersection(right.index)
    old, new = left.loc[both], right.loc[both, left.columns]
    differs = {n: ((old[n] != new[n]) & ~(old[n].isna() & new[n].isna())).to_numpy(dtype=bool) for n in left.columns}
    cells = {name: int(rows.sum()) for name, rows in differs.items() if rows.any()}
    changed = int(np.any(list(differs.values()), axis=0).sum()) if differs else 0
    return len(b) - len(both), len(a) - len(both), changed, cells


def _by_value(a: "pd.DataFrame", b: "pd.DataFrame") -> tuple[int, int, int | None, dict[str, int]]:
    import pandas as pd

    counts = [pd.Series(customer_keys.keys(table, None, table.columns)).value_counts() for table in (a, b)]
    moved = counts[1].sub(counts[0], fill_value=0)
    return int(moved.clip(lower=0).sum()), int(-moved.clip(upper=0).sum()), None, {}


def render(difference: Difference) -> str:
    """The difference for a terminal."""
    before, after = difference.rows
    changed = "not told apart without an id" if difference.changed is None else f"{difference.changed:,}"
    lines = [
        f"Rows      {before:,} -> {after:,}: {difference.added:,} added, {difference.removed:,} removed, changed: {changed}",
        *(f"Columns   added: {', '.join(difference.columns_added)}" for _ in difference.columns_added[:1]),
        *(f"Columns   removed: {', '.join(difference.columns_removed)}" for _ in difference.columns_removed[:1]),
        "Column                            drift  changed cells   (drift: Jensen-Shannon distance, 0 same to 1 nothing shared)",
    ]
    for name in sorted(difference.distances, key=lambda n: (-difference.distances[n], n)):
        lines.append(f"{name:<32} {difference.distances[name]:6.3f}  {difference.cells.get(name, 0):>13,}")
    return "\n".join(lines)
