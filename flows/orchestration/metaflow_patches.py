"""Patches of Metaflow 2.19 where it has no setting; each says what it changes, why, and the upstream issue.

They are off with ``CHURNFLOW_PATCHES=0`` and with untested Metaflow releases (``metaflow_version``). Everything works without
them except deployment to a cluster, whose pods would lack a security context. ``tests/integration/test_metaflow_patches.py``
fails if Metaflow changes the code that they replace.
"""

import gzip
import hashlib
import io
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from churn.errors import ChurnError, os_error_message
from churn.settings import deploy
from metaflow.client.filecache import FileBlobCache
from metaflow.datastore.content_addressed_store import ContentAddressedStore
from metaflow.datastore.exceptions import DataException
from metaflow.exception import MetaflowException
from metaflow.metaflow_config import CARD_SUFFIX
from metaflow.packaging_sys import distribution_support
from metaflow.plugins.cards import card_datastore
from metaflow.plugins.cards.card_datastore import CardDatastore
from metaflow.plugins.datastores.local_storage import LocalStorage
from metaflow.plugins.datastores.s3_storage import S3Storage
from orchestration import metaflow_version

KILLED = (
    b"The step's process was killed (SIGKILL), as the kernel does when memory runs out: give it more memory, or fewer rows, or "
    b"one step at a time with METAFLOW_RUN_MAX_WORKERS=1."
)
PICKLED = 64  # bytes: more than pickle writes before the bytes of an artifact


def apply() -> None:
    """Apply all patches except ``close_pods``, for clusters, and ``say_refusals``, which needs a defined flow."""
    if not metaflow_version.active(metaflow_version.PATCHES):
        return
    _keep_cards_with_their_runs()
    _save_from_this_process()
    _store_tables_as_they_are()
    _say_what_killed_a_step()
    _verify_artifacts()
    _package_our_modules_only()


def _package_our_modules_only() -> None:
    """Do not list the files of every installed distribution when a flow starts, which takes a tenth of DataFlow's time.

    Metaflow looks for the distributions of the modules that a flow packages (metaflow/packaging_sys/distribution_support.py,
    modules_to_distributions); those of ``base.Flow.add_to_package`` are folders beside the flows. Not reported upstream.
    """
    distribution_support._cached_distributions = {}  # type: ignore[assignment]


def _keep_cards_with_their_runs() -> None:
    """Store local cards in the datastore, where Metaflow's client looks for them.

    Metaflow 2.19's command line looks for a .metaflow near the working directory instead, and finds no card at all with
    METAFLOW_CARD_LOCALROOT (metaflow/plugins/cards/card_datastore.py, get_storage_root; Metaflow issue 2139, pull request 3301).
    The copy of a card that the browser opens goes to the state's temporary files, which ``make erase`` looks through, not
    to the working directory (TEMP_DIR_NAME there).
    """
    card_datastore.TEMP_DIR_NAME = str(Path(tempfile.gettempdir(), card_datastore.TEMP_DIR_NAME))
    elsewhere = CardDatastore.get_storage_root

    def root(storage_type: str) -> str | None:
        if storage_type != "local":
            return elsewhere(storage_type)
        return str(Path(LocalStorage.get_datastore_root_from_config(lambda text: None), CARD_SUFFIX))

    CardDatastore.get_storage_root = staticmethod(root)  # type: ignore[method-assign]


def close_pods(settings: deploy.Deploy) -> None:
    """Pass Argo manifests through ``churn.settings.deploy``: ``closed``, ``retried`` and, for sensors, ``closed_sensor``.

    Metaflow 2.19 has no setting for a pod's security context, nor for the errors after which a step is retried
    (metaflow/plugins/argo/argo_client.py; Metaflow issue 1262).

    Raises:
        ChurnError: The patches are off.
    """
    from metaflow.plugins.argo.argo_client import ArgoClient

    if not metaflow_version.active(metaflow_version.PATCHES):
        raise ChurnError(
            f"Churnflow does not deploy without its patches for Metaflow {metaflow_version.TESTED}: "
            f"the pods would be unrestricted; install that version, and leave {metaflow_version.PATCHES} unset"
        )
    register = ArgoClient.register_workflow_template

    def closed(self: ArgoClient, name: str, workflow_template: dict[str, Any]) -> Any:
        return register(self, name, deploy.retried(deploy.closed(workflow_template), settings))

    register_sensor = ArgoClient.register_sensor

    def closed_sensor(self: ArgoClient, name: str, sensor: Any = None, *namespace: Any, **more: Any) -> Any:
        return register_sensor(self, name, deploy.closed_sensor(sensor) if sensor else sensor, *namespace, **more)

    ArgoClient.register_workflow_template = closed  # type: ignore[method-assign]
    ArgoClient.register_sensor = closed_sensor  # type: ignore[method-assign]


def say_refusals() -> None:
    """Report a full disk in one line (``churn.errors``).

    Metaflow writes runs, artifacts and cards outside the steps, and shows a traceback for each process that fails there
    (metaflow/cli.py, main; not reported upstream).
    """
    from metaflow import cli

    if not metaflow_version.active(metaflow_version.PATCHES):
        return
    shown = cli.print_unknown_exception

    def told(error: Exception) -> None:
        message = os_error_message(error)
        if message is None:
            shown(error)
        else:
            cli.print_metaflow_exception(MetaflowException(message))

    cli.print_unknown_exception = told


def _save_from_this_process() -> None:
    """Upload a step's artifacts to S3 sequentially.

    For more than 10, Metaflow starts an interpreter with workers to upload in parallel, which takes longer than uploading a few
    dozen small ones (metaflow/plugins/datastores/s3_storage.py; Metaflow issue 850).
    """
    save = S3Storage.save_bytes

    def in_turn(self: S3Storage, parts: Any, overwrite: bool = False, len_hint: int = 0) -> Any:
        return save(self, parts, overwrite, 0 if len_hint <= 50 else len_hint)

    S3Storage.save_bytes = in_turn


def _store_tables_as_they_are() -> None:
    """Do not gzip Parquet, which is already compressed: it takes a second for a million customers and saves 2 %.

    Store it as uncompressed gzip instead, so that any Metaflow client can read it
    (metaflow/datastore/content_addressed_store.py; Metaflow pull request 3090).
    """
    pack = ContentAddressedStore._pack_v1

    def packed(self: ContentAddressedStore, blob: bytes) -> io.BytesIO:
        return io.BytesIO(gzip.compress(blob, 0)) if b"PAR1" in blob[:PICKLED] else pack(self, blob)

    ContentAddressedStore._pack_v1 = packed  # type: ignore[method-assign]


def _say_what_killed_a_step() -> None:
    """Explain why the kernel may have killed a step.

    The only exit code that Metaflow 2.19 explains is a segmentation fault (metaflow/runtime.py, Worker.terminate; Metaflow
    issue 303).
    """
    from metaflow.runtime import Worker

    terminate = Worker.terminate

    def told(self: Worker) -> int:
        if self._proc.wait() == -signal.SIGKILL and not self.killed:
            self.emit_log(KILLED, self._stderr, system_msg=True)
        return terminate(self)

    Worker.terminate = told  # type: ignore[method-assign]


def _verify_artifacts() -> None:
    """Verify an artifact against its name, its SHA-1, when it is read, and keep damaged ones out of the client's cache.

    Metaflow 2.19 does not verify it (metaflow/datastore/content_addressed_store.py, load_blobs).
    """
    load, keep = ContentAddressedStore.load_blobs, FileBlobCache.store_key

    def verified(self: ContentAddressedStore, keys: Any, *words: Any, **named: Any) -> Iterator[tuple[Any, ...]]:
        loaded = load(self, keys, *words, **named)
        while True:
            try:
                key, blob, *meta = next(loaded)
            except StopIteration:
                return
            except (DataException, ValueError) as error:  # ValueError: what says how an artifact is packed
                raise ChurnError(f"an artifact of an earlier step is damaged ({error}); {_AGAIN}") from error
            if not _named(key, blob):
                place = self._storage_impl.full_uri(self._storage_impl.path_join(self._prefix, key[:2], key))
                raise ChurnError(f"{place}: this artifact is damaged: its SHA-1 does not match its name; {_AGAIN}")
            yield (key, blob, *meta)

    def kept(self: FileBlobCache, key: str, blob: bytes) -> None:
        if _named(key, blob):
            keep(self, key, blob)

    ContentAddressedStore.load_blobs = verified  # type: ignore[method-assign]
    FileBlobCache.store_key = kept  # type: ignore[method-assign]


_AGAIN = "restore it from a backup, or start the run again (do not resume it)"


def _named(key: str, blob: bytes) -> bool:
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == key
