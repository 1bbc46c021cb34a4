"""Lists, with sizes, what runs left behind and is no longer needed, then removes it.

Every store yields its items, newest first; the newest stay, and whatever ``Lineage`` names.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from churn.campaigns import verdicts
from churn.data import snapshots
from churn.privacy import data_versions, pruned_runs, trials
from churn.privacy.lineage import Lineage
from churn.serving import batch_scoring, packaging, prediction_log
from churn.settings.environment import STATE
from churn.settings.retention import Retention, Rule
from churn.storage.places import Entry, Place, days

PERSONAL = ("log", "scores", "quarantine")  # removed when old, even if there is nothing newer
LEFT = 1.0  # days after which a temporary file is abandoned


@dataclass(frozen=True)
class Item:
    """An item of a ``store`` that can be removed as a whole.

    Its ``size`` is in bytes, ``written`` in seconds since 1970. The newest of a ``group`` are kept, and whatever is ``needed``.
    """

    store: str
    name: str
    size: int
    written: float
    remove: Callable[[], None]
    group: str = ""
    needed: bool = False


def items(lineage: Lineage) -> dict[str, list[Item]]:
    """All items, by the tables of config/retention.toml."""
    return {
        "runs": [Item("runs", *one) for one in pruned_runs.known(lineage)],
        "data_versions": list(_versions(lineage)),
        "trials": [Item("trials", *one) for one in trials.known(lineage.trainings)],
        "bentos": list(_bentos(lineage)),
        "log": list(_log()),
        "scores": list(kept_lists(Place.of(batch_scoring.root()))),
        "quarantine": list(_quarantine()),
    }


def kept_lists(place: Place) -> Iterator[Item]:
    """The files that scores and campaigns wrote; campaign results name no customer, and stay."""
    for entry in place.entries():
        yield _file("scores", place, entry, needed=entry.name.startswith(f"{verdicts.FOLDER}/"))


def outdated(by_store: dict[str, list[Item]], rules: Retention) -> list[Item]:
    """The items to remove."""
    return [item for store, own in by_store.items() for item in _outdated(own, getattr(rules, store))]


def _outdated(stored: Iterable[Item], rule: Rule) -> Iterator[Item]:
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in sorted(stored, key=lambda item: -item.written):
        groups[item.group].append(item)
    for group in groups.values():
        for place, item in enumerate(group):
            old = days(item.written) > rule.days and (place > 0 or item.store in PERSONAL)
            if not item.needed and (place >= rule.keep or old):
                yield item


def report(by_store: dict[str, list[Item]], gone: list[Item], removed: bool) -> Iterator[str]:
    """One line per store, then the items to remove, then the command that removes them."""
    for store, group in by_store.items():
        out = [item for item in gone if item.store == store]
        needed = sum(item.needed for item in group)
        yield (
            f"{store:<14} {len(out):>4} of {len(group):<4} go, {_size(sum(item.size for item in out)):>9} of "
            f"{_size(sum(item.size for item in group)):>9}" + (f"; {needed} needed" if needed else "")
        )
    yield from (f"  {item.store}: {item.name} ({_size(item.size)})" for item in gone)
    total = _size(sum(item.size for item in gone))
    yield f"{'Removed' if removed else 'To be removed'}: {total}"


def remove(gone: Iterable[Item]) -> None:
    """Remove the items, and temporary files left by killed runs."""
    for item in gone:
        item.remove()
    trials.purge_deleted()
    place = Place.of(str(STATE / "tmp"))
    for entry in place.entries():
        if days(entry.written) > LEFT:
            place.remove(entry.name)


def _versions(lineage: Lineage) -> Iterator[Item]:
    remote = data_versions.place()
    listings = data_versions.listings(remote)
    entries = {entry.name: entry for entry in remote.entries(data_versions.OBJECTS)}
    needed = {snapshots.current(name) for name in lineage.versions}
    for name, files in listings.items():
        parts = [entries[path] for path in map(data_versions.path, (name, *files.values())) if path in entries]
        described = data_versions.described(remote, files)
        yield Item(
            "data_versions",
            name,
            sum(part.size for part in parts),
            entries[data_versions.path(name)].written,
            partial(data_versions.remove, remote, name),
            described.name if described is not None else "",
            name in needed,
        )


def _bentos(lineage: Lineage) -> Iterator[Item]:
    home = Path(os.environ["BENTOML_HOME"])
    for kind, name in (("bentos", packaging.SERVICE), ("models", packaging.MODEL)):
        for folder in sorted(home.glob(f"{kind}/{name}/*/")):
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            needed = any(folder.name.startswith(tag) for tag in lineage.bentos)
            gone = partial(shutil.rmtree, folder)
            yield Item("bentos", f"{name}:{folder.name}", size, folder.stat().st_mtime, gone, name, needed)
    if published := os.environ.get("CHURNFLOW_BENTOS"):
        place = Place.of(published)
        for entry in place.entries():
            needed = any(place.at(entry.name) == address for address in lineage.addresses)
            yield _file("bentos", place, entry, "published", needed)


def _log() -> Iterator[Item]:
    """The days of the log."""
    place = Place.of(prediction_log.root())
    for kind in (prediction_log.PREDICTIONS, prediction_log.FEEDBACK):
        parts: dict[str, list[Entry]] = defaultdict(list)
        for entry in place.entries(f"{kind}/"):
            parts[entry.name.rpartition("/")[0]].append(entry)
        for day, entries in parts.items():
            gone = partial(_remove, place, [entry.name for entry in entries])
            written = _end(day.partition("day=")[2]) or max(entry.written for entry in entries)
            yield Item("log", day, sum(entry.size for entry in entries), written, gone, kind)


def _remove(place: Place, names: Iterable[str]) -> None:
    for name in names:
        place.remove(name)


def _end(day: str) -> float | None:
    """The end of a day (2026-11-26, UTC) in seconds since 1970; None for another name."""
    try:
        return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() + 86_400
    except ValueError:
        return None


def _quarantine() -> Iterator[Item]:
    place = Place.of(str(STATE / "quarantine"))
    for entry in place.entries():
        yield _file("quarantine", place, entry)


def _file(store: str, place: Place, entry: Entry, group: str = "", needed: bool = False) -> Item:
    return Item(store, entry.name, entry.size, entry.written, partial(place.remove, entry.name), group, needed)


def _size(count: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
