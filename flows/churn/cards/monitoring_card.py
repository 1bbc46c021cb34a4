"""The card of MonitorFlow: four questions answered by traffic lights, changes, worst first, and trends."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.cards.card_parts import CHURNED, STAYED, Chart, Part, Table, command
from churn.monitoring.alerts import Assessment, WindowResult
from churn.monitoring.chunked_drift import ChunkedDrift
from churn.monitoring.drift import ALL, MISSING, PROBABILITY, UNSEEN
from churn.monitoring.performance import METRICS, Realised
from churn.monitoring.windows import Analysis
from churn.serving.reference_data import Reference

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
COLOURS = {"green": "#2e8b57", "amber": "#e0a100", "red": "#c4472f", "grey": "#9a9a9a"}
SIGNS = {"green": "✓", "amber": "!", "red": "✗", "grey": "?"}
WIDTH, LINE, PLOTS, PLOT_COLUMNS, BINS, LEVELS = 860, 110, 8, 4, 25, 6
REFERENCE, NOW = "reference", "newest window"


def parts(
    reference: Reference,
    analysis: Analysis,
    results: Sequence[WindowResult],
    realised: Realised | None,
    before: dict[str, float],
    assessment: Assessment,
    todo: str,
    chunked: Sequence[ChunkedDrift] = (),
) -> list[Part]:
    """The parts of the card; ``todo`` is the command to run after an alert."""
    newest = results[-1]
    return [
        f"# {assessment.severity.upper()}: {reference.model.name}, version {reference.model.version}",
        f"**{assessment.summary}**",
        _lights(assessment),
        *(["## What to do\nTrain on newer customers:\n" + command(todo)] if assessment.severity == "alert" else []),
        *(_worst(reference, analysis, newest) if newest.measured else []),
        *(_over_time(results, before) if len(results) > 1 else []),
        "## Scores",
        _scores(newest, realised, before),
        *(["## All distances of the newest window", _distances(newest)] if newest.measured else []),
        *(_chunked(chunked) if chunked else []),
        "## What was compared",
        f"Reference: the {len(reference.table):,} customers held out when version {reference.model.version} was trained (data "
        f"version `{reference.model.tags['data_version']}`), with the probabilities it gave them. Compared: {analysis.origin}.",
        Table(["window", "rows", "result"], [[j.window.name, f"{j.window.rows:,}", _result(j)] for j in results]),
    ]


def _chunked(chunked: Sequence[ChunkedDrift]) -> list[Part]:
    """NannyML's results, most alerts first, with the newest chunk that has an alert."""
    ranked = sorted(chunked, key=lambda c: (-sum(c.alerts), -c.values[-1] / c.upper if c.upper > 0 else 0.0))
    rows = [
        [
            c.column,
            c.method.replace("_", " "),
            f"{sum(c.alerts)} of {len(c.alerts)}",
            ", ".join(chunk for chunk, alert in zip(c.chunks, c.alerts, strict=True) if alert) or "none",
            f"{c.values[-1]:.4g}",
            f"{c.upper:.4g}",
        ]
        for c in ranked
    ]
    words = (
        "## NannyML's chunked drift\nEach chunk of the windows' rows against the spread of the reference's chunks of that size; "
        "an account beside the assessment, with NannyML's own thresholds, which allow each column its false alarms."
    )
    return [words, Table(["column", "statistic", "alerts", "chunks with one", "newest", "threshold"], rows)]


def _result(result: WindowResult) -> str:
    if not result.measured:
        return "too few rows to judge"
    return "changed" if result.violates else "as the reference"


def _lights(assessment: Assessment) -> Chart:
    rows = [
        {"y": i, "question": light.question, "colour": light.colour, "sign": SIGNS[light.colour],
         "answer": textwrap.wrap(light.answer, LINE)}
        for i, light in enumerate(assessment.lights)
    ]  # fmt: skip
    y = {"field": "y", "type": "ordinal", "axis": None}
    colour = {"field": "colour", "type": "nominal", "legend": None,
              "scale": {"domain": list(COLOURS), "range": list(COLOURS.values())}}  # fmt: skip

    def text(field: str, x: int, **mark: Any) -> dict[str, Any]:
        return {
            "mark": {"type": "text", "align": "left", "x": x, **mark},
            "encoding": {"y": y, "text": {"field": field}},
        }

    spec = {
        "width": WIDTH, "height": 66 * len(rows), "data": {"values": rows},
        "layer": [
            {"mark": {"type": "circle", "size": 1500, "opacity": 1, "x": 24}, "encoding": {"y": y, "color": colour}},
            text("sign", 24, align="center", fontSize=20, fontWeight="bold", color="white"),
            text("question", 60, dy=-18, fontSize=15, fontWeight="bold"),
            text("answer", 60, dy=2, fontSize=12, baseline="middle"),
        ],
    }  # fmt: skip
    return _chart(spec)


def _chart(spec: dict[str, Any]) -> Chart:
    return Chart({"$schema": SCHEMA, **spec, "config": {"view": {"stroke": None}, "axis": {"grid": False}}})


def _worst(reference: Reference, analysis: Analysis, newest: WindowResult) -> list[Part]:
    """The columns that differ most, before and now overlaid, always including PROBABILITY."""
    ranked = sorted((d for d in newest.distances if d.column != ALL), key=lambda d: -d.excess)
    first = {d.column: d for d in reversed(ranked)}
    names = [name for name in dict.fromkeys(d.column for d in ranked) if name != PROBABILITY][: PLOTS - 1]
    *_, (_, rows) = analysis.each(reference)
    plots = []
    for name in (PROBABILITY, *names):
        worst, numeric = first[name], name == PROBABILITY or reference.dataset.raw[name].numeric
        title = f"{name[:28]}: {worst.excess:.1f} x threshold"
        points = (_histogram if numeric else _bars)(reference.table[name], rows[name])
        plots.append(_plot(title, points, numeric, worst.drifted))
    # Each plot has its own bar width: a shared one would follow the plot with the fewest levels.
    own = {"scale": {"xOffset": "independent"}}
    spec = {"columns": PLOT_COLUMNS, "concat": plots, "spacing": {"row": 24, "column": 24}, "resolve": own}
    title = (
        "## Predictions and columns, the worst first"
        if newest.columns
        else "## Predictions and columns, the most different first"
    )
    return [f"{title}\nBlue: {REFERENCE}; red: {NOW}; each as a share of its rows.", _chart(spec)]


def _plot(title: str, points: list[dict[str, Any]], numeric: bool, drifted: bool) -> dict[str, Any]:
    axis: dict[str, Any] = (
        {"tickCount": 3, "format": "~s" if points[-1]["x"] >= 1000 else ".3~r"}
        if numeric
        else {"labelAngle": -30, "labelLimit": 80, "ticks": False}
    )
    x = {"field": "x", "title": None, "axis": axis, **({"type": "quantitative", "scale": {"zero": False, "nice": False}}
                                                       if numeric else {"type": "nominal", "sort": None})}  # fmt: skip
    mark = {"type": "area", "interpolate": "step-after", "opacity": 0.35, "line": True} if numeric else {"type": "bar"}
    side = {} if numeric else {"xOffset": {"field": "of", "sort": [REFERENCE, NOW]}}
    return {
        "width": 180, "height": 100, "mark": mark, "data": {"values": points},
        "title": {"text": title, "fontSize": 11, "color": CHURNED if drifted else "#333333"},
        "encoding": {
            "x": x, **side,
            "y": {"field": "y", "type": "quantitative", "axis": None, "stack": None},
            "color": {"field": "of", "type": "nominal", "legend": None,
                      "scale": {"domain": [REFERENCE, NOW], "range": [STAYED, CHURNED]}},
            "tooltip": [{"field": "of"}, {"field": "x"}, {"field": "y", "format": ".1%"}],
        },
    }  # fmt: skip


def _histogram(before: "pd.Series", now: "pd.Series") -> list[dict[str, Any]]:
    sides = {REFERENCE: before.to_numpy(np.float64, na_value=np.nan), NOW: now.to_numpy(np.float64, na_value=np.nan)}
    both = np.concatenate(list(sides.values()))
    low, high = np.nanquantile(both, [0.002, 0.998]) if np.isfinite(both).any() else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    points = []
    for name, values in sides.items():
        counts = np.histogram(np.clip(values[~np.isnan(values)], edges[0], edges[-1]), edges)[0] / max(len(values), 1)
        shares = zip(edges.tolist(), [*counts.tolist(), 0.0], strict=True)
        points += [{"x": float(f"{x:.5g}"), "y": round(y, 5), "of": name} for x, y in shares]
    return points


def _bars(before: "pd.Series", now: "pd.Series") -> list[dict[str, Any]]:
    sides = {REFERENCE: before, NOW: now}
    shares = {of: values.astype("str").fillna("missing").value_counts(normalize=True) for of, values in sides.items()}
    total = shares[REFERENCE].add(shares[NOW], fill_value=0).sort_values(ascending=False)
    return [
        {"x": str(level)[:24], "y": round(float(share.get(level, 0)), 5), "of": of}
        for level in total.index[:LEVELS]
        for of, share in shares.items()
    ]


def _over_time(results: Sequence[WindowResult], before: dict[str, float]) -> list[Part]:
    points = []
    for j in results:
        columns = [d.excess for d in j.distances if d.column != PROBABILITY]
        trends = {
            "columns: largest excess": (max(columns, default=None), 1.0),
            "predictions: excess": (max((d.excess for d in j.prediction), default=None), 1.0),
            "estimated ROC-AUC": ((s.value, s.threshold) if (s := j.score("roc_auc")) else (None, None)),
        }
        points += [
            {"window": j.window.name, "plot": plot, "value": value, "threshold": threshold}
            for plot, (value, threshold) in trends.items()
            if value is not None
        ]
    x = {
        "field": "window",
        "type": "ordinal",
        "sort": None,
        "title": None,
        "axis": {"labelAngle": -25, "labelLimit": 150},
    }
    y = {"type": "quantitative", "title": None, "scale": {"zero": False}}
    plots = [
        {
            "width": 215, "height": 130, "title": {"text": plot, "fontSize": 11},
            "data": {"values": [p for p in points if p["plot"] == plot]},
            "layer": [
                {"mark": {"type": "line", "point": {"size": 60}, "color": STAYED},
                 "encoding": {"x": x, "y": {**y, "field": "value"}, "tooltip": [{"field": "value", "format": ".3f"}]}},
                {"mark": {"type": "line", "strokeDash": [4, 3], "color": CHURNED},
                 "encoding": {"x": x, "y": {**y, "field": "threshold"}}},
            ],
        }
        for plot in dict.fromkeys(p["plot"] for p in points)
    ]  # fmt: skip
    if not plots:
        return []
    words = f"## Over time\nDashed: the threshold. On the holdout the ROC-AUC was {before['roc_auc']:.3f}."
    return [words, _chart({"hconcat": plots})]


def _scores(newest: WindowResult, realised: Realised | None, before: dict[str, float]) -> Table:
    known = {s.metric: s for s in realised.scores} if realised is not None else {}
    rows = []
    for metric in METRICS:
        estimate = newest.score(metric)
        rows.append(
            [
                metric,
                f"{before[metric]:.4f}",
                f"{estimate.value:.4f} ± {2 * estimate.error:.4f}" if estimate else "",
                f"{estimate.threshold:.4f}" if estimate and np.isfinite(estimate.threshold) else "",
                f"{known[metric].value:.4f}" if metric in known else "not known yet",
                f"{realised.estimated[metric]:.4f}" if realised is not None else "",
            ]
        )
    return Table(["score", "holdout", "estimated now", "alert below", "realised", "estimate for those rows"], rows)


def _distances(newest: WindowResult) -> Table:
    ranked = sorted(newest.distances, key=lambda d: -d.excess)
    shares = (MISSING, UNSEEN)
    rows = [
        [
            "DRIFT" if d.drifted else "",
            d.column,
            d.method.replace("_", " "),
            f"{d.value:.2%}" if d.method in shares else f"{d.value:.4g}",
            f"{d.threshold:.2%}" if d.method in shares else f"{d.threshold:.4g}",
            f"{d.excess:.2f}",
        ]
        for d in ranked
        if d.value > 0 or d.method not in shares
    ]
    return Table(["", "column", "statistic", "value", "threshold", "excess"], rows)
