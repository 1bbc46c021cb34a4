"""The data to monitor: the prediction log divided into windows, or a file of customers as one window."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from churn.data import casting, features, sources, tables
from churn.data.formats import parse_timestamps
from churn.errors import ChurnError
from churn.files import header_lines
from churn.monitoring import labels
from churn.monitoring.labels import Labels
from churn.registry import model_registry
from churn.serving import prediction_log
from churn.serving.reference_data import Reference
from churn.settings.monitor import MonitorConfig
from churn.training import expected_profit, onnx_scorer
from churn.validation import exclusions

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Window:
    """Rows that are compared with the reference together; ``name`` identifies them on cards and in messages.

    ``month`` (1 to 12), for customers at snapshots, selects the reference's rows of the same month.
    """

    name: str
    rows: int
    month: int | None = None


@dataclass(frozen=True)
class Analysis:
    """The windows to analyse, oldest first, and their rows.

    ``table`` (Parquet) holds the rows of all windows in order: raw columns, ``probability`` and ``decision``. ``labelled``
    (Parquet) holds the ``outcomes`` rows whose outcome is known: ``probability``, ``decision`` and ``outcome``. ``unknown``
    counts outcomes of unknown predictions, ``conflicts`` predictions with different outcomes, ``others`` excluded rows of other
    versions. With ``file``, the only window is a file, not the log; ``notes`` say how it was read. ``damaged`` are the
    addresses of the log's parts that were excluded.
    """

    origin: str
    windows: tuple[Window, ...]
    table: bytes
    labelled: bytes
    others: dict[str, int]
    outcomes: int
    unknown: int
    file: bool
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    conflicts: int = 0

    def each(self, reference: Reference) -> Iterator[tuple[Window, "pd.DataFrame"]]:
        """Each window with its rows."""
        table, start = tables.typed(self.table, reference.dataset), 0
        for window in self.windows:
            yield window, table.iloc[start : start + window.rows]
            start += window.rows


def from_log(
    reference: Reference, config: MonitorConfig, until: datetime, file: str = "", at: str | None = None
) -> Analysis:
    """The last windows of the prediction log before ``until`` (an aware datetime), with the champion's predictions only.

    ``file`` may name a file of labels, ``at`` another root of the log. An empty log gives a window without rows.

    Raises:
        ChurnError: The log or the labels cannot be read.
    """
    import pandas as pd

    rule, version = config.window, reference.model.version
    parts: list[pd.DataFrame] = []
    damaged: set[str] = set()
    if rule.rows is not None:
        newest = prediction_log.newest(reference.dataset, rule.rows * rule.last, version, until, at, damaged)
        ends = range(len(newest), 0, -rule.rows) if len(newest) else [0]
        parts = [newest.iloc[max(end - rule.rows, 0) : end] for end in reversed(ends)]
        names = [_name(part.time.iloc[0], part.time.iloc[-1]) if len(part) else "nothing" for part in parts]
        start = newest.time.min() if len(newest) else until - timedelta(days=1)
        others = prediction_log.versions(start, until, at, damaged)
    else:
        assert rule.days is not None
        step = timedelta(days=rule.days)
        start = until - rule.last * step
        logged = prediction_log.read(reference.dataset, start, until, at, damaged)
        others = {str(v): int(n) for v, n in logged.model_version.value_counts().items()}
        logged = logged[logged.model_version == version]
        edges = [start + i * step for i in range(rule.last + 1)]
        parts = [logged[(logged.time >= a) & (logged.time < b)] for a, b in pairwise(edges)]
        first = next((i for i, part in enumerate(parts) if len(part)), len(parts) - 1)
        parts, names = parts[first:], [_name(a, b) for a, b in pairwise(edges)][first:]
    outcomes = labels.from_log(reference, file, config.performance.label_days, until, at, damaged)
    others.pop(version, None)
    windows = tuple(
        Window(f"{i}: {name}", len(part), _month(part.time, reference))
        for i, (name, part) in enumerate(zip(names, parts, strict=True), 1)
    )
    origin = f"prediction log {at or prediction_log.root()}"
    analysis = _analysis(origin, windows, pd.concat(parts), reference, others, outcomes)
    left_out = tuple(sorted(damaged))
    return replace(analysis, damaged=left_out, notes=tuple(f"{part}: damaged, and left out" for part in left_out))


def _name(start: datetime, end: datetime) -> str:
    return (
        f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        if start.date() != end.date()
        else f"{start:%Y-%m-%d %H:%M} to {end:%H:%M}"
    )


def _analysis(
    origin: str,
    windows: tuple[Window, ...],
    table: "pd.DataFrame",
    reference: Reference,
    others: dict[str, int],
    outcomes: Labels,
    file: bool = False,
) -> Analysis:
    rows = tables.to_bytes(table[[*reference.dataset.raw, "probability", "decision"]])
    labelled = tables.to_bytes(outcomes.table[["probability", "decision", "outcome"]])
    return Analysis(
        origin,
        windows,
        rows,
        labelled,
        others,
        len(outcomes.table),
        outcomes.unknown,
        file,
        conflicts=outcomes.conflicts,
    )


def from_file(reference: Reference, path: str, file: str = "") -> Analysis:
    """The file of customers at ``path`` as one window.

    It needs the raw columns. Without a column ``probability``, the champion predicts it. Outcomes are read from the target
    column, or else from the labels in ``file``, by ``prediction_id``.

    Raises:
        ChurnError: The file lacks a column or has an invalid value; the message names both.
    """
    dataset = reference.dataset
    data, notes = sources.read(sources.named(path), dataset)
    frame, _, dropped = header_lines.drop_repeated(tables.from_bytes(data), path)
    if missing := [name for name in dataset.raw if name not in frame]:
        raise ChurnError(f"{path}: no column {', '.join(missing)}; the model was trained with it. Export it too")
    others: dict[str, int] = {}
    if "model_version" in frame:
        versions = casting.as_text(frame.model_version)
        others = {str(v): int(n) for v, n in versions.value_counts().items() if v != reference.model.version}
        frame = frame[versions == reference.model.version]
    table = _typed(frame, reference, path)
    table = _predicted(table, frame, reference, path)
    outcomes = _told(table, frame, reference, path, file)
    time = dataset.time if dataset.time in frame else None
    month = _month(parse_timestamps(frame[time], dataset.columns[time].format), reference) if time is not None else None
    window = Window(Path(path).name, len(table), month)
    analysis = _analysis(path, (window,), table, reference, others, outcomes, file=True)
    return replace(analysis, notes=(*notes, *dropped))


def _month(times: "pd.Series", reference: Reference) -> int | None:
    """The month of most rows; None for customers that are not taken at snapshots."""
    if reference.dataset.snapshots is None or times.isna().all():
        return None
    return int(times.dt.month.mode().iloc[0])


def _typed(frame: "pd.DataFrame", reference: Reference, path: str) -> "pd.DataFrame":
    raw = reference.dataset.raw
    typed, unreadable = casting.cast(frame[list(raw)], reference.dataset)
    for name, bad in unreadable.items():
        value = frame[name][bad].iloc[0]
        raise ChurnError(
            f"{path}: column {name}: {int(bad.sum())} cells are not of type {raw[name].type}, the first is {value!r}; "
            "correct the file"
        )
    return typed


def _predicted(table: "pd.DataFrame", frame: "pd.DataFrame", reference: Reference, path: str) -> "pd.DataFrame":
    import pandas as pd

    if "probability" in frame:
        probability = pd.to_numeric(frame.probability, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        bad = ~((probability >= 0) & (probability <= 1))
        if bad.any():
            raise ChurnError(f"{path}: column probability: {frame.probability[bad].iloc[0]!r} is not between 0 and 1")
    elif len(table):
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            probability = (
                onnx_scorer.Scorer(model_registry.fetch(reference.model, folder)).table(table).astype(np.float64)
            )
    else:
        probability = np.empty(0)
    raw = features.from_frame(reference.dataset, table)
    decision = expected_profit.decide(reference.worth, raw, probability, reference.threshold)
    return table.assign(probability=probability, decision=decision)


def _told(table: "pd.DataFrame", frame: "pd.DataFrame", reference: Reference, path: str, file: str) -> Labels:
    dataset = reference.dataset
    if dataset.target in frame:
        texts = casting.as_text(frame[dataset.target], dataset.missing_words(dataset.target)).astype("str")
        there = (texts.notna() & ~exclusions.left_out(texts, dataset)).to_numpy()
        where = f"{path}: column {dataset.target}"
        return Labels(table[there].assign(outcome=labels.outcomes(texts[there], dataset, where).to_numpy()))
    if not file:
        return Labels(table.iloc[:0].assign(outcome=np.empty(0, dtype=bool)))
    if "prediction_id" not in frame:
        raise ChurnError(f"{path}: no column prediction_id, which is needed to match the labels in {file}")
    outcomes = labels.read(file, dataset).drop_duplicates("prediction_id", keep="last")
    joined = table.assign(prediction_id=frame.prediction_id.astype("str").to_numpy()).merge(
        outcomes, on="prediction_id"
    )
    return Labels(joined, len(outcomes) - joined.prediction_id.nunique())
