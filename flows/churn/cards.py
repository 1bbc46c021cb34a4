"""What the flows' cards show. A card is a list of parts: Markdown text, a Table, or a matplotlib figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churn.config import TrainConfig
from churn.evaluation import Evaluation, Gate
from churn.tuning import Candidate

if TYPE_CHECKING:
    pass

CHURNED, STAYED, FAINT = "#c4472f", "#3f6f9f", "#aaaaaa"


@dataclass(frozen=True)
class Table:
    """A table of a card; every cell is text."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


Part = Any  # str (Markdown), Table, or a matplotlib Figure


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
