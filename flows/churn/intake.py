"""What DataFlow does with its sources, put together: combine, check, compare with the last version, set aside, store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from churn import profile, quality, sources, tables, versioning
from churn.config import Quality, Source, Versioning
from churn.dataset import Dataset
from churn.environment import ROOT, STATE
from churn.errors import ChurnError
from churn.ordered import Numbers
from churn.profile import Profile
from churn.split import HOLDOUT, TRAIN

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Intake:
    """The checked customers; ``distances`` says how far each column is from the previous version, if there is one."""

    table: "pd.DataFrame"
    quarantine: "pd.DataFrame"
    numbers: Numbers
    report: quality.Report
    profile: Profile
    distances: dict[str, float]
    previous: Profile | None
    origin: str


def check(
    origins: Sequence[Source], parts: Sequence[bytes], dataset: Dataset, limits: Quality, previous: Profile | None
) -> Intake:
    """One table of all sources, typed and checked, also against the profile of the previous data version."""
    origin = ", ".join(source.name for source in origins)
    found = quality.validate(sources.combine(origins, parts, dataset), dataset, limits, origin)
    distances = profile.distances(previous, found.table, found.numbers) if previous else {}
    report = replace(found.report, checks=(*found.report.checks, *profile.drift_checks(distances, dataset, limits)))
    now = profile.profile(found.table, dataset, found.numbers)
    return Intake(found.table, found.quarantine, found.numbers, report, now, distances, previous, origin)


def set_aside(found: Intake, name: str) -> str:
    """The ``quarantine`` of rows that passed as a whole; nothing if the run stops anyway."""
    return "" if found.report.errors else quarantine(found.quarantine, name)


def quarantine(rows: "pd.DataFrame", name: str) -> str:
    """``rows`` as CSV text (empty: none), also written to the local state as quarantine/NAME.csv."""
    if rows.empty:
        return ""
    text = rows.to_csv(index=False)
    path = STATE / "quarantine" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return text


def store(
    table: bytes, derived: bytes, sides: "np.ndarray", dataset: Dataset, made_up: bool, settings: Versioning
) -> versioning.Saved:
    """Version the table and its derived features, split in two; write the .dvc pointer if ``settings`` say where."""
    train, holdout = tables.side_by_side([table, derived], [sides == side for side in (TRAIN, HOLDOUT)], dataset)
    saved = versioning.save(train, holdout, dataset, made_up)
    if settings.pointer:
        try:
            versioning.write_pointer(saved, Path(ROOT, settings.pointer))
        except OSError as error:
            raise ChurnError(f"cannot write the pointer {settings.pointer} of config/data.toml: {error}") from None
    return saved
