"""The card of TrainFlow: the verdict first, then the evidence."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from churn.cards import events_card, uplift_card
from churn.cards.card_parts import CHURNED, STAYED, Part, Table, figure
from churn.data import features
from churn.registry.gate import Gate
from churn.registry.training_record import Training
from churn.training import expected_profit, metrics
from churn.training.evaluation import Baseline, Evaluation, Slice
from churn.training.hyperparameter_search import Candidate
from churn.training.selection import Chosen

FAINT = "#aaaaaa"
GROUPS = "In brackets, the 99 % interval: the gate fails only if even its better end is beyond the bound."


def parts(training: Training) -> list[Part]:
    """The parts of the card."""
    evaluation, chosen, metric = training.evaluation, training.chosen, training.config.search.metric
    later = "" if training.data.dataset.time is None else ", each tested on later rows than it is fitted on"
    return [
        f"# Challenger: {training.winner.family.name}",
        f"**{training.gate.summary}** Trained on data version `{training.data.version}`; holdout of "
        f"{len(evaluation.outcome):,} customers, read once.",
        *([f"**Warnings:** {'; '.join(training.gate.warnings)}"] if training.gate.warnings else []),
        "## Gate",
        _gate(training.gate),
        *looks(training),
        "## Leaderboard",
        f"Cross-validated on the training rows ({training.config.search.folds} folds{later}, decided by {_plain(metric)}).",
        _leaderboard(training, evaluation.baselines),
        *baselines(evaluation),
        _parameters(training.board),
        "## Holdout",
        holdout_scores(evaluation),
        *events_card.calendar(training.data, evaluation),
        decision(chosen),
        *uplift_card.measured_rates(chosen.worth),
        _curves(evaluation),
        calibration(chosen),
        _reliability(evaluation),
        *([_profit(chosen, evaluation)] if chosen.curve is not None else []),
        *(["## Groups", GROUPS, groups(evaluation.slices)] if evaluation.slices else []),
        "## Feature importance",
        "Red: the loss of ROC-AUC when the column is shuffled (permutation importance on holdout rows). Blue: by how much "
        "the column moves a customer's probability on average (mean absolute Shapley value).",
        _importance(evaluation),
    ]


def holdout_scores(evaluation: Evaluation) -> Table:
    """The scores on the holdout with their 95 % bootstrap intervals."""
    rows = [
        [name, f"{value:.4f}", *(f"{edge:.4f}" for edge in evaluation.intervals[name])]
        for name, value in evaluation.scores.items()
    ]
    return Table(["score", "holdout", "95 % from", "to"], rows)


def baselines(evaluation: Evaluation) -> list[Part]:
    """The model-free baselines on the holdout; empty for data without events."""
    if not evaluation.baselines:
        return []
    rows = [
        [one.name, f"{one.auc:.4f}", _between(one.interval), f"{one.gain:+.4f}", _between(one.gain_interval, "+"),
         "beaten" if one.beaten else "**not surely beaten**"]
        for one in evaluation.baselines
    ]  # fmt: skip
    said = "Baselines on the same rows: what can be known without a model. One that does not beat them is not worth its cost."
    return [said, Table(["baseline", "roc_auc", "95 %", "the model's gain", "95 %", ""], rows)]


def _between(interval: tuple[float, float], sign: str = "") -> str:
    return f"{interval[0]:{sign}.4f} to {interval[1]:{sign}.4f}"


def looks(training: Training) -> list[str]:
    """How often the holdout customers have been used to compare models, and the confidence this look requires."""
    comparison, rule = training.gate.comparison, training.config.promotion
    if comparison is None or not comparison.look:
        return []
    fresh = " A data version with customers that no comparison has used lowers the bar again."
    return [
        f"Look {comparison.look} at these {comparison.rows:,} customers; every look is another chance for luck. To keep "
        f"the probability that any look promotes a model that is no better to at most {1 - rule.confidence:.1%}, this one "
        f"requires {comparison.confidence_needed:.4%} confidence (alpha spending)."
        + (fresh if comparison.look > 1 else "")
    ]


def decision(chosen: Chosen) -> str:
    """The decision rule for customers."""
    if chosen.curve is None or chosen.worth is None:
        return (
            f"A customer counts as churning at a probability of {chosen.threshold:.3f} or more: the threshold with the best "
            "F1 score on out-of-fold predictions."
        )
    who = "a customer" if chosen.worth.margin_column is None else f"a customer who brings {chosen.worth.margin:.2f}"
    by_risk = " at the earliest: success rates are measured by risk" if len(chosen.worth.evidence) > 1 else ""
    return (
        f"A customer is worth contacting if the expected profit is above 0; for {who}, that is at a probability above "
        f"{chosen.threshold:.3f}{by_risk}. On out-of-fold predictions this contacts {chosen.curve.contacted:.1%} of the "
        f"customers and earns {chosen.curve.earned:.2f} per customer, averaged over all."
    )


def calibration(chosen: Chosen) -> str:
    """The effect of recalibration, and whether it is used."""
    c = chosen.calibration
    verdict = "It is used." if c.used else "It is not used: it does not lower the Brier score."
    return (
        f"Logistic recalibration, out of fold: Brier {c.brier[0]:.4f} to {c.brier[1]:.4f}, expected calibration error "
        f"{c.ece[0]:.4f} to {c.ece[1]:.4f}. {verdict}"
    )


def groups(slices: Sequence[Slice]) -> Table:
    """The scores of each group of customers, with the interval where the gate uses it."""

    def score(s: Slice, name: str) -> str:
        if not s.scores:
            return "too few"
        sure = s.intervals.get(name)
        return f"{s.scores[name]:.3f}" + (f" ({sure[0]:.3f} to {sure[1]:.3f})" if sure else "")

    shown = ("roc_auc", "recall", "precision", "brier", "ece")
    rows = [
        [
            f"{s.column} = {s.group}",
            f"{s.rows:,}",
            f"{s.churned:,}",
            *(score(s, name) for name in shown),
            "; ".join(s.warnings),
        ]
        for s in slices
    ]
    return Table(["group", "customers", "churned", *shown, "warnings"], rows)


def _gate(gate: Gate) -> Table:
    rows = [["ok" if v.passed else "FAILED", v.metric, v.slice or "all", str(v)] for v in gate.verdicts]
    if (c := gate.comparison) is not None:
        value = (
            f"{c.challenger_roc_auc:.4f} against {c.champion_roc_auc:.4f} of version {c.champion} on {c.rows:,} rows, "
            f"gain {c.gain_low:+.4f} to {c.gain_high:+.4f}: {c.reason}"
        )
        rows.append(["better" if c.promote else "not better", "roc_auc", "all", value])
    return Table(["verdict", "metric", "customers", "evidence"], rows)


def _leaderboard(training: Training, baselines: Sequence[Baseline]) -> Table:
    rows, board, metric = [], training.board, training.config.search.metric
    money = ["profit", "EMPC"] if training.value is not None else []
    for place, candidate in enumerate(board, start=1):
        low, high = sorted(abs(edge) for edge in candidate.interval)
        budget = " (time budget)" if candidate.stopped else ""
        scores = [f"{abs(value):.4f}" for value in candidate.best.scores.values()]
        spent = f"{candidate.seconds:.0f} s{budget}"
        earned = _earned(training, candidate)
        rows.append([str(place), candidate.family.name, *scores, f"{low:.4f} to {high:.4f}", *earned, spent])
    for one in (one for one in baselines if len(one.by_fold) > 1):
        mean, (low, high) = f"{fmean(one.by_fold):.4f}", metrics.fold_interval(one.by_fold)
        scores = [mean if name == "roc_auc" else "" for name in board[0].best.scores]
        interval = f"{low:.4f} to {high:.4f}" if metric == "roc_auc" else ""
        rows.append(["", f"{one.name} (baseline)", *scores, interval, *("" for _ in money), ""])
    return Table(["", "family", *map(_plain, board[0].best.scores), f"{_plain(metric)} 95 %", *money, "search"], rows)


def _earned(training: Training, candidate: Candidate) -> list[str]:
    """Out-of-fold profit per customer from contacting those whom it pays to contact, and EMPC, the best at any threshold."""
    worth, dataset, train = training.value, training.data.dataset, training.data.train
    if worth is None:
        return []
    tested = ~np.isnan(candidate.unseen)
    outcome, unseen = features.outcome(dataset, train)[tested], candidate.unseen[tested]
    raw = features.from_frame(dataset, train[tested])
    curve = expected_profit.curve(
        expected_profit.gains(worth, raw, outcome, unseen), expected_profit.expected(worth, raw, unseen)
    )
    return [f"{curve.earned:.2f}", f"{expected_profit.empc(worth, outcome, unseen):.2f}"]


def _plain(metric: str) -> str:
    """The name of a metric without scikit-learn's sign: errors are shown as positive values, lower being better."""
    return metric.removeprefix("neg_").removesuffix("_score")


def _parameters(board: list[Candidate]) -> Table:
    rows = []
    for candidate in board:
        params = candidate.best.params.items()
        shown = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in params)
        rows.append([candidate.family.name, shown])
    return Table(["family", "best parameters"], rows)


def _curves(evaluation: Evaluation) -> Any:
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

    drawn, axes = figure(11, 3.4, 1, 3)
    roc, pr, matrix = axes[0]
    RocCurveDisplay.from_predictions(
        evaluation.outcome, evaluation.probability, ax=roc, curve_kwargs={"color": CHURNED}, plot_chance_level=True
    )
    PrecisionRecallDisplay.from_predictions(
        evaluation.outcome, evaluation.probability, ax=pr, curve_kwargs={"color": CHURNED}, plot_chance_level=True
    )
    ConfusionMatrixDisplay.from_predictions(
        evaluation.outcome,
        evaluation.decision.astype(int),
        display_labels=["stayed", "churned"],
        ax=matrix,
        colorbar=False,
        cmap="Blues",
    )
    for axis, title in (
        (roc, "ROC curve"),
        (pr, "Precision-recall curve"),
        (matrix, "Decisions"),
    ):
        axis.set_title(title)
    return drawn


def _reliability(evaluation: Evaluation) -> Any:
    from sklearn.calibration import calibration_curve

    drawn, axes = figure(11, 3.0, 1, 2)
    curve, spread = axes[0]
    observed, predicted = calibration_curve(evaluation.outcome, evaluation.probability, n_bins=10, strategy="quantile")
    curve.plot([0, 1], [0, 1], color=FAINT, linestyle="--")
    curve.plot(predicted, observed, marker="o", color=CHURNED)
    curve.set(title="Calibration", xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
    for outcome, colour, label in ((0, STAYED, "stayed"), (1, CHURNED, "churned")):
        spread.hist(
            evaluation.probability[evaluation.outcome == outcome],
            bins=25,
            range=(0, 1),
            histtype="step",
            color=colour,
            label=label,
        )
    spread.axvline(evaluation.threshold, color=FAINT, linestyle="--")
    spread.set(title="Predicted probabilities", xlabel="probability of churn", ylabel="customers")
    spread.legend(frameon=False)
    return drawn


def _profit(chosen: Chosen, evaluation: Evaluation) -> Any:
    assert chosen.curve is not None
    drawn, axes = figure(11, 3.0)
    axis = axes[0, 0]
    axis.plot(chosen.curve.share, chosen.curve.profit, color=STAYED, label="out of fold")
    if evaluation.curve is not None:
        axis.plot(evaluation.curve.share, evaluation.curve.profit, color=CHURNED, label="holdout")
    axis.axvline(chosen.curve.contacted, color=FAINT, linestyle="--")
    axis.axhline(0, color=FAINT)
    axis.set(title="Profit per customer", xlabel="share of customers contacted, most profitable first")
    axis.legend(frameon=False)
    return drawn


def _importance(evaluation: Evaluation) -> Any:
    drawn, axes = figure(11, 3.4, 1, 2)
    for axis, ranking, colour in zip(
        axes[0], (evaluation.importance, evaluation.reasons), (CHURNED, STAYED), strict=True
    ):
        top = ranking[:12][::-1]
        axis.barh([name for name, _ in top], [value for _, value in top], color=colour)
    return drawn
