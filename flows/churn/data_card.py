"""The card of DataFlow: what came in, what the checks say, what changed since the last version, and every column."""

from typing import TYPE_CHECKING, Any

import numpy as np
from churn.cards import CHURNED, STAYED, Part, Table, figure
from churn.dataset import Dataset
from churn.intake import Intake
from churn.quality import Report

if TYPE_CHECKING:
    import pandas as pd

PLOT_COLUMNS, PLOTS, LEVELS, SAMPLE = 4, 40, 6, 10


def data(found: Intake, dataset: Dataset) -> list[Part]:
    """The parts of the card, the verdict first."""
    report, share = found.report, (found.table[dataset.target] == dataset.positive).mean()
    verdict = "The data may be used." if not report.errors else "**The data is refused; see the failed checks.**"
    aside = f" {report.set_aside:,} are in quarantine." if report.set_aside else ""
    return [
        f"# Data: {dataset.name}",
        f"{verdict} {report.rows:,} customers from {found.origin}; {share:.1%} churned; quality score {report.score:.4f} "
        f"({len(report.checks)} checks, {len(report.errors)} failed, {len(report.warnings)} warnings).{aside}",
        "## Checks",
        _checks(report),
        *_quarantine(found),
        *_changes(found),
        "## Columns",
        f"Red: customers who churned; blue: customers who stayed; each as a share of its own group. The first {PLOTS} features.",
        _distributions(found.table, dataset),
        _profile(found.table, dataset),
    ]


def _checks(report: Report) -> Table:
    ordered = sorted(report.checks, key=lambda c: (c.passed, c.severity != "error"))
    rows = [
        [
            "ok" if c.passed else c.severity.upper(),
            c.severity,
            c.column,
            c.rule,
            f"{c.failed:,}",
            ", ".join(c.examples),
            "" if c.passed else c.remedy,
        ]
        for c in ordered
    ]
    return Table(["", "severity", "column", "rule", "failed", "examples", "what to do"], rows)


def _quarantine(found: Intake) -> list[Part]:
    if found.quarantine.empty:
        return []
    sample = found.quarantine.head(SAMPLE)
    shown = ["row", "reasons", *[name for name in sample.columns if name not in ("row", "reasons")]]
    title = (
        f"## Quarantine\nThe first {len(sample)} of {len(found.quarantine):,} rows that were set aside, as they came."
    )
    return [title, Table(shown, [[str(value) for value in row] for row in sample[shown].itertuples(index=False)])]


def _changes(found: Intake) -> list[Part]:
    if found.previous is None:
        return ["## Since the last version\nThis is the first version of this data set."]
    before, now = found.previous.columns, found.profile.columns
    ordered = sorted(found.distances, key=lambda name: -found.distances[name])
    rows = [[name, f"{found.distances[name]:.3f}", *_moved(before[name].missing, now[name].missing, ".2%"),
             *_moved(before[name].distinct, now[name].distinct, ",")] for name in ordered]  # fmt: skip
    gone = [f"{word}: {', '.join(sorted(names))}. " for word, names in
            (("New columns", set(now) - set(before)), ("Columns gone", set(before) - set(now))) if names]  # fmt: skip
    return [
        f"## Since the last version\n{found.previous.rows:,} customers then, {found.profile.rows:,} now. {''.join(gone)}"
        "The Jensen-Shannon distance is 0 for the same distribution and 1 for nothing in common.",
        Table(["column", "distance", "missing then", "now", "distinct then", "now"], rows),
    ]


def _moved(before: float, now: float, form: str) -> tuple[str, str]:
    return format(before, form), format(now, form)


def _profile(frame: "pd.DataFrame", dataset: Dataset) -> Table:
    rows = []
    for name, column in dataset.columns.items():
        if name in frame:
            values = frame[name]
            seen = [f"{values.isna().mean():.2%}", f"{values.nunique():,}", _summary(values)]
            rows.append([name, column.role, column.type, *seen])
    return Table(["column", "role", "type", "missing", "distinct", "values"], rows)


def _summary(values: "pd.Series") -> str:
    if not values.notna().any():
        return ""
    if values.dtype.kind == "M":
        return f"{values.min()} to {values.max()}"
    if values.dtype.kind in "iuf":
        low, middle, high = values.quantile([0, 0.5, 1])
        return f"{low:g} to {high:g}, median {middle:g}"
    if values.dtype != "category":
        return ""
    counts = values.value_counts().head(3) / values.notna().sum()
    return ", ".join(f"{value} {share:.0%}" for value, share in counts.items())


def _distributions(frame: "pd.DataFrame", dataset: Dataset) -> Any:
    names = [name for name in dataset.raw if name in frame][:PLOTS]
    lines = -(-len(names) // PLOT_COLUMNS)
    drawn, axes = figure(11, 1.9 * lines, lines, PLOT_COLUMNS)
    churned = (frame[dataset.target] == dataset.positive).to_numpy()
    for axis, name in zip(axes.flat, names, strict=False):
        numeric = dataset.raw[name].numeric
        (_histograms if numeric else _bars)(axis, frame[name], churned)
        axis.set_title(name[:40])
        axis.set_yticks([])
    for axis in list(axes.flat)[len(names) :]:
        axis.set_axis_off()
    return drawn


def _histograms(axis: Any, values: "pd.Series", churned: np.ndarray) -> None:
    numbers = values.to_numpy(dtype=np.float64)
    present = ~np.isnan(numbers)
    if not present.any():
        return
    # As wide as the middle 99 % and a bit: one absurd value must not flatten the rest.
    low, high = np.quantile(numbers[present], [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, 21)
    for group, colour in ((present & ~churned, STAYED), (present & churned, CHURNED)):
        counts = np.histogram(np.clip(numbers[group], edges[0], edges[-1]), edges)[0]
        axis.stairs(counts / max(counts.sum(), 1), edges, color=colour)


def _bars(axis: Any, values: "pd.Series", churned: np.ndarray) -> None:
    groups = [(values[~churned].value_counts(), STAYED), (values[churned].value_counts(), CHURNED)]
    order = groups[0][0].index[:LEVELS]
    for offset, (counts, colour) in zip((-0.2, 0.2), groups, strict=True):
        shares = counts.reindex(order, fill_value=0).to_numpy() / max(counts.sum(), 1)
        axis.bar(np.arange(len(order)) + offset, shares, 0.4, color=colour)
    axis.set_xticks(range(len(order)), [str(value)[:12] for value in order], fontsize=7)
