"""The steps of DataFlow: combine the sources, check them, compare them with the last version, quarantine, save."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.data import features, snapshots, sources, split, tables
from churn.data.sources import Rows
from churn.data.split import HOLDOUT, TRAIN
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.data import Origin, Quality, Split, Versioning
from churn.settings.dataset import Dataset
from churn.settings.environment import ROOT, STATE, private
from churn.validation import profile, validation
from churn.validation.checks import Report
from churn.validation.profile import Profile
from churn.validation.sorted_columns import SortedColumns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Ingested:
    """The checked customers of all sources.

    ``stored`` holds the Parquet bytes of ``table``, written in a background thread; ``distances`` are those of the columns from
    the ``previous`` version, if there is one; ``notes`` say how the files were read.
    """

    table: "pd.DataFrame"
    stored: Future[bytes]
    quarantine: "pd.DataFrame"
    columns: SortedColumns
    report: Report
    profile: Profile
    distances: dict[str, float]
    previous: Profile | None
    origin: str
    notes: tuple[str, ...] = ()

    @property
    def profile_json(self) -> str:
        """The profile as JSON, as later runs read it."""
        return profile.to_json(self.profile)


def ingest(
    origins: Sequence[Origin], parts: Sequence[Rows], dataset: Dataset, limits: Quality, previous: Profile | None
) -> Ingested:
    """Combine, type and check all sources, including against the profile of the previous data version.

    ``parts`` holds the rows of the ``origins``, in the same order.
    """
    frames, notes = zip(*parts, strict=True)
    origin = ", ".join(source.name for source in origins)
    validated = validation.validate(sources.combine(origins, frames, dataset), dataset, limits, origin)
    stored = ThreadPoolExecutor(1).submit(tables.to_bytes, validated.table)
    distances = profile.distances(previous, validated.table, validated.columns) if previous else {}
    report = replace(
        validated.report, checks=(*validated.report.checks, *profile.drift_checks(distances, dataset, limits))
    )
    now = profile.profile(validated.table, dataset, validated.columns)
    return Ingested(
        validated.table,
        stored,
        validated.quarantine,
        validated.columns,
        report,
        now,
        distances,
        previous,
        origin,
        sum(notes, ()),
    )


def set_aside(ingested: Ingested, name: str) -> tuple[str, list[str]]:
    """Write the quarantined rows, unless the run stops anyway."""
    return ("", []) if ingested.report.errors else write_quarantine(ingested.quarantine, name)


def write_quarantine(rows: "pd.DataFrame", name: str) -> tuple[str, list[str]]:
    """Write ``rows`` to quarantine/NAME.csv in the local state.

    Returns:
        The CSV text (empty without rows), and notes that name the file.
    """
    if rows.empty:
        return "", []
    text = rows.to_csv(index=False)
    path = STATE / "quarantine" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", opener=private) as file:
        file.write(text)
    return text, [f"{len(rows):,} row{'s' * (len(rows) > 1)} with errors set aside, with the reasons: {path}"]


def derive_and_split(table: bytes, dataset: Dataset, settings: Split) -> "tuple[bytes, np.ndarray, tuple[int, int]]":
    """The derived features of n customers (Parquet bytes), each one's side (int8, shape (n,)), and the size of each side."""
    with ThreadPoolExecutor(1) as aside:  # hashing releases the GIL
        drawn = aside.submit(_split, table, dataset, settings)
        derived = tables.to_bytes(features.derived(dataset, tables.typed(table, dataset, dataset.used)))
        sides = drawn.result()
    return derived, sides, (int((sides == TRAIN).sum()), int((sides == HOLDOUT).sum()))


def _split(table: bytes, dataset: Dataset, settings: Split) -> "np.ndarray":
    return split.sides(tables.typed(table, dataset, split.columns(dataset)), dataset, settings)


def save(
    table: bytes,
    derived: bytes,
    sides: "np.ndarray",
    dataset: Dataset,
    synthetic: bool,
    settings: Versioning,
    lineage: dict[str, Any] | None = None,
) -> snapshots.Saved:
    """Save the table and its derived features, split in two, as a data version.

    ``lineage`` records the events behind it. Also writes the .dvc pointer if ``settings`` name a place.

    Raises:
        ChurnError: The pointer cannot be written.
    """
    train, holdout = tables.side_by_side([table, derived], [sides == side for side in (TRAIN, HOLDOUT)], dataset)
    boundary = None
    if dataset.time is not None:
        boundary = split.boundary(tables.from_bytes(table, [dataset.time])[dataset.time], sides)
    saved = snapshots.save(train, holdout, dataset, synthetic, boundary, lineage)
    if settings.pointer:
        try:
            snapshots.write_pointer(saved, Path(ROOT, settings.pointer))
        except OSError as error:
            place = f"pointer = {settings.pointer!r} in {commands.settings('data.toml')} [version]"
            raise ChurnError(f"{place}: cannot be written: {error}") from None
    return saved


def summary(
    saved: snapshots.Saved, rows: tuple[int, int], unused: int, synthetic: bool, left_out: Sequence[str]
) -> str:
    """The last line of a DataFlow run: the data version, and what became of the rows."""
    kind = "synthetic rows" if synthetic else "rows"
    rest = [f"{unused} in neither: other times of the same customers"] * bool(unused)
    out = f"; left out: {', '.join(left_out)}" if left_out else ""
    parts = ", ".join([f"{rows[0]} {kind} to train", f"{rows[1]} held out", *rest])
    return f"Data version {saved.version} ({saved}): {parts}{out}"
