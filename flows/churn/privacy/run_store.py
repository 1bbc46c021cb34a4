"""One customer in Metaflow's runs: artifacts, cards and logs, read directly from the datastore.

A run that held the customer loses its tables - every artifact with rows, since rows of one may derive from another's - and can
no longer be resumed; counts stay. Cards that show the customer are removed.
"""

import base64
import binascii
import gzip
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from churn.privacy.subject import PARQUET, Subject, Unreadable
from churn.privacy.trace import Trace
from churn.privacy.written_files import in_table, lines
from churn.serving.ranking import shards
from churn.storage.places import Place

STORE = "run"
DEEP = 6  # levels of nested containers to search
_MANIFEST = re.compile(r"^(\w+)/([^/]+)/([^/]+)/([^/]+)/\d+\.data\.json$")
BLOB = re.compile(r"^\w+/data/../\w+$")  # an artifact's content
MOVED = {"churn.serving.reference": "churn.serving.reference_data"}  # renamed modules whose classes were pickled
_CARD_DATA = re.compile(rb'= "([A-Za-z0-9+/=]{100,})"')


def places() -> list[Place]:
    """The datastore, and the local metadata if they are elsewhere."""
    local = f"{os.environ['METAFLOW_DATASTORE_SYSROOT_LOCAL']}/.metaflow"
    if os.environ.get("METAFLOW_DEFAULT_DATASTORE") == "s3":
        return [Place.of(os.environ["METAFLOW_DATASTORE_SYSROOT_S3"]), Place.of(local)]
    return [Place.of(local)]


@dataclass(frozen=True)
class Blob:
    """An artifact: whether it contains the customer in rows (``holds``) or text (``names``), and has any ``rows``."""

    holds: bool
    names: bool
    rows: bool


def sweep(subject: Subject, remove: bool) -> Iterator[Trace]:
    """Artifacts, cards and logs of all runs, and the copies in the cache of Metaflow's client."""
    for place in places():
        yield from _artifacts(place, subject, remove)
        yield from _texts(place, subject, remove)
    cache = Path(os.environ.get("METAFLOW_CLIENT_CACHE_PATH", "/tmp/metaflow_client"))  # nosec B108 - Metaflow's own default
    if remove and cache.is_dir() and os.access(cache, os.W_OK):
        shutil.rmtree(cache, ignore_errors=True)  # another command may be writing to it


def predictions(subject: Subject) -> set[str]:
    """The customer's prediction ids from ScoreFlow's runs (``batch_scoring.score``)."""
    ids: set[str] = set()
    for place in places():
        for (flow, run), names in runs(place).items():
            for first, oid in _shards(names) if flow == "ScoreFlow" else ():
                table = _load(place.read(path(flow, oid)))
                if isinstance(table, bytes) and table[:4] == PARQUET:
                    with suppress(Unreadable):
                        rows = np.flatnonzero(subject.parquet_rows(table)) + first
                        ids |= {hashlib.sha256(f"{run}/{row}".encode()).hexdigest()[:32] for row in rows}
    return ids


def _shards(names: set[tuple[str, str]]) -> Iterator[tuple[int, str]]:
    """The first row and the hash of ScoreFlow's tables of customers; earlier releases had a single one."""
    for name, oid in names:
        if name == "table":
            yield 0, oid
        elif name.startswith(shards.ARTIFACT.format("")):
            yield int(name.removeprefix(shards.ARTIFACT.format(""))), oid


def runs(place: Place) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """For each run, the names and hashes of its artifacts."""
    artifacts: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for entry in place.entries():
        if at := _MANIFEST.match(entry.name):
            content = json.loads(place.read(entry.name) or b"{}")
            artifacts[at[1], at[2]] |= set(content.get("objects", {}).items())
    return artifacts


def path(flow: str, oid: str) -> str:
    """The path of an artifact's content."""
    return f"{flow}/data/{oid[:2]}/{oid}"


def _artifacts(place: Place, subject: Subject, remove: bool) -> Iterator[Trace]:
    by_run = runs(place)
    blobs: dict[tuple[str, str], Blob] = {}
    for (flow, _), names in by_run.items():
        for _, oid in names:
            if (flow, oid) not in blobs:
                blobs[flow, oid] = _look(place.read(path(flow, oid)), subject)
    anybody = any(blob.holds for blob in blobs.values())
    for (flow, run), names in by_run.items():
        held = any(blobs[flow, oid].holds for _, oid in names) or (flow == "MonitorFlow" and anybody)
        tables = {oid: name for name, oid in names if held and blobs[flow, oid].rows}
        texts = {oid for _, oid in names if blobs[flow, oid].names} - set(tables)
        if remove:
            for oid in sorted(
                tables, key=lambda oid: blobs[flow, oid].holds
            ):  # last: these show that there is more to do
                place.remove(path(flow, oid))
            for oid in texts:
                _mask(place, path(flow, oid), subject)
            if held and subject.short:  # cards cannot be searched for a short id
                for entry in place.entries(f"mf.cards/{flow}/runs/{run}/"):
                    place.remove(entry.name)
        what = [f"tables {', '.join(sorted(set(tables.values())))}"] * bool(tables)
        what += [f"the id in {len(texts)} artifacts"] * bool(texts)
        if what:
            todo = "can no longer be resumed; if it had not ended, start it again" if tables else ""
            yield Trace(STORE, f"{flow}/{run}", "; ".join(what), todo)
    named = {path(flow, oid) for (flow, _), names in by_run.items() for _, oid in names}
    yield from _unnamed(place, named, subject, remove)


def _unnamed(place: Place, named: set[str], subject: Subject, remove: bool) -> Iterator[Trace]:
    """Artifacts of killed steps, which no run names."""
    for entry in place.entries():
        if BLOB.match(entry.name) and entry.name not in named:
            blob = _look(place.read(entry.name), subject)
            if blob.holds or blob.names:
                if remove:
                    place.remove(entry.name)
                yield Trace(STORE, place.at(entry.name), "an artifact of a step that did not end")


def artifact(place: Place, flow: str, names: set[tuple[str, str]], wanted: str) -> Any:
    """The value of a run's artifact ``wanted``, by the names and hashes; None if there is no readable one."""
    oid = next((oid for name, oid in names if name == wanted), None)
    return None if oid is None else _load(place.read(path(flow, oid)))


def _unpacked(content: bytes | None) -> bytes:
    """An artifact's pickle; damaged content is returned as it is."""
    if content is None or content[:2] != b"\x1f\x8b":
        return content or b""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content


class _Unpickler(pickle.Unpickler):  # nosec B301 - from our own store
    """Finds classes whose module has been renamed since they were pickled."""

    def find_class(self, module: str, name: str) -> Any:
        """The class ``name`` of ``module``, under the module's current name."""
        return super().find_class(MOVED.get(module, module), name)


def _load(content: bytes | None) -> Any:
    """The artifact's value; None if it cannot be read or is not a pickle."""
    try:
        return _Unpickler(io.BytesIO(_unpacked(content))).load()
    except Exception:  # noqa: BLE001 - an older release's classes, or code: searched as bytes
        return None


def _look(content: bytes | None, subject: Subject) -> Blob:
    plain = _unpacked(content)
    value = _load(content)
    if value is None:  # unknown which of it is the customer's
        holds = subject.within(plain)
        return Blob(holds, False, holds)
    pieces = list(_pieces(value, DEEP))
    holds = any(_holds(piece, subject) for piece in pieces)
    rows = any(not isinstance(piece, str) or _listed(piece, subject) for piece in pieces)
    text = any(isinstance(piece, str) and subject.named_in(piece) for piece in pieces)
    return Blob(holds, text or subject.named_in(plain), rows)


def _pieces(value: Any, deep: int) -> Iterator[Any]:
    """The tables, row arrays and texts within a value."""
    import pandas as pd

    if isinstance(value, str | pd.DataFrame | pd.Series | pd.Index) or (
        isinstance(value, bytes) and value[:4] == PARQUET
    ):
        yield value
    elif isinstance(value, np.ndarray):
        if value.ndim:
            yield value
    elif deep and isinstance(value, dict):
        for key, inner in value.items():
            yield from _pieces(key, deep - 1)
            yield from _pieces(inner, deep - 1)
    elif deep and isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _pieces(inner, deep - 1)
    elif deep and type(value).__module__.startswith("churn.") and hasattr(value, "__dict__"):
        yield from _pieces(vars(value), deep - 1)


def _holds(piece: Any, subject: Subject) -> bool:
    import pandas as pd

    if isinstance(piece, bytes):
        return in_table(piece, subject)
    if isinstance(piece, str):
        return _listed(piece, subject) and lines(piece, subject)[1] > 0
    if isinstance(piece, pd.DataFrame):
        return bool(subject.rows(piece).any())
    if isinstance(piece, np.ndarray | pd.Series | pd.Index):
        values = pd.Series(np.asarray(piece).ravel())
        return (
            values.dtype.kind not in "iufbM"
            and not subject.short
            and bool(values.astype("str").isin([subject.id]).any())
        )
    return False


def _listed(text: str, subject: Subject) -> bool:
    """Whether a text is a table with ids: quarantined rows are passed as CSV."""
    head, _, rest = text.partition("\n")
    return bool(rest) and any(name in head.split(",") for name in subject.columns)


def _mask(place: Place, name: str, subject: Subject) -> None:
    """Rewrite an artifact with the id replaced by stars, byte for byte, so that the pickle stays valid."""
    content = place.read(name)
    if content is not None:
        masked = _stars(_unpacked(content), subject)
        place.write(name, gzip.compress(masked, 3, mtime=0) if content[:2] == b"\x1f\x8b" else masked)


def _stars(plain: bytes, subject: Subject) -> bytes:
    import pickletools

    try:
        operations = [(position, argument) for _, argument, position in pickletools.genops(plain)]
    except (ValueError, IndexError):
        return subject.masked(plain)
    ends = [position for position, _ in operations[1:]] + [len(plain)]
    parts = []
    for (start, argument), end in zip(operations, ends, strict=True):
        part = plain[start:end]
        if isinstance(argument, str) and subject.named_in(argument):
            text = argument.encode("utf-8", "surrogatepass")
            part = part.replace(text, subject.masked(text))
        parts.append(part)
    return b"".join(parts)


def _texts(place: Place, subject: Subject, remove: bool) -> Iterator[Trace]:
    """Cards, logs, and everything else that is not an artifact's content."""
    if subject.short:
        return
    for entry in place.entries():
        if "/data/" in entry.name and not entry.name.startswith("mf.cards/"):
            continue
        content = place.read(entry.name)
        if content is None or not (subject.named_in(content) or _card_names(content, subject)):
            continue
        if entry.name.startswith("mf.cards/"):
            if remove:
                place.remove(entry.name)
            yield Trace(STORE, place.at(entry.name), "a card that shows the customer")
        else:
            if remove:
                place.write(entry.name, subject.redacted(content))
            yield Trace(STORE, place.at(entry.name), "the id in text")


def _card_names(content: bytes, subject: Subject) -> bool:
    """Whether a card's page names the customer; it carries its data in base 64."""
    for encoded in _CARD_DATA.findall(content) if content[:200].lstrip()[:1] == b"<" else ():
        try:
            if subject.named_in(base64.b64decode(encoded)):
                return True
        except binascii.Error:
            continue
    return False
