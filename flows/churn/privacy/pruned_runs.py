"""Prunes Metaflow runs: artifacts, cards and logs. A run's record and outcome stay, because totals count them."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

from churn.privacy import run_store
from churn.privacy.lineage import Lineage
from churn.storage.places import Entry, Place, days

RUNNING = 1.0  # days since its last write for which a run may still be running
Found = tuple[str, int, float, Callable[[], None], str, bool]  # the fields of ``retention.Item`` after its store


def known(lineage: Lineage) -> Iterator[Found]:
    """Every run: name, bytes of its own, time of its last write, a function to remove it, flow, and whether it is needed."""
    for place in run_store.places():
        runs, artifacts = _entries(place), run_store.runs(place)
        users: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for (flow, run), names in artifacts.items():
            for _, oid in names:
                users[run_store.path(flow, oid)].add((flow, run))
        sizes = {entry.name: entry.size for entry in place.entries() if run_store.BLOB.match(entry.name)}
        for (flow, run), entries in runs.items():
            alone = [name for name, by in users.items() if by == {(flow, run)} and name in sizes]
            size = sum(entry.size for entry in entries) + sum(sizes[name] for name in alone)
            written = max(entry.written for entry in entries)
            version = run_store.artifact(place, flow, artifacts.get((flow, run), set()), "data_version")
            needed = f"{flow}/{run}" in lineage.runs or (flow == "DataFlow" and version in lineage.versions)
            needed = needed or _open(entries, days(written))
            yield f"{flow}/{run}", size, written, partial(_remove, place, flow, run, users), flow, needed


def _open(entries: list[Entry], age: float) -> bool:
    """Whether the run may still be running: its ``end`` step has not ended, and it wrote recently."""
    return age < RUNNING and not any("/end/" in entry.name and entry.name.endswith("DONE.lock") for entry in entries)


def _entries(place: Place) -> dict[tuple[str, str], list[Entry]]:
    """A run's own files, except its record (the run's ``_meta``)."""
    entries: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in place.entries():
        parts = entry.name.split("/")
        if parts[0] == "mf.cards" and len(parts) > 4:
            entries[parts[1], parts[3]].append(entry)
        elif len(parts) > 3 and parts[1] != "data" and parts[2] != "_meta":
            entries[parts[0], parts[1]].append(entry)
    return entries


def _remove(place: Place, flow: str, run: str, users: dict[str, set[tuple[str, str]]]) -> None:
    """Remove a run's files, after the content of artifacts that no remaining run uses."""
    for name, by in users.items():
        if (flow, run) in by:
            by.remove((flow, run))
            if not by:
                place.remove(name)
    for under in (f"{flow}/{run}/", f"mf.cards/{flow}/runs/{run}/"):
        for entry in list(place.entries(under)):
            if not entry.name.startswith(f"{flow}/{run}/_meta/"):
                place.remove(entry.name)
