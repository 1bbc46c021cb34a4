"""A summary of a table's columns, kept with each run, for the run's card and for comparison with the next version."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn import format_version
from churn.data import casting
from churn.settings import commands
from churn.settings.data import Quality
from churn.settings.dataset import Dataset
from churn.validation import remedies
from churn.validation.checks import Check
from churn.validation.sorted_columns import SortedColumns, histogram, quantiles

if TYPE_CHECKING:
    import pandas as pd
    from churn.data.snapshots import Snapshot

FORMAT = 1
BINS, LEVELS = 20, 100


@dataclass(frozen=True)
class ColumnProfile:
    """The distribution of one column.

    ``shares`` are the shares of rows in each bin between ``edges`` (numbers) or in each of ``levels`` (categories), followed by
    the share in other levels and the missing share; they add up to 1.
    """

    missing: float
    distinct: int
    edges: tuple[float, ...]
    levels: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Profile:
    """The features and the target of one table."""

    rows: int
    columns: dict[str, ColumnProfile]


def profile(frame: "pd.DataFrame", dataset: Dataset, columns: SortedColumns) -> Profile:
    """Profile the features and the target of a typed table; ``columns`` are its sorted columns."""
    names = [name for name in (*dataset.raw, dataset.target) if name in frame]
    return Profile(len(frame), {name: _column(name, frame[name], columns) for name in names})


def to_json(summary: Profile) -> str:
    """The profile as JSON of format FORMAT, as a run keeps it."""
    return json.dumps(format_version.stamped(asdict(summary), FORMAT))


def from_json(kept: str) -> Profile:
    """Read the JSON that ``to_json`` wrote.

    Raises:
        ChurnError: A newer release wrote it.
    """
    content = format_version.opened(json.loads(kept), FORMAT, "profile of the previous data version")
    columns = {
        name: ColumnProfile(c["missing"], c["distinct"], tuple(c["edges"]), tuple(c["levels"]), tuple(c["shares"]))
        for name, c in content["columns"].items()
    }
    return Profile(content["rows"], columns)


def of_snapshot(snapshot: "Snapshot") -> Profile:
    """The profile of a data version, for a run that kept no readable one."""
    import pandas as pd

    dataset, both = snapshot.dataset, pd.concat([snapshot.train, snapshot.holdout], ignore_index=True)
    table, _ = casting.cast(both[[name for name in both if name in dataset.columns]], dataset)
    return profile(table, dataset, SortedColumns(table, np.zeros(len(table), dtype=bool)))


def _column(name: str, values: "pd.Series", columns: SortedColumns) -> ColumnProfile:
    if values.dtype.kind in "iuf":
        present = columns[name].both
        edges = tuple(np.unique(quantiles(present, np.linspace(0, 1, BINS + 1))).tolist()) if len(present) else (0.0,)
        distinct = int(np.count_nonzero(np.diff(present))) + bool(len(present))
        shares = _shares_of_numbers(present, len(values), edges)
        return ColumnProfile(shares[-1], distinct, edges, (), shares)
    counts = columns.counts(name)
    levels = tuple(str(level) for level in counts.index[:LEVELS])
    shares = _shares_of_levels(counts, len(values), levels)
    return ColumnProfile(shares[-1], len(counts), (), levels, shares)


def _shares_of_numbers(present: np.ndarray, rows: int, edges: tuple[float, ...]) -> tuple[float, ...]:
    counts = (*histogram(present, edges).tolist(), 0, rows - len(present))
    return tuple(count / max(rows, 1) for count in counts)


def _shares_of_levels(frequencies: "pd.Series", rows: int, levels: tuple[str, ...]) -> tuple[float, ...]:
    counts, present = [int(frequencies.get(level, 0)) for level in levels], int(frequencies.sum())
    return tuple(count / max(rows, 1) for count in (*counts, present - sum(counts), rows - present))


def distances(before: Profile, frame: "pd.DataFrame", columns: SortedColumns) -> dict[str, float]:
    """Jensen-Shannon distance (base 2, 0..1; Lin 1991) of each column from its profile; missing counts as a value."""

    def shares(name: str, column: ColumnProfile) -> tuple[float, ...]:
        if column.edges:
            return _shares_of_numbers(columns[name].both, len(frame), column.edges)
        return _shares_of_levels(columns.counts(name), len(frame), column.levels)

    return {
        name: _distance(np.array(column.shares), np.array(shares(name, column)))
        for name, column in before.columns.items()
        if name in frame and (frame[name].dtype.kind in "iuf") == bool(column.edges)
    }


def _distance(p: np.ndarray, q: np.ndarray) -> float:
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(side > 0, side * np.log2(side / middle), 0.0).sum() for side in (p, q)]
    return float(np.sqrt(max(sum(terms) / 2, 0.0)))


def drift_checks(measured: dict[str, float], dataset: Dataset, limits: Quality) -> Iterable[Check]:
    """One check per column against the previous data version, by its distance (see ``distances``)."""
    for name, distance in measured.items():
        limit = dataset.columns[name].drift
        most = limits.drift if limit is None else limit
        kept = distance <= most
        rule = f"is distributed as in the previous version (Jensen-Shannon distance at most {most:g})"
        remedy = (
            f"Expected? Then train again. Otherwise look at the export, or change drift in {commands.settings('data.toml')} "
            f"[quality] or in {remedies.file_of(dataset, name)}."
        )
        examples = () if kept else (f"found {distance:.3f}",)
        yield Check(name, rule, int(not kept), 1, examples, remedy, limits.drifted)
