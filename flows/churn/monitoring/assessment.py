"""The steps of MonitorFlow: measure the drift and performance of the windows, then assess them."""

from datetime import UTC, datetime

from churn.data import tables
from churn.errors import ChurnError
from churn.monitoring import alerts, chunked_drift, windows
from churn.monitoring.alerts import Assessment, Context, WindowResult
from churn.monitoring.chunked_drift import ChunkedDrift
from churn.monitoring.drift import Detector, Distance
from churn.monitoring.performance import Estimator, MetricValue, Realised
from churn.monitoring.windows import Analysis
from churn.registry import model_registry
from churn.serving import reference_data, release
from churn.serving.reference_data import Reference
from churn.settings import core as settings
from churn.settings.dataset import Dataset
from churn.settings.monitor import MonitorConfig


def compared(dataset: Dataset, version: str = "") -> Reference:
    """The reference data of the given model version, or of the champion.

    Raises:
        ChurnError: The version does not exist, or has no reference data.
    """
    return reference_data.load(
        model_registry.by_version(dataset.model, version) if version else release.champion(dataset)
    )


def until(text: str) -> datetime:
    """The time given as an ISO 8601 date or time (UTC by default); now if ``text`` is empty.

    Raises:
        ChurnError: ``text`` is neither.
    """
    try:
        moment = datetime.fromisoformat(text) if text else datetime.now(UTC)
    except ValueError:
        raise ChurnError(f"--until {text}: not a date or time; write it as 2026-11-25 or 2026-11-25T06:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def cut(config: MonitorConfig, rows: int) -> MonitorConfig:
    """The settings, with windows of ``rows`` rows if that is not 0.

    Raises:
        ChurnError: Windows of that size are never assessed.
    """
    if not rows:
        return config
    window = config.window.model_dump() | {"days": None, "rows": rows}
    return settings.from_dict(MonitorConfig, config.model_dump(mode="json") | {"window": window}, f"--rows {rows}")


def collect(reference: Reference, config: MonitorConfig, file: str, labels: str, end: str) -> Analysis:
    """The windows to analyse: ``file``, or those of the prediction log up to ``end``."""
    if file:
        return windows.from_file(reference, file, labels)
    return windows.from_log(reference, config, until(end), labels)


def drift(reference: Reference, analysis: Analysis, config: MonitorConfig) -> list[tuple[Distance, ...]]:
    """The distances of each window from the reference; none for a window with too few rows.

    Customers at snapshots are compared with the reference's rows of the same month, if there are enough for a window.
    """
    least = config.window.min_rows
    months = {window.month for window in analysis.windows}
    detectors = {month: Detector(reference.of_month(month, least), config.drift) for month in months}
    return [
        tuple(detectors[window.month].distances(rows)) if window.rows >= least else ()
        for window, rows in analysis.each(reference)
    ]


def chunked(reference: Reference, analysis: Analysis, config: MonitorConfig) -> list[ChunkedDrift]:
    """NannyML's drift by chunks of the windows with enough rows."""
    enough = [rows for window, rows in analysis.each(reference) if window.rows >= config.window.min_rows]
    return chunked_drift.by_chunk(reference, enough, config.drift)


def performance(
    reference: Reference, analysis: Analysis, config: MonitorConfig
) -> tuple[list[tuple[MetricValue, ...]], Realised | None, dict[str, float]]:
    """The estimated scores of each window, the realised ones if enough outcomes are known, and the scores on the reference."""
    estimator = Estimator(reference, config.performance)
    estimated = [
        tuple(estimator.estimate(rows)) if window.rows >= config.window.min_rows else ()
        for window, rows in analysis.each(reference)
    ]
    labelled = tables.from_bytes(analysis.labelled)
    both = len(labelled) >= config.performance.min_labels and labelled.outcome.nunique() == 2
    before = {metric: value for metric, (value, _) in estimator.realised_reference.items()}
    return estimated, estimator.realised(labelled) if both else None, before


def conclude(
    analysis: Analysis,
    distances: list[tuple[Distance, ...]],
    scores: list[tuple[MetricValue, ...]],
    realised: Realised | None,
    before: dict[str, float],
    config: MonitorConfig,
) -> tuple[list[WindowResult], Assessment]:
    """The result of each window, and the assessment of all windows."""
    results = [WindowResult(*measured) for measured in zip(analysis.windows, distances, scores, strict=True)]
    counts = (analysis.outcomes, analysis.unknown, analysis.others, analysis.damaged, analysis.conflicts)
    around = Context(before, analysis.file, *counts)
    return results, alerts.assess(results, realised, config, around)
