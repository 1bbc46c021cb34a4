"""Data versions: a snapshot of train and holdout, content-addressed by DVC, pushed to a remote.

The version is DVC's directory hash (ends in ``.dir``): the same tables and description give the same version. DVC sends
the files first, each under its hash when it is complete, and the ``.dir`` last: a version exists whole or not at all.
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
    ``events`` names the snapshots, tables and statement that it was made of (see ``events.engine``); empty without events.
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

    The version, the text of its .dvc pointer, whether anything was uploaded, and the addresses of the objects that were in
    the remote already, but damaged or incomplete.
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


SUCCESSORS = "successors"  # folder of the remote: by a version's name, the version that has taken its place


def succeed(version: str, successor: str) -> None:
    """Let ``version``, from which a customer is erased, mean ``successor`` from now on."""
    text = json.dumps(format_version.stamped({"successor": successor}, FORMAT))
    Place.of(remote()).write(f"{SUCCESSORS}/{version}.json", text.encode())


def current(version: str) -> str:
    """The version that stands for ``version``.

    That is itself while it exists, else the one that replaced it when a customer was erased from it. Raises ChurnError if the
    remote cannot be read.
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
    """The version as DVC writes it: a person may leave out the ending."""
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

    ``boundary`` and ``events`` are ``Snapshot``'s.

    What the remote holds of the version already is read, and stored again where it is damaged. Works without git and
    leaves nothing behind but the remote's content: DVC works in a temporary folder. Raises ChurnError naming the remote
    if it cannot be written.
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
        if "://" not in remote():  # DVC lets everybody read what it keeps
            for oid in integrity.objects(_store(repo), version):
                Path(_store(repo).oid_to_path(oid)).chmod(0o400)
        pointer = Path(repo.root_dir, f"{FOLDER}.dvc").read_text(encoding="utf-8")
        return Saved(version, pointer, pushed > 0, tuple(repaired))


def _store(repo: Any) -> Any:
    """The remote as a database of objects."""
    return repo.cloud.get_remote_odb("store")


def _sweep(place: str) -> None:
    """Remove what copies into a local remote, killed or stopped by a full disk, left behind a day ago or longer."""
    for left in Path(place).glob("files/md5/??/.*.tmp"):
        if time.time() - left.stat().st_mtime > 86_400:
            left.unlink(missing_ok=True)


def write_pointer(saved: Saved, path: Path) -> None:
    """Write the .dvc file of a version for git; the data then goes to ``path`` without its suffix on ``dvc pull``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(saved.pointer.replace(f"path: {FOLDER}", f"path: {path.stem}"), encoding="utf-8")


def restore(version: str, folder: Path) -> Path:
    """Write the files of ``version`` into ``folder``, byte for byte, checked against their hashes.

    Raises ChurnError if the remote does not hold it, if an object of it is damaged - the message says which - or if the
    folder is there already.
    """
    from dvc.exceptions import DvcException

    if folder.exists():
        raise ChurnError(f"{folder}: exists already; remove it or name another folder")
    version = current(version)
    with _plain("read the data version from"), _repository() as repo:
        pointer = Path(repo.root_dir, f"{FOLDER}.dvc")
        pointer.write_text(f"outs:\n- md5: {version}\n  hash: md5\n  path: {FOLDER}\n", encoding="utf-8")
        # DVC believes the listing: a changed file name in it would be restored.
        if integrity.state(_store(repo), version) != integrity.WHOLE:
            raise ChurnError(_lost(_store(repo), version))
        try:
            repo.pull([str(pointer)])
        except DvcException as error:
            raise ChurnError(_lost(_store(repo), version, str(error))) from error
        return _move(Path(repo.root_dir, FOLDER), folder)


def _lost(store: Any, version: str, reason: str = "") -> str:
    """Why a version cannot be read, and the way out; ``reason`` is DVC's reason, for want of a better one."""
    again = commands.say("data", DATASET=commands.NAME, SOURCE=commands.FILE)
    if integrity.state(store, version) == integrity.MISSING:
        return (
            f"data version {version!r} is not in {remote()} (no {integrity.object_address(store, version)}); name a version that "
            f"DataFlow printed, or give the same data again: {again}"
        )
    harm = ", ".join(integrity.harm(store, version)) or reason
    return f"data version {version!r} cannot be read: {harm}; give the same data again, which stores that anew: {again}"


def _move(pulled: Path, folder: Path) -> Path:
    """``pulled`` is at ``folder`` whole, or nothing is there and ChurnError was raised."""
    import shutil

    partial = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(pulled, partial)
        return partial.rename(folder)
    except OSError as error:
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error  # its files' errors in a list
        shutil.rmtree(partial, ignore_errors=True)
        raise ChurnError(f"cannot write {folder}: {why}; free space or name another folder") from error


def read_description(content: bytes, version: str) -> dict[str, Any]:
    """The description of ``version`` from the ``content`` of its file; in format 1, ``synthetic`` was ``made_up``.

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
    """A remote that is full, gone or refuses as a ChurnError; DVC logs the reason instead of raising it."""
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException
    from dvc_objects.errors import ObjectDBError, ObjectFormatError

    reasons: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: reasons.append(str(record.exc_info[1] if record.exc_info else record.getMessage()))  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    former = [logger.handlers for logger in loggers]
    for logger in loggers:
        logger.handlers = [handler]  # DVC's own would print each of the reasons
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
        Path(folder, Repo.DVC_DIR).mkdir()  # all that `dvc init` would leave beside the settings
        settings = {
            "remote": {"store": {"url": remote(), "verify": True}},
            # Its own index of what the remote holds: one kept between runs would believe in files that are gone, and everybody
            # could write it, whatever the umask. DVC_SITE_CACHE_DIR, if somebody sets it, goes before this.
            "core": {"remote": "store", "analytics": False, "no_scm": True, "site_cache_dir": f"{folder}/site"},
        }
        with _whole_clones(), Repo(folder, config=settings) as repo:
            yield repo


@contextmanager
def _whole_clones() -> Iterator[None]:
    """DVC's clones (copy on write) get their name when they are whole; DVC names them first and a kill leaves them empty."""
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
