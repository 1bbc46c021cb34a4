"""What the flows' cards show. A card is a list of parts: Markdown text, a Table, or a matplotlib figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.config import TrainConfig
from churn.dataset import Dataset
from churn.evaluation import Evaluation, Gate
from churn.quality import Report
from churn.tuning import Candidate

if TYPE_CHECKING:
    import pandas as pd

CHURNED, STAYED, FAINT = "#c4472f", "#3f6f9f", "#aaaaaa"
PLOT_COLUMNS = 4


@dataclass(frozen=True)
class Table:
    """A table of a card; every cell is text."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


Part = Any  # str (Markdown), Table, or a matplotlib Figure


def data(frame: "pd.DataFrame", dataset: Dataset, report: Report, origin: str) -> list[Part]:
    """The card of DataFlow: where the rows come from, what the checks say, and a profile of every column."""
    share = (frame[dataset.target] == dataset.positive).mean()
    verdict = "The data may be used." if not report.errors else "**The data is refused; see the failed checks.**"
    return [
        f"# Data: {dataset.name}",
        f"{verdict} {report.rows:,} customers from {origin}; {share:.1%} churned; quality score {report.score:.4f} "
        f"({len(report.checks)} checks, {len(report.errors)} failed, {len(report.warnings)} warnings).",
        "## Checks",
        _checks(report),
        "## Columns",
        "Red: customers who churned; blue: customers who stayed; each as a share of its own group.",
        _distributions(frame, dataset),
        _profile(frame, dataset),
    ]


def _checks(report: Report) -> Table:
    ordered = sorted(report.checks, key=lambda c: (c.passed, c.severity != "error"))
    rows = [
        [
            "ok" if c.passed else c.severity.upper(),
            c.column,
            c.rule,
            f"{c.failed:,}",
            ", ".join(c.examples),
            "" if c.passed else c.remedy,
        ]
        for c in ordered
    ]
    return Table(["", "column", "rule", "failed", "examples", "what to do"], rows)


def _profile(frame: "pd.DataFrame", dataset: Dataset) -> Table:
    rows = []
    for name, column in dataset.columns.items():
        if name in frame:
            values = frame[name]
            rows.append(
                [
                    name,
                    column.role,
                    column.type,
                    f"{values.isna().mean():.2%}",
                    f"{values.nunique():,}",
                    _summary(values, column.numeric),
                ]
            )
    return Table(["column", "role", "type", "missing", "distinct", "values"], rows)


def _summary(values: "pd.Series", numeric: bool) -> str:
    if numeric:
        low, middle, high = values.quantile([0, 0.5, 1])
        return f"{low:g} to {high:g}, median {middle:g}"
    counts = values.value_counts().head(3) / max(values.notna().sum(), 1)
    return ", ".join(f"{value} {share:.0%}" for value, share in counts.items()) if counts.max() > 0.001 else ""


def _distributions(frame: "pd.DataFrame", dataset: Dataset) -> Any:
    names = [name for name in dataset.raw if name in frame]
    lines = -(-len(names) // PLOT_COLUMNS)
    drawn, axes = figure(11, 1.9 * lines, lines, PLOT_COLUMNS)
    churned = (frame[dataset.target] == dataset.positive).to_numpy()
    for axis, name in zip(axes.flat, names, strict=False):
        groups = [(frame.loc[~churned, name].dropna(), STAYED), (frame.loc[churned, name].dropna(), CHURNED)]
        _histograms(axis, groups) if dataset.raw[name].numeric else _bars(axis, groups)
        axis.set_title(name)
        axis.set_yticks([])
    for axis in list(axes.flat)[len(names) :]:
        axis.set_axis_off()
    return drawn


def _histograms(axis: Any, groups: "list[tuple[pd.Series, str]]") -> None:
    values = np.concatenate([group.to_numpy(dtype=float) for group, _ in groups])
    edges = np.histogram_bin_edges(values, bins=20) if len(values) else [0, 1]
    for group, colour in groups:
        weights = np.full(len(group), 1 / max(len(group), 1))
        axis.hist(group.to_numpy(dtype=float), bins=edges, weights=weights, histtype="step", color=colour)


def _bars(axis: Any, groups: "list[tuple[pd.Series, str]]") -> None:
    order = groups[0][0].value_counts().index[:6]
    for offset, (group, colour) in zip((-0.2, 0.2), groups, strict=True):
        shares = group.value_counts(normalize=True).reindex(order, fill_value=0)
        axis.bar(np.arange(len(order)) + offset, shares.to_numpy(), 0.4, color=colour)
    axis.set_xticks(range(len(order)), [str(value)[:12] for value in order], fontsize=7)


def training(
    board: list[Candidate], config: TrainConfig, found: Evaluation, gate: Gate, data_version: str
) -> list[Part]:
    """The card of TrainFlow: the verdict first, then the evidence."""
    winner = board[0].family.name
    return [
        f"# Challenger: {winner}",
        f"**{gate.summary}** Trained on data version `{data_version}`; holdout of {len(found.outcome):,} customers, read once.",
        "## Gate",
        _gate(gate),
        "## Leaderboard",
        f"Cross-validated on the training rows ({config.search.folds} folds, decided by {config.search.metric}).",
        _leaderboard(board, config.search.metric),
        "## Holdout",
        Table(list(found.scores), [[f"{value:.4f}" for value in found.scores.values()]]),
        f"A customer counts as churning at a probability of {found.threshold:.3f} or more: "
        "the threshold with the best F1 score on out-of-fold predictions.",
        _curves(found),
        _reliability(found),
        "## Top features",
        "The loss of ROC-AUC when the column is shuffled (permutation importance on holdout rows).",
        _importance(found.importance),
    ]


def _gate(gate: Gate) -> Table:
    rows = [
        ["ok" if v.passed else "FAILED", v.metric, f"{v.value:.4f}", f"at least {v.least:g}"] for v in gate.verdicts
    ]
    if (c := gate.comparison) is not None:
        value = (
            f"{c.challenger_roc_auc:.4f} against {c.champion_roc_auc:.4f} of version {c.champion} on {c.rows:,} rows"
        )
        rows.append(
            [
                "better" if c.promote else "not better",
                "ROC-AUC",
                value,
                f"{c.reason}; gain {c.gain_low:+.4f} to {c.gain_high:+.4f}",
            ]
        )
    return Table(["verdict", "metric", "value", "rule"], rows)


def _leaderboard(board: list[Candidate], metric: str) -> Table:
    rows = []
    for place, candidate in enumerate(board, start=1):
        scores = [f"{value:.4f}" for value in candidate.best.scores.values()]
        params = ", ".join(
            f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in candidate.best.params.items()
        )
        rows.append(
            [
                str(place),
                candidate.family.name,
                *scores,
                f"{candidate.spread:.4f}",
                f"{candidate.seconds:.0f} s",
                params,
            ]
        )
    return Table(["", "family", *board[0].best.scores, f"{metric} std", "search", "parameters"], rows)


def _curves(found: Evaluation) -> Any:
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

    drawn, axes = figure(11, 3.4, 1, 3)
    roc, pr, matrix = axes[0]
    RocCurveDisplay.from_predictions(
        found.outcome, found.probability, ax=roc, curve_kwargs={"color": CHURNED}, plot_chance_level=True
    )
    PrecisionRecallDisplay.from_predictions(
        found.outcome, found.probability, ax=pr, curve_kwargs={"color": CHURNED}, plot_chance_level=True
    )
    decided = (found.probability >= found.threshold).astype(int)
    ConfusionMatrixDisplay.from_predictions(
        found.outcome, decided, display_labels=["stayed", "churned"], ax=matrix, colorbar=False, cmap="Blues"
    )
    for axis, title in (
        (roc, "ROC curve"),
        (pr, "Precision-recall curve"),
        (matrix, "Decisions at the threshold"),
    ):
        axis.set_title(title)
    return drawn


def _reliability(found: Evaluation) -> Any:
    from sklearn.calibration import calibration_curve

    drawn, axes = figure(11, 3.0, 1, 2)
    curve, spread = axes[0]
    observed, predicted = calibration_curve(found.outcome, found.probability, n_bins=10, strategy="quantile")
    curve.plot([0, 1], [0, 1], color=FAINT, linestyle="--")
    curve.plot(predicted, observed, marker="o", color=CHURNED)
    curve.set(title="Calibration", xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
    for outcome, colour, label in ((0, STAYED, "stayed"), (1, CHURNED, "churned")):
        spread.hist(
            found.probability[found.outcome == outcome],
            bins=25,
            range=(0, 1),
            histtype="step",
            color=colour,
            label=label,
        )
    spread.axvline(found.threshold, color=FAINT, linestyle="--")
    spread.set(title="Predicted probabilities", xlabel="probability of churn", ylabel="customers")
    spread.legend(frameon=False)
    return drawn


def _importance(importance: Sequence[tuple[str, float]]) -> Any:
    top = list(importance)[:12][::-1]
    drawn, axes = figure(11, 0.4 + 0.25 * len(top))
    axes[0, 0].barh([name for name, _ in top], [value for _, value in top], color=STAYED)
    return drawn


def figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """A matplotlib figure without a display (inches), and its axes as an array of shape (rows, columns)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8})
    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")
