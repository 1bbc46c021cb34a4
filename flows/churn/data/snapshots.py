"""Data versions: a snapshot of train and holdout, content-addressed by DVC, pushed to a remote.

The version is DVC's directory hash (ends in ``.dir``): the same tables and description give the same version. DVC uploads
the files first, each under its hash once complete, and the ``.dir`` last: a version exists whole or not at all.
"""

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn import format_version
from churn.data import integrity, tables
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.dataset import Dataset, from_dump
from churn.settings.environment import STATE
from churn.storage.places import Place

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "snapshot"
TRAIN, HOLDOUT, DESCRIPTION, FORMAT = "train.parquet", "holdout.parquet", "snapshot.json", 2


@dataclass(frozen=True)
class Snapshot:
    """One data version: its description, its two tables, and whether its customers are synthetic.

    With a time column, ``boundary`` is the time (ISO 8601) from which rows are held out; all training rows are earlier.
    ``events`` records the snapshots, tables and statement behind it (see ``events.engine``); empty without events.
    """

    version: str
    dataset: Dataset
    synthetic: bool
    train: "pd.DataFrame"
    holdout: "pd.DataFrame"
    boundary: str | None = None
    events: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """The result of ``save``.

    The version, the text of its .dvc pointer, whether anything was uploaded, and the addresses of objects that were already in
    the remote, but damaged or incomplete.
    """

    version: str
    pointer: str
    uploaded: bool
    repaired: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What was uploaded, in words."""
        if self.repaired:
            return f"stored again: {', '.join(self.repaired)} was damaged or missing"
        return "stored" if self.uploaded else "already stored: nothing uploaded"


def remote() -> str:
    """Where snapshots are kept: CHURNFLOW_DVC_REMOTE (a folder or s3://...), else a folder of the local state."""
    address = os.environ.get("CHURNFLOW_DVC_REMOTE") or str(STATE / "dvc-remote")
    return address if "://" in address else str(Path(address).expanduser().resolve())


SUCCESSORS = "successors"  # folder of the remote: under a version's name, the version that replaced it


def succeed(version: str, successor: str) -> None:
    """Make ``version``, from which a customer was erased, resolve to ``successor``."""
    text = json.dumps(format_version.stamped({"successor": successor}, FORMAT))
    Place.of(remote()).write(f"{SUCCESSORS}/{version}.json", text.encode())


def current(version: str) -> str:
    """The version to use for ``version``.

    It is itself while it exists, else the version that replaced it when a customer was erased. Raises ChurnError if the remote
    cannot be read.
    """
    place = Place.of(remote())
    with _plain("read the data version from"):
        while place.read(f"files/md5/{version[:2]}/{version[2:]}") is None:
            content = place.read(f"{SUCCESSORS}/{version}.json")
            if content is None:
                break
            version = format_version.opened(json.loads(content), FORMAT, f"successor of {version}")["successor"]
    return version


def whole_name(version: str) -> str:
    """The version as DVC writes it; users may omit the ending."""
    return version if version.endswith(".dir") else f"{version}.dir"


def save(
    train: bytes,
    holdout: bytes,
    dataset: Dataset,
    synthetic: bool,
    boundary: str | None = None,
    events: dict[str, Any] | None = None,
) -> Saved:
    """Version the two Parquet tables with the data set's description and push them; idempotent.

    ``boundary`` and ``events`` are those of ``Snapshot``.

    Objects of the version that the remote already holds are verified, and stored again if damaged. Works without git, in a
    temporary folder: only the remote changes. Raises ChurnError, naming the remote, if it cannot be written.
    """
    with _plain("write the data version to"), _repository() as repo:
        _sweep(remote())
        snapshot = Path(repo.root_dir, FOLDER)
        snapshot.mkdir()
        (snapshot / TRAIN).write_bytes(train)
        (snapshot / HOLDOUT).write_bytes(holdout)
        description = {"synthetic": synthetic, "dataset": dataset.model_dump(mode="json")}
        description |= {"boundary": boundary} if boundary is not None else {}
        description |= {"events": events} if events else {}
        description = format_version.stamped(description, FORMAT)
        (snapshot / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")
        stage = repo.add(str(snapshot))[0]
        version = stage.outs[0].hash_info.value
        repaired = integrity.clear(_store(repo), integrity.objects(repo.cache.local, version))
        pushed = repo.push([stage.addressing])
        if "://" not in remote():  # DVC makes its files world-readable
            for oid in integrity.objects(_store(repo), version):
                Path(_store(repo).oid_to_path(oid)).chmod(0o400)
        pointer = Path(repo.root_dir, f"{FOLDER}.dvc").read_text(encoding="utf-8")
        return Saved(version, pointer, pushed > 0, tuple(repaired))


def _store(repo: Any) -> Any:
    """The remote's object database."""
    return repo.cloud.get_remote_odb("store")


def _sweep(place: str) -> None:
    """Remove leftovers, a day old or more, of copies to a local remote that were killed or filled the disk."""
    for left in Path(place).glob("files/md5/??/.*.tmp"):
        if time.time() - left.stat().st_mtime > 86_400:
            left.unlink(missing_ok=True)


def write_pointer(saved: Saved, path: Path) -> None:
    """Write the .dvc file of a version for git; ``dvc pull`` then writes the data to ``path`` without its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(saved.pointer.replace(f"path: {FOLDER}", f"path: {path.stem}"), encoding="utf-8")


def restore(version: str, folder: Path) -> Path:
    """Write the files of ``version`` to ``folder``, byte for byte, verified against their hashes.

    Raises ChurnError if the remote does not hold it, if one of its objects is damaged (the message says which), or if the folder
    already exists.
    """
    from dvc.exceptions import DvcException

    if folder.exists():
        raise ChurnError(f"{folder}: already exists; remove it or name another folder")
    version = current(version)
    with _plain("read the data version from"), _repository() as repo:
        pointer = Path(repo.root_dir, f"{FOLDER}.dvc")
        pointer.write_text(f"outs:\n- md5: {version}\n  hash: md5\n  path: {FOLDER}\n", encoding="utf-8")
        # DVC trusts the listing: it would restore a tampered file name.
        if integrity.state(_store(repo), version) != integrity.WHOLE:
            raise ChurnError(_lost(_store(repo), version))
        try:
            repo.pull([str(pointer)])
        except DvcException as error:
            raise ChurnError(_lost(_store(repo), version, str(error))) from error
        return _move(Path(repo.root_dir, FOLDER), folder)


def _lost(store: Any, version: str, reason: str = "") -> str:
    """Why a version cannot be read, and the remedy; ``reason`` is DVC's, used for want of a better one."""
    again = commands.say("data", DATASET=commands.NAME, SOURCE=commands.FILE)
    if integrity.state(store, version) == integrity.MISSING:
        return (
            f"data version {version!r} is not in {remote()} (no {integrity.object_address(store, version)}); name a version that "
            f"DataFlow printed, or give the same data again: {again}"
        )
    harm = ", ".join(integrity.harm(store, version)) or reason
    return f"data version {version!r} cannot be read: {harm}; give the same data again, which stores that anew: {again}"


def _move(pulled: Path, folder: Path) -> Path:
    """Move ``pulled`` to ``folder``; on failure leave nothing there and raise ChurnError."""
    import shutil

    partial = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(pulled, partial)
        return partial.rename(folder)
    except OSError as error:
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error  # it holds a list of its files' errors
        shutil.rmtree(partial, ignore_errors=True)
        raise ChurnError(f"cannot write {folder}: {why}; free space or name another folder") from error


def read_description(content: bytes, version: str) -> dict[str, Any]:
    """The description of ``version`` from the ``content`` of its file; in format 1, ``synthetic`` was called ``made_up``.

    Raises ChurnError if a newer release wrote it.
    """
    description = format_version.opened(json.loads(content), FORMAT, f"data version {version}")
    return {"synthetic" if key == "made_up" else key: value for key, value in description.items()}


def load(version: str) -> Snapshot:
    """The snapshot of ``version`` (see ``current``) from the remote. Raises ChurnError if the remote does not hold it."""
    version = current(version)
    with tempfile.TemporaryDirectory() as folder:
        snapshot = restore(version, Path(folder, FOLDER))
        description = read_description((snapshot / DESCRIPTION).read_bytes(), version)
        train, holdout = (tables.from_bytes((snapshot / name).read_bytes()) for name in (TRAIN, HOLDOUT))
        dataset, synthetic = from_dump(description["dataset"]), description["synthetic"]
        return Snapshot(
            version, dataset, synthetic, train, holdout, description.get("boundary"), description.get("events", {})
        )


@contextmanager
def _plain(doing: str) -> Iterator[None]:
    """Raise ChurnError for a remote that is full, missing or refuses access; DVC logs the reason instead of raising it."""
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException
    from dvc_objects.errors import ObjectDBError, ObjectFormatError

    reasons: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: reasons.append(str(record.exc_info[1] if record.exc_info else record.getMessage()))  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    former = [logger.handlers for logger in loggers]
    for logger in loggers:
        logger.handlers = [handler]  # DVC's own handlers would print every reason
    try:
        yield
    except (DvcException, ObjectDBError, ObjectFormatError, OSError, BotoCoreError, ClientError, ImportError) as error:
        why = " ".join("; ".join(dict.fromkeys((*reasons, str(error)))).split())
        raise ChurnError(
            f"cannot {doing} {remote()}: {why}; free space, or correct CHURNFLOW_DVC_REMOTE (a folder or s3://bucket/path) "
            "and AWS_* in the environment, and run this again"
        ) from error
    finally:
        for logger, handlers in zip(loggers, former, strict=True):
            logger.handlers = handlers


@contextmanager
def _repository() -> Iterator[Any]:
    """A DVC repository without git in a temporary folder, whose only remote is ``remote()``."""
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.ERROR)
        logging.getLogger(name).propagate = False
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, Repo.DVC_DIR).mkdir()  # all that `dvc init` would create beside the settings
        settings = {
            "remote": {"store": {"url": remote(), "verify": True}},
            # A fresh index of the remote: one kept between runs would list files that are gone, and anyone could write it,
            # whatever the umask. DVC_SITE_CACHE_DIR, if set, takes precedence.
            "core": {"remote": "store", "analytics": False, "no_scm": True, "site_cache_dir": f"{folder}/site"},
        }
        with _whole_clones(), Repo(folder, config=settings) as repo:
            yield repo


@contextmanager
def _whole_clones() -> Iterator[None]:
    """Name DVC's clones (copy on write) only once complete; DVC names them first, and a kill leaves them empty."""
    from dvc_objects.fs import system, utils

    clone = system.reflink

    def whole(source: str, target: str) -> None:
        partial = str(Path(target).with_name(utils.tmp_fname()))
        clone(source, partial)
        Path(partial).replace(target)

    system.reflink = whole
    try:
        yield
    finally:
        system.reflink = clone
