"""What DataFlow does with its sources, put together: combine, check, compare with the last version, set aside, store."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from churn.data import features, snapshots, sources, split, tables
from churn.data.sources import Rows
from churn.data.split import HOLDOUT, TRAIN
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.data import Quality, Source, Split, Versioning
from churn.settings.dataset import Dataset
from churn.settings.environment import ROOT, STATE
from churn.validation import profile, validation
from churn.validation.checks import Report
from churn.validation.profile import Profile
from churn.validation.sorted_columns import Columns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Intake:
    """The checked customers, also as they are ``stored`` (Parquet bytes, written while this is looked at); ``distances`` says how
    far each column is from the previous version, if there is one; ``notes`` how the files were read.
    """

    table: "pd.DataFrame"
    stored: Future[bytes]
    quarantine: "pd.DataFrame"
    columns: Columns
    report: Report
    profile: Profile
    distances: dict[str, float]
    previous: Profile | None
    origin: str
    notes: tuple[str, ...] = ()

    @property
    def profile_json(self) -> str:
        """The profile as a later run reads it."""
        return profile.text(self.profile)


def check(
    origins: Sequence[Source], parts: Sequence[Rows], dataset: Dataset, limits: Quality, previous: Profile | None
) -> Intake:
    """One table of all sources, typed and checked, also against the profile of the previous data version."""
    given, notes = zip(*parts, strict=True)
    origin = ", ".join(source.name for source in origins)
    found = validation.validate(sources.combine(origins, given, dataset), dataset, limits, origin)
    stored = ThreadPoolExecutor(1).submit(tables.to_bytes, found.table)
    distances = profile.distances(previous, found.table, found.columns) if previous else {}
    report = replace(found.report, checks=(*found.report.checks, *profile.drift_checks(distances, dataset, limits)))
    now = profile.profile(found.table, dataset, found.columns)
    return Intake(
        found.table, stored, found.quarantine, found.columns, report, now, distances, previous, origin, sum(notes, ())
    )


def set_aside(found: Intake, name: str) -> tuple[str, list[str]]:
    """The ``quarantine`` of rows that passed as a whole; nothing if the run stops anyway."""
    return ("", []) if found.report.errors else quarantine(found.quarantine, name)


def quarantine(rows: "pd.DataFrame", name: str) -> tuple[str, list[str]]:
    """``rows`` as CSV text (empty: none), also written to the local state as quarantine/NAME.csv, and notes that say so."""
    if rows.empty:
        return "", []
    text = rows.to_csv(index=False)
    path = STATE / "quarantine" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return text, [f"{len(rows):,} row{'s' * (len(rows) > 1)} with errors set aside, with the reasons: {path}"]


def prepare(table: bytes, dataset: Dataset, settings: Split) -> "tuple[bytes, np.ndarray, tuple[int, int]]":
    """The derived features of n customers (Parquet bytes), the side each is on (int8, (n,)), and how many are on either."""
    with ThreadPoolExecutor(1) as aside:  # what takes time there lets others run
        drawn = aside.submit(_split, table, dataset, settings)
        derived = tables.to_bytes(features.derived(dataset, tables.typed(table, dataset, dataset.used)))
        sides = drawn.result()
    return derived, sides, (int((sides == TRAIN).sum()), int((sides == HOLDOUT).sum()))


def _split(table: bytes, dataset: Dataset, settings: Split) -> "np.ndarray":
    return split.sides(tables.typed(table, dataset, split.columns(dataset)), dataset, settings)


def store(
    table: bytes, derived: bytes, sides: "np.ndarray", dataset: Dataset, made_up: bool, settings: Versioning
) -> snapshots.Saved:
    """Version the table and its derived features, split in two; write the .dvc pointer if ``settings`` say where."""
    train, holdout = tables.side_by_side([table, derived], [sides == side for side in (TRAIN, HOLDOUT)], dataset)
    boundary = None
    if dataset.time is not None:
        boundary = split.boundary(tables.from_bytes(table, [dataset.time])[dataset.time], sides)
    saved = snapshots.save(train, holdout, dataset, made_up, boundary)
    if settings.pointer:
        try:
            snapshots.write_pointer(saved, Path(ROOT, settings.pointer))
        except OSError as error:
            place = f"pointer = {settings.pointer!r} in {commands.settings('data.toml')} [version]"
            raise ChurnError(f"{place}: cannot be written: {error}") from None
    return saved


def ending(saved: snapshots.Saved, rows: tuple[int, int], unused: int, made_up: bool, left_out: Sequence[str]) -> str:
    """What DataFlow ends with: the version, and where every row is."""
    kind = "made-up rows" if made_up else "rows"
    rest = [f"{unused} in neither: other moments of the same customers"] * bool(unused)
    out = f"; left out: {', '.join(left_out)}" if left_out else ""
    parts = ", ".join([f"{rows[0]} {kind} to train", f"{rows[1]} held out", *rest])
    return f"Data version {saved.version} ({saved}): {parts}{out}"
