"""What MonitorFlow's steps do: measure drift and performance of the windows, then decide."""

from datetime import UTC, datetime

from churn.data import tables
from churn.errors import ChurnError
from churn.monitoring import alerts, windows
from churn.monitoring.alerts import Circumstances, Judged, Verdict
from churn.monitoring.drift import Detector, Distance
from churn.monitoring.performance import Estimator, Realised, Score
from churn.monitoring.windows import Analysis
from churn.registry import model_registry
from churn.serving import reference, release
from churn.serving.reference import Reference
from churn.settings import core as settings
from churn.settings.dataset import Dataset
from churn.settings.monitor import MonitorConfig


def compared(dataset: Dataset, version: str = "") -> Reference:
    """The reference of the model version, or of the champion. Raises ChurnError if there is none, or it has no reference."""
    return reference.load(model_registry.by_version(dataset.model, version) if version else release.champion(dataset))


def until(text: str) -> datetime:
    """The moment named by an ISO 8601 date or time (UTC unless it says otherwise); now for an empty text."""
    try:
        moment = datetime.fromisoformat(text) if text else datetime.now(UTC)
    except ValueError:
        raise ChurnError(f"--until {text}: not a date or time; write it as 2026-11-25 or 2026-11-25T06:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def cut(config: MonitorConfig, rows: int) -> MonitorConfig:
    """The settings, with windows of ``rows`` instead if that is not 0. Raises ChurnError if such windows are never judged."""
    if not rows:
        return config
    own = config.window.model_dump() | {"days": None, "rows": rows}
    return settings.check(MonitorConfig, config.model_dump(mode="json") | {"window": own}, f"--rows {rows}")


def collect(known: Reference, config: MonitorConfig, file: str, labels: str, end: str) -> Analysis:
    """The windows to look at: of ``file``, or of the prediction log up to ``end``."""
    if file:
        return windows.from_file(known, file, labels)
    return windows.from_log(known, config, until(end), labels)


def drift(known: Reference, analysis: Analysis, config: MonitorConfig) -> list[tuple[Distance, ...]]:
    """Of each window the distances from the reference, of customers at moments from its rows of the same month if there are as
    many as a window needs; none where there are too few rows.
    """
    least = config.window.min_rows
    months = {window.month for window in analysis.windows}
    detectors = {month: Detector(known.of_month(month, least), config.drift) for month in months}
    return [
        tuple(detectors[window.month].distances(rows)) if window.rows >= least else ()
        for window, rows in analysis.each(known)
    ]


def performance(
    known: Reference, analysis: Analysis, config: MonitorConfig
) -> tuple[list[tuple[Score, ...]], Realised | None, dict[str, float]]:
    """Of each window the estimated scores; the realised ones if enough outcomes are known; the scores on the reference."""
    estimator = Estimator(known, config.performance)
    estimated = [
        tuple(estimator.estimate(rows)) if window.rows >= config.window.min_rows else ()
        for window, rows in analysis.each(known)
    ]
    told = tables.from_bytes(analysis.labelled)
    both = len(told) >= config.performance.min_labels and told.outcome.nunique() == 2
    before = {metric: value for metric, (value, _) in estimator.realised_reference.items()}
    return estimated, estimator.realised(told) if both else None, before


def judge(
    analysis: Analysis,
    distances: list[tuple[Distance, ...]],
    scores: list[tuple[Score, ...]],
    realised: Realised | None,
    before: dict[str, float],
    config: MonitorConfig,
) -> tuple[list[Judged], Verdict]:
    """The windows with what was measured, and the verdict."""
    judged = [Judged(*found) for found in zip(analysis.windows, distances, scores, strict=True)]
    around = Circumstances(before, analysis.file, analysis.outcomes, analysis.unknown, analysis.others)
    return judged, alerts.decide(judged, realised, config, around)
