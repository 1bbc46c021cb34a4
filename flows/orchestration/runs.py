"""Lookups in earlier runs, possibly of earlier releases: text and JSON only (``churn.format_version``)."""

from collections.abc import Iterator
from typing import Any

from churn.data import snapshots
from churn.data.snapshots import Snapshot
from churn.errors import ChurnError
from churn.registry import synthetic_notice
from churn.settings import commands
from churn.validation import profile, version_diff
from churn.validation.profile import Profile
from metaflow import Flow, Run, current
from metaflow.exception import MetaflowNotFound

NEWEST = ", the newest"
DATASET, VERSION, AS_OF = "dataset:", "data_version:", "as_of:"  # tags of a run, and the value behind them


def one(name: str, number: str) -> Run:
    """The run with this id, of any user."""
    return Run(f"{name}/{number}", _namespace_check=False)


def upstream(requested: str) -> tuple[str, str]:
    """The data version to train on, and the reason for it.

    The requested one, or else that of the DataFlow run that triggered this run, or else the newest. Raises ChurnError if there is
    none.
    """
    if requested:
        return requested, "as requested"
    trigger = current.get("trigger")
    run = trigger.run if trigger is not None else newest()
    if run is None or run.data is None:
        first = commands.say("data", SOURCE=commands.FILE)
        raise ChurnError(f"there is no data version yet; create one with: {first}")
    return run.data.data_version, f"of {run.pathspec}{NEWEST if trigger is None else ''}"


def newest(version: str = "") -> Run | None:
    """The newest successful DataFlow run that is not a backfill, or the one whose tags say that it made ``version``."""
    tagged = f"{VERSION}{version}"
    wanted = (run for run in _all() if (tagged in run.user_tags if version else not _tag(run, AS_OF)))
    return next((run for run in wanted if run.successful), None)


def introduce(data: Snapshot, origin: str) -> str:
    """Print what is trained on, why, and how to choose another version; return the notice for synthetic customers."""
    kind = " (synthetic customers)" if data.synthetic else ""
    print(f"Training on data set '{data.dataset.name}'{kind}, version {data.version}, {origin}")
    for line in others(data.dataset.name) if origin.endswith(NEWEST) else ():
        print(line)
    return synthetic_notice.data_version(data.version, data.dataset.name, data.synthetic)


def others(dataset: str) -> list[str]:
    """The commands that train on the newest data version of every other data set."""
    newest: dict[str, str] = {}
    for run in _all():
        if "outcome:succeeded" in run.user_tags and not _tag(run, AS_OF):
            newest.setdefault(_tag(run, DATASET), _tag(run, VERSION))
    return [
        f"Newest of data set '{name}': {commands.say('train', VERSION=version)}"
        for name, version in newest.items()
        if name not in ("", dataset)
    ]


def late(dataset: str, version: str) -> str:
    """How the backfill ``version`` of a data set differs from its newest data version; empty without one to compare with."""
    ours = (run for run in _all() if _tag(run, DATASET) == dataset and not _tag(run, AS_OF) and run.successful)
    former = next((run.data.data_version for run in ours), "")
    if not former:
        return ""
    return version_diff.late(snapshots.load(former), snapshots.load(version))


def _all() -> Iterator[Run]:
    """The runs of DataFlow, the newest first."""
    try:
        yield from Flow("DataFlow")
    except MetaflowNotFound:
        return


def _tag(run: Run, prefix: str) -> str:
    """The value of the run's tag with this ``prefix``; empty for runs without such tags."""
    return next((tag.removeprefix(prefix) for tag in run.user_tags if tag.startswith(prefix)), "")


def on_synthetic(data_run: Run) -> bool:
    """Whether a DataFlow run read synthetic customers (artifact ``made_up`` in earlier releases)."""
    data: Any = data_run.data
    return bool(data.synthetic if "synthetic" in data else data.made_up)


def previous_profile(dataset: str, synthetic: bool) -> Profile | None:
    """The profile of the newest successful DataFlow run on the data set's synthetic, or its real, customers; None without one.

    Earlier releases stored a pickle of their own classes, which is not opened: the profile is recomputed from the data version.
    If that cannot be read any more, a message says so and nothing is compared.
    """
    ours = (run for run in _all() if _tag(run, DATASET) in ("", dataset) and not _tag(run, AS_OF) and run.successful)
    for run in ours:
        if (run.data.description["name"], on_synthetic(run)) == (dataset, synthetic):
            try:
                return _profile(run)
            except ChurnError as error:
                print(f"Not compared with the previous data version, of {run.pathspec}: {error}")
                return None
    return None


def _profile(run: Run) -> Profile:
    data: Any = run.data
    for name in ("profile_json", "columns"):  # columns: of earlier releases
        if name in data:
            return profile.from_json(getattr(data, name))
    return profile.of_snapshot(snapshots.load(data.data_version))


def read_by(version: str) -> str:
    """The ``--source`` file of the data version; empty if its run is unknown or used the configured sources."""
    run = newest(version)
    return run.data.path if run is not None and "path" in run.data else ""


def anew(data: Snapshot) -> str:
    """The command that goes from the same customers to a champion again."""
    source = read_by(data.version) or ("" if data.synthetic or data.dataset.tables else commands.FILE)
    return commands.say("run", DATASET=data.dataset.name, SOURCE=source)
