"""The card of DataFlow: its sources, the checks, changes since the last version, and every column."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.cards import events_card
from churn.cards.card_parts import CHURNED, STAYED, Chart, Part, Table
from churn.settings.dataset import Dataset
from churn.validation.checks import UNIQUE, Report
from churn.validation.ingestion import Ingested
from churn.validation.profile import BINS
from churn.validation.sorted_columns import SortedColumns, histogram, quantiles

if TYPE_CHECKING:
    import pandas as pd

PLOT_COLUMNS, PLOTS, LEVELS, SAMPLE = 4, 40, 6, 10


def data(ingested: Ingested, dataset: Dataset, lineage: dict[str, Any] | None = None) -> list[Part]:
    """The parts of the card, the result first; with a ``lineage`` of events, their calendar and tables too."""
    report, share = ingested.report, (ingested.table[dataset.target] == dataset.positive).mean()
    verdict = "The data may be used." if not report.errors else "**The data is refused; see the failed checks.**"
    aside = f" {report.set_aside:,} are in quarantine." if report.set_aside else ""
    out = f" Left out: {', '.join(report.left_out)}." if report.left_out else ""
    return [
        f"# Data: {dataset.name}",
        f"{verdict} {report.rows:,} customers from {ingested.origin}; {share:.1%} churned; quality score {report.score:.4f} "
        f"({len(report.checks)} checks, {len(report.errors)} failed, {len(report.warnings)} warnings).{out}{aside}",
        *reading(ingested.notes),
        *_failed(report),
        *quarantined(ingested.quarantine),
        *_changes(ingested),
        *(events_card.made_of(dataset, lineage) if lineage else []),
        "## Columns",
        f"Red: customers who churned; blue: customers who stayed; each as a share of its own group. The first {PLOTS} features.",
        _distributions(ingested, dataset),
        _profile(ingested, dataset),
        *_passed(report),
    ]


def _failed(report: Report) -> list[Part]:
    rows = [
        [c.severity.upper(), c.column, c.rule, f"{c.failed:,} of {c.total:,}", ", ".join(c.examples), c.remedy]
        for c in (*report.errors, *report.warnings)
    ]
    if not rows:
        return ["## Checks\nAll passed; they are listed below."]
    return ["## Checks that failed", Table(["", "column", "rule", "failed", "examples", "what to do"], rows)]


def _passed(report: Report) -> list[Part]:
    columns: dict[tuple[str, str], list[str]] = {}
    for check in report.checks:
        if check.passed:
            columns.setdefault((check.rule, check.severity), []).append(check.column)
    rows = [[rule, severity, ", ".join(names)] for (rule, severity), names in columns.items()]
    return ["## Checks that passed", Table(["rule", "severity", "columns"], rows)]


def reading(notes: Sequence[str]) -> list[Part]:
    """The notes on how the files were read, if there are any."""
    return ["\n".join(["## How the files were read", *(f"- {note}" for note in notes)])] if notes else []


def quarantined(rows: "pd.DataFrame") -> list[Part]:
    """The first rows in quarantine, with their reasons, if there are any."""
    if rows.empty:
        return []
    sample = rows.head(SAMPLE)
    shown = ["row", "reasons", *[name for name in sample.columns if name not in ("row", "reasons")]]
    title = f"## Quarantine\nThe first {len(sample)} of {len(rows):,} rows that were set aside, as they were read."
    return [title, Table(shown, [[str(value) for value in row] for row in sample[shown].itertuples(index=False)])]


def _changes(ingested: Ingested) -> list[Part]:
    if ingested.previous is None:
        return ["## Since the last version\nThis is the first version of this data set."]
    before, now = ingested.previous.columns, ingested.profile.columns
    by_distance = sorted(ingested.distances, key=lambda name: -ingested.distances[name])
    rows = [[name, f"{ingested.distances[name]:.3f}", *_moved(before[name].missing, now[name].missing, ".2%"),
             *_moved(before[name].distinct, now[name].distinct, ",")] for name in by_distance]  # fmt: skip
    gone = [f"{word}: {', '.join(sorted(names))}. " for word, names in
            (("New columns", set(now) - set(before)), ("Columns gone", set(before) - set(now))) if names]  # fmt: skip
    return [
        f"## Since the last version\n{ingested.previous.rows:,} customers then, {ingested.profile.rows:,} now. {''.join(gone)}"
        "The Jensen-Shannon distance is 0 for the same distribution and 1 for nothing in common.",
        Table(["column", "distance", "missing then", "now", "distinct then", "now"], rows),
    ]


def _moved(before: float, now: float, form: str) -> tuple[str, str]:
    return format(before, form), format(now, form)


def _profile(ingested: Ingested, dataset: Dataset) -> Table:
    frame, rows = ingested.table, []
    for name, column in dataset.columns.items():
        if name not in frame:
            continue
        values, profiled = frame[name], ingested.profile.columns.get(name)
        missing, distinct = (
            (profiled.missing, profiled.distinct) if profiled else (values.isna().mean(), _distinct(ingested, name))
        )
        seen = [f"{missing:.2%}", f"{distinct:,}", _summary(name, ingested)]
        rows.append([name, column.role, column.type, *seen])
    return Table(["column", "role", "type", "missing", "distinct", "values"], rows)


def _distinct(ingested: Ingested, name: str) -> int:
    """The number of distinct values in a column outside the profile; for an id, its check has counted them."""
    repeated = [c.failed for c in ingested.report.checks if (c.column, c.rule) == (name, UNIQUE)]
    if not repeated:
        return int(ingested.table[name].nunique())
    return len(ingested.table) - (0 if ingested.report.set_aside else repeated[0])


def _summary(name: str, ingested: Ingested) -> str:
    values = ingested.table[name]
    if not values.notna().any():
        return ""
    if values.dtype.kind == "M":
        return f"{values.min()} to {values.max()}"
    if values.dtype.kind in "iuf":
        low, middle, high = quantiles(ingested.columns[name].both, np.array([0, 0.5, 1]))
        return f"{low:g} to {high:g}, median {middle:g}"
    if values.dtype != "category":
        return ""
    counts = ingested.columns.counts(name)
    counts = counts.head(3) / counts.sum()
    return ", ".join(f"{value} {share:.0%}" for value, share in counts.items())


def _distributions(ingested: Ingested, dataset: Dataset) -> Chart:
    frame = ingested.table
    churned = (frame[dataset.target] == dataset.positive).to_numpy()
    names = [name for name in dataset.raw if name in frame][:PLOTS]
    plots = [
        _histograms(name, ingested.columns) if dataset.raw[name].numeric else _bars(name, frame[name], churned)
        for name in names
    ]
    scale = {"domain": ["stayed", "churned"], "range": [STAYED, CHURNED]}
    colour = {"field": "outcome", "type": "nominal", "legend": None, "scale": scale}
    hint = [{"field": "outcome"}, {"field": "x", "title": "value"}, {"field": "y", "title": "share", "format": ".1%"}]
    y = {"field": "y", "type": "quantitative", "axis": None}
    for plot in plots:
        plot["encoding"] |= {"y": {**y, **plot["encoding"].get("y", {})}, "color": colour, "tooltip": hint}
    spec = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "columns": PLOT_COLUMNS, "concat": plots}
    # Each plot has its own bar width: a shared one would follow the plot with the fewest levels.
    resolve = {"scale": {"xOffset": "independent"}}
    return Chart({**spec, "resolve": resolve, "config": {"view": {"stroke": None}, "axis": {"grid": False}}})


def _plot(name: str, mark: dict[str, Any], x: dict[str, Any], points: list[dict[str, Any]]) -> dict[str, Any]:
    size = {"width": 180, "height": 90, "title": {"text": name[:40], "fontSize": 11}}
    return {**size, "mark": mark, "data": {"values": points}, "encoding": {"x": {"field": "x", "title": None, **x}}}


def _histograms(name: str, columns: SortedColumns) -> dict[str, Any]:
    # As wide as the middle 99 %, so that one absurd value does not flatten the rest.
    column = columns[name]
    low, high = quantiles(column.both, np.array([0.005, 0.995])) if len(column.both) else (0.0, 0.0)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    points = []
    for group, outcome in ((column.stayed, "stayed"), (column.churned, "churned")):
        counts = histogram(group, edges)
        shares = [*(counts / max(counts.sum(), 1)).tolist(), 0.0]  # the last step is drawn up to its edge
        points += [{"x": x, "y": round(y, 5), "outcome": outcome} for x, y in zip(edges.tolist(), shares, strict=True)]
    x = {"type": "quantitative", "axis": {"tickCount": 3, "format": "~s"}, "scale": {"zero": False, "nice": False}}
    return _plot(name, {"type": "line", "interpolate": "step-after", "strokeWidth": 1.5}, x, points)


def _bars(name: str, values: "pd.Series", churned: np.ndarray) -> dict[str, Any]:
    levels = values.cat.categories
    codes = values.cat.codes.to_numpy().astype(np.int64)
    counts = np.bincount((codes + 1) * 2 + churned, minlength=2 * len(levels) + 2).reshape(-1, 2)[1:]
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    order = np.argsort(-counts[:, 0], kind="stable")[:LEVELS]
    points = [
        {"x": str(levels[level])[:20], "y": round(float(shares[level, column]), 5), "outcome": outcome}
        for level in order
        for column, outcome in enumerate(("stayed", "churned"))
    ]
    axis = {"labelAngle": 0, "labelLimit": 180 // max(len(order), 1), "labelFontSize": 9, "ticks": False}
    plot = _plot(name, {"type": "bar"}, {"type": "nominal", "sort": None, "axis": axis}, points)
    plot["encoding"]["xOffset"] = {"field": "outcome", "sort": ["stayed", "churned"]}
    return plot
