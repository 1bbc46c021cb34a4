"""One customer's rows in data versions: each version is stored anew without them, and its old name resolves to the new one."""

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
LEFT = 1.0  # days after which an object that no version names cannot belong to a running upload


@dataclass(frozen=True)
class Version:
    """A data version with the customer, and their rows in train and holdout (bool, one for each row of the table)."""

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
    """The path of an object in the remote."""
    return f"{OBJECTS}{oid[:2]}/{oid[2:]}"


def listings(remote: Place) -> dict[str, dict[str, str]]:
    """For each version, the hashes of its files by name; versions with a damaged listing are left out."""
    hashes = {}
    for entry in remote.entries(OBJECTS):
        if entry.name.endswith(".dir") and _whole(text := remote.read(entry.name) or b"", entry.name):
            oid = entry.name.removeprefix(OBJECTS).replace("/", "")
            hashes[oid] = {one["relpath"]: one["md5"] for one in json.loads(text)}
    return hashes


def holding(subject: Subject) -> Iterator[Version]:
    """The versions of the subject's data set that contain the customer."""
    remote = place()
    for name, files in listings(remote).items():
        parts = {file: remote.read(path(oid)) or b"" for file, oid in files.items()}
        if not all(_whole(parts[file], path(oid)) for file, oid in files.items()):
            continue  # damaged: must not be stored under a new hash; DataFlow stores it anew
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
    """The data sets of all versions in the remote."""
    remote = place()
    datasets = (described(remote, files) for files in listings(remote).values())
    return [one for one in datasets if one is not None]


def described(remote: Place, files: Mapping[str, str]) -> Dataset | None:
    """The data set of a version's files; None if that is lost or damaged."""
    at = path(files.get(snapshots.DESCRIPTION, ""))
    text = remote.read(at) or b""
    return from_dump(json.loads(text)["dataset"]) if _whole(text, at) else None


def sweep(subject: Subject, remove: bool) -> Iterator[Trace]:
    """The customer's rows in data versions, and in objects that no version names."""
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
    for file in sorted(_named(remote) | listed):  # those that ``holding`` skipped
        content = remote.read(file) or b""
        if not _whole(content, file):
            yield damaged_file(STORE, remote.at(file))


def _replace(remote: Place, version: Version) -> str:
    """Store the version without the customer, under a new hash, remove the old one, and return the new name."""
    train, holdout = (
        without(version.content[file], rows) if rows.any() else version.content[file]
        for file, rows in ((snapshots.TRAIN, version.train), (snapshots.HOLDOUT, version.holdout))
    )
    saved = snapshots.save(train, holdout, version.dataset, version.synthetic, version.boundary, version.events)
    snapshots.succeed(version.name, saved.version)
    remove(remote, version.name)  # from here on the old name resolves to the new version
    return saved.version


def remove(remote: Place, name: str) -> None:
    """Remove a version, and the files that only it names. The listing goes first: without its files it would be damaged."""
    files = listings(remote)[name]
    remote.remove(path(name))
    named = _named(remote)
    for file in map(path, files.values()):
        if file not in named:
            remote.remove(file)


def _whole(content: bytes, file: str) -> bool:
    """Whether an object's content matches the hash in its name."""
    oid = file.removeprefix(OBJECTS).replace("/", "").removesuffix(".dir")
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == oid


def _named(remote: Place) -> set[str]:
    """The paths of the objects that versions name."""
    return {path(oid) for files in listings(remote).values() for oid in files.values()}


def _left(remote: Place, subject: Subject, remove: bool) -> Iterator[Trace]:
    """Objects that no version names: leftovers of an interrupted erasure, and of killed uploads.

    While a listing is damaged, the objects it names are unknown: only the customer's tables are removed.
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
    """The customer's rows in train and in holdout."""
    import pandas as pd

    sides = ((snapshots.TRAIN, version.train), (snapshots.HOLDOUT, version.holdout))
    return [pd.read_parquet(io.BytesIO(version.content[file]))[mask] for file, mask in sides]


def rows(version: Version) -> list[dict[str, Any]]:
    """The customer's raw features in the version, in the form of a model manifest's rows (None: missing)."""
    raw_rows = []
    for table in _tables(version):
        raw = features.from_frame(version.dataset, table)
        for i in range(len(table)):
            raw_rows.append({name: None if v[i] == "" or v[i] != v[i] else v[i] for name, v in raw.items()})
    return raw_rows
