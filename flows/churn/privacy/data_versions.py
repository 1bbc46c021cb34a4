"""One customer's rows in data versions: each version is stored again without them, and its old name leads to the new one."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data import features, snapshots
from churn.privacy.subject import PARQUET, Subject, Unreadable, without
from churn.privacy.trace import Trace, damaged_file, rows_as_text
from churn.privacy.written_files import in_table
from churn.settings.dataset import Dataset, from_dump
from churn.storage.places import Place, days

if TYPE_CHECKING:
    import pandas as pd

STORE = "data version"
OBJECTS = "files/md5/"
LEFT = 1.0  # days after which an object that no version names is no upload under way


@dataclass(frozen=True)
class Version:
    """A data version with the customer: which rows of train and holdout (bool, each of its table's rows)."""

    name: str
    dataset: Dataset
    synthetic: bool
    boundary: str | None
    events: dict[str, Any] | None
    train: np.ndarray
    holdout: np.ndarray
    content: Mapping[str, bytes]


def place() -> Place:
    """The DVC remote."""
    return Place.of(snapshots.remote())


def path(oid: str) -> str:
    """Where an object lies in the remote."""
    return f"{OBJECTS}{oid[:2]}/{oid[2:]}"


def listings(remote: Place) -> dict[str, dict[str, str]]:
    """Of each version the hashes of its files by their names; those whose listing is damaged are not among them."""
    hashes = {}
    for entry in remote.entries(OBJECTS):
        if entry.name.endswith(".dir") and _whole(text := remote.read(entry.name) or b"", entry.name):
            oid = entry.name.removeprefix(OBJECTS).replace("/", "")
            hashes[oid] = {one["relpath"]: one["md5"] for one in json.loads(text)}
    return hashes


def holding(subject: Subject) -> Iterator[Version]:
    """The versions with the customer, of the subject's data set."""
    remote = place()
    for name, files in listings(remote).items():
        parts = {file: remote.read(path(oid)) or b"" for file, oid in files.items()}
        if not all(_whole(parts[file], path(oid)) for file, oid in files.items()):
            continue  # damaged: not to be stored again under a hash of its own; DataFlow stores it anew
        described = snapshots.read_description(parts[snapshots.DESCRIPTION], name)
        dataset = from_dump(described["dataset"])
        if subject.dataset not in ("", dataset.name):
            continue
        try:
            train, holdout = (subject.parquet_rows(parts[file]) for file in (snapshots.TRAIN, snapshots.HOLDOUT))
        except Unreadable:
            continue  # likewise
        if train.any() or holdout.any():
            yield Version(
                name,
                dataset,
                described["synthetic"],
                described.get("boundary"),
                described.get("events"),
                train,
                holdout,
                parts,
            )


def descriptions() -> list[Dataset]:
    """The data sets of the remote's versions."""
    remote = place()
    datasets = (described(remote, files) for files in listings(remote).values())
    return [one for one in datasets if one is not None]


def described(remote: Place, files: Mapping[str, str]) -> Dataset | None:
    """The data set of a version's files; None if that is lost or damaged."""
    at = path(files.get(snapshots.DESCRIPTION, ""))
    text = remote.read(at) or b""
    return from_dump(json.loads(text)["dataset"]) if _whole(text, at) else None


def sweep(subject: Subject, remove: bool) -> Iterator[Trace]:
    """Rows in data versions; objects that no version names go with them."""
    import pandas as pd

    remote = place()
    for version in holding(subject):
        count = int(version.train.sum()), int(version.holdout.sum())
        what = f"{count[0]} rows to train, {count[1]} held out"
        if remove:
            what += f"; now {_replace(remote, version)}"
        yield Trace(STORE, version.name, what, values=rows_as_text(pd.concat(_tables(version))))
    yield from _left(remote, subject, remove)
    listed = {entry.name for entry in remote.entries(OBJECTS) if entry.name.endswith(".dir")}
    for file in sorted(_named(remote) | listed):  # what ``holding`` passed over
        content = remote.read(file) or b""
        if not _whole(content, file):
            yield damaged_file(STORE, remote.at(file))


def _replace(remote: Place, version: Version) -> str:
    """Store the version without the customer, under its own hash, and remove the old one; the new name."""
    train, holdout = (
        without(version.content[file], rows) if rows.any() else version.content[file]
        for file, rows in ((snapshots.TRAIN, version.train), (snapshots.HOLDOUT, version.holdout))
    )
    saved = snapshots.save(train, holdout, version.dataset, version.synthetic, version.boundary, version.events)
    snapshots.succeed(version.name, saved.version)
    remove(remote, version.name)  # from here on the old name means the new version
    return saved.version


def remove(remote: Place, name: str) -> None:
    """Remove a version, and its files that no other names. The listing goes first: without its files it would be damaged."""
    files = listings(remote)[name]
    remote.remove(path(name))
    named = _named(remote)
    for file in map(path, files.values()):
        if file not in named:
            remote.remove(file)


def _whole(content: bytes, file: str) -> bool:
    """Whether an object has the hash that it is named by."""
    oid = file.removeprefix(OBJECTS).replace("/", "").removesuffix(".dir")
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == oid


def _named(remote: Place) -> set[str]:
    """Where the objects lie that versions name."""
    return {path(oid) for files in listings(remote).values() for oid in files.values()}


def _left(remote: Place, subject: Subject, remove: bool) -> Iterator[Trace]:
    """What no version names: the rest of one that was being erased, and uploads that were killed.

    While a listing is damaged, nobody can say what it names: only the customer's tables go.
    """
    named, listed = _named(remote), set(listings(remote))
    objects = list(remote.entries(OBJECTS))
    unsure = any(entry.name.endswith(".dir") and entry.name not in map(path, listed) for entry in objects)
    for entry in objects:
        if entry.name in named or entry.name.endswith(".dir"):
            continue
        content = remote.read(entry.name) or b""
        table = content[:4] == PARQUET and content[-4:] == PARQUET
        if in_table(content, subject) if table else not unsure and days(entry.written) > LEFT:
            if remove:
                remote.remove(entry.name)
            yield Trace(STORE, remote.at(entry.name), "left behind by a run that was killed")


def _tables(version: Version) -> "list[pd.DataFrame]":
    """The customer's rows of train and of holdout."""
    import pandas as pd

    sides = ((snapshots.TRAIN, version.train), (snapshots.HOLDOUT, version.holdout))
    return [pd.read_parquet(io.BytesIO(version.content[file]))[mask] for file, mask in sides]


def rows(version: Version) -> list[dict[str, Any]]:
    """The customer's raw features in the version, as a model's manifest carries rows (None: missing)."""
    raw_rows = []
    for table in _tables(version):
        raw = features.from_frame(version.dataset, table)
        for i in range(len(table)):
            raw_rows.append({name: None if v[i] == "" or v[i] != v[i] else v[i] for name, v in raw.items()})
    return raw_rows
