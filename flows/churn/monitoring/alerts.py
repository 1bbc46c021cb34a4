"""From measurements to an assessment: the result of each window, then ok, warn or alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from churn.monitoring.drift import ALL, MISSING, PROBABILITY, UNSEEN, Distance
from churn.monitoring.performance import CERTAIN, MetricValue, Realised
from churn.monitoring.windows import Window
from churn.settings.monitor import MonitorConfig
from churn.telemetry import prometheus_metrics
from churn.telemetry.prometheus_metrics import Sample

Severity = Literal["ok", "warn", "alert"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Colour = Literal["green", "amber", "red", "grey"]
UNKNOWN = MetricValue("roc_auc", float("nan"), float("nan"), float("nan"))
ACCURATE = 0.02  # ROC-AUC: the average error of CBPE (make bench-drift)
NAMED = 8  # the most columns that a sentence names


@dataclass(frozen=True)
class WindowResult:
    """The measurements of a window; none if it has too few rows."""

    window: Window
    distances: tuple[Distance, ...] = ()
    estimated: tuple[MetricValue, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether the window had enough rows to be measured."""
        return bool(self.distances)

    @property
    def drifted(self) -> list[Distance]:
        """The largest distance of each drifted column, the worst first; predictions are not among them."""
        worst: dict[str, Distance] = {}
        for distance in sorted(self.distances, key=lambda d: -d.excess):
            if distance.drifted and distance.column != PROBABILITY:
                worst.setdefault(distance.column, distance)
        return list(worst.values())

    @property
    def columns(self) -> list[str]:
        """The names of the drifted columns, the worst first."""
        return [d.column for d in self.drifted if d.column != ALL]

    @property
    def prediction(self) -> list[Distance]:
        """The distances of the predicted probabilities."""
        return [d for d in self.distances if d.column == PROBABILITY]

    @property
    def fallen(self) -> list[MetricValue]:
        """The estimated scores below their thresholds."""
        return [score for score in self.estimated if score.fell]

    @property
    def violates(self) -> bool:
        """Whether anything exceeds its threshold: a column, the predictions, or an estimated score."""
        return bool(self.drifted or self.fallen or any(d.drifted for d in self.prediction))

    def score(self, metric: str) -> MetricValue | None:
        """The estimate of ``metric``, if the window was measured."""
        return next((s for s in self.estimated if s.metric == metric), None)


@dataclass(frozen=True)
class Context:
    """What an assessment depends on besides the windows.

    ``before`` are the scores on the reference. A ``file`` is a single window, assessed by itself. The others are counts: known
    ``outcomes``, ``unknown`` ones without a prediction, rows of ``others``, the excluded model versions, excluded ``damaged``
    parts of the log, and ``conflicts``, predictions with different outcomes.
    """

    before: Mapping[str, float]
    file: bool = False
    outcomes: int = 0
    unknown: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    conflicts: int = 0


@dataclass(frozen=True)
class Light:
    """A question and its answer, as a traffic light."""

    question: str
    colour: Colour
    answer: str


@dataclass(frozen=True)
class Assessment:
    """The result of MonitorFlow; ``columns`` are the drifted columns of the newest window, the worst first."""

    severity: Severity
    summary: str
    lights: tuple[Light, ...]
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The summary, and one line for each light."""
        answers = [f"  {light.colour:<5}  {light.question} {light.answer}" for light in self.lights]
        return "\n".join([f"{self.severity.upper()}: {self.summary}", *answers])


def assess(
    windows: Sequence[WindowResult],
    realised: Realised | None,
    config: MonitorConfig,
    around: Context,
) -> Assessment:
    """Assess windows, oldest first.

    It is an alert if ``violations`` of the windows, including the newest, violate a threshold, or realised performance fell.
    """
    newest = windows[-1]
    violating = sum(window.violates for window in windows)
    needed = 1 if around.file else config.alert.violations
    fallen = realised.fallen if realised is not None else []
    lights = (
        _data(newest, config),
        _predictions(newest),
        _model(newest, realised, around.before),
        _knowledge(newest, realised, config, around),
    )
    severity: Severity = "ok"
    if fallen or (newest.violates and violating >= needed):
        severity = "alert"
    elif newest.violates or not newest.measured or any(light.colour in ("amber", "red") for light in lights):
        severity = "warn"
    counted = f" ({violating} of {sum(w.measured for w in windows)} windows; an alert needs {needed} with the newest)"
    summary = _summary(severity, newest, around.before, fallen, "" if around.file else counted)
    return Assessment(severity, summary, lights, tuple(newest.columns))


def _summary(
    severity: Severity, newest: WindowResult, before: Mapping[str, float], fallen: list[MetricValue], counted: str
) -> str:
    if not newest.measured:
        return f"Not enough to judge: {newest.window.rows:,} predictions in the newest window."
    findings = []
    if newest.columns:
        findings.append(f"changed: {_few(newest.columns)}")
    elif newest.drifted:
        findings.append("columns have changed together, none by itself")
    if any(d.drifted for d in newest.prediction):
        findings.append("predictions have moved")
    findings += [f"estimated {s.metric} fell to {s.value:.3f} from {before[s.metric]:.3f}" for s in newest.fallen]
    findings += [f"realised {s.metric} fell to {s.value:.3f} from {before[s.metric]:.3f}" for s in fallen]
    if not findings:
        return "Nothing has changed." if severity == "ok" else "Nothing has changed, but not everything is well known."
    text = "; ".join(findings)
    return f"{text[0].upper()}{text[1:]}{counted}."


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _data(newest: WindowResult, config: MonitorConfig) -> Light:
    question = "Is the data the same?"
    if not newest.measured:
        return Light(question, "grey", _too_few(newest, config))
    if not newest.drifted:
        return Light(question, "green", f"No column differs from the reference in {newest.window.rows:,} rows.")
    number = len(newest.columns)
    differ = {0: "No column differs by itself", 1: "1 column differs"}.get(number, f"{number} columns differ")
    worst = [_of(d) for d in newest.drifted[:4]]
    return Light(question, "red", f"{differ}. Worst: {'; '.join(worst)}.")


def _of(d: Distance) -> str:
    if d.method in (MISSING, UNSEEN):
        return f"{d.column} ({d.value:.1%} {'more or fewer missing' if d.method == MISSING else 'unseen'} values)"
    return f"{d.column}{' together' if d.column == ALL else ''} ({d.excess:.1f} times the threshold)"


def _too_few(newest: WindowResult, config: MonitorConfig) -> str:
    return f"{newest.window.rows:,} rows; {config.window.min_rows:,} are needed."


def _predictions(newest: WindowResult) -> Light:
    question = "Are the predictions the same?"
    if not newest.measured:
        return Light(question, "grey", "Too few rows.")
    worst = max(newest.prediction, key=lambda d: d.excess)
    answer = f"{worst.method.replace('_', '-')} {worst.value:.3f}, threshold {worst.threshold:.3f}."
    if worst.drifted:
        return Light(question, "red", f"Their distribution has moved: {answer}")
    return Light(question, "green", f"Their distribution is the reference's: {answer}")


def _model(newest: WindowResult, realised: Realised | None, before: Mapping[str, float]) -> Light:
    question, was = "Is the model still good?", f"{before['roc_auc']:.3f} on the holdout"
    if realised is not None:
        answer = f"ROC-AUC {realised.score('roc_auc').value:.3f} on {realised.rows:,} customers whose outcome is known, {was}."
        return Light(question, "red" if realised.fallen else "green", answer)
    estimate = newest.score("roc_auc")
    if estimate is None:
        return Light(question, "grey", f"Not known. Its ROC-AUC was {was}.")
    answer = f"Estimated ROC-AUC {estimate.value:.3f}, {was}; what counts is a fall below {estimate.threshold:.3f}."
    return Light(question, "red" if newest.fallen else "green", answer)


def _knowledge(newest: WindowResult, realised: Realised | None, config: MonitorConfig, around: Context) -> Light:
    notes = []
    if around.others:
        listed = ", ".join(f"{rows:,} by version {version}" for version, rows in sorted(around.others.items()))
        notes.append(f"Answers of other models were left out: {listed}.")
    if around.damaged:
        number = f"{len(around.damaged)} part{'s' if len(around.damaged) > 1 else ''}"
        notes.append(f"{number} of the prediction log, damaged, left out: {_few(around.damaged)}.")
    if around.unknown:
        notes.append(
            f"{around.unknown:,} outcomes belong to no prediction of the last {config.performance.label_days} days."
        )
    if around.conflicts:
        notes.append(f"{around.conflicts:,} predictions were given different outcomes; the first of each counts.")
    colour: Colour = "amber" if notes else "green"
    if not newest.measured:
        colour, answer = "amber", _too_few(newest, config)
    elif realised is None:
        colour = "amber" if notes else "grey"
        answer = (
            f"Only an estimate: {around.outcomes:,} outcomes are known, and {config.performance.min_labels} of both kinds are "
            "needed. An estimate cannot see that the same customers have begun to behave otherwise."
        )
    else:
        now, estimate = realised.score("roc_auc"), realised.estimated["roc_auc"]
        off = abs(estimate - now.value)
        answer = f"For those {realised.rows:,} customers the estimate was {estimate:.3f}: {off:.3f} from the truth."
        if off > max(CERTAIN * now.error, ACCURATE):
            colour = "red"
            answer += (
                " That is more than chance: customers behave otherwise than in the reference (concept drift). Do not "
                "trust the estimate; train again."
            )
    return Light("Do we know?", colour, " ".join([answer, *notes]))


def samples(
    newest: WindowResult, realised: Realised | None, assessment: Assessment, damaged: int = 0, conflicts: int = 0
) -> list[Sample]:
    """The samples for Prometheus (``prometheus_metrics.MONITORING``); unknown values are NaN."""
    estimate = newest.score("roc_auc") or UNKNOWN
    roc_auc = realised.score("roc_auc") if realised is not None else UNKNOWN
    emitted = [
        prometheus_metrics.SEVERITY.of(SEVERITIES.index(assessment.severity)),
        prometheus_metrics.WINDOW_ROWS.of(newest.window.rows),
        prometheus_metrics.LOG_DAMAGED.of(damaged),
        prometheus_metrics.ESTIMATED_ROC_AUC.of(estimate.value),
        prometheus_metrics.ESTIMATED_LIMIT.of(estimate.threshold),
        prometheus_metrics.REALIZED_ROC_AUC.of(roc_auc.value),
        prometheus_metrics.REALIZED_LIMIT.of(roc_auc.threshold),
        prometheus_metrics.CONFLICTS.of(conflicts),
    ]
    for d in newest.distances:
        if d.column == PROBABILITY:
            emitted.append(prometheus_metrics.PREDICTION_DRIFT.of(d.value, method=d.method))
            emitted.append(prometheus_metrics.PREDICTION_LIMIT.of(d.threshold, method=d.method))
        else:
            emitted.append(prometheus_metrics.FEATURE_DRIFT.of(d.value, feature=d.column, method=d.method))
            emitted.append(prometheus_metrics.FEATURE_LIMIT.of(d.threshold, feature=d.column, method=d.method))
    return emitted
