"""An artifact of Metaflow's is what was stored, or an error that names it."""

import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import base  # noqa: F401 - patches Metaflow
import pytest
from churn.errors import ChurnError
from conftest import ROOT  # noqa: F401 - its environment first
from metaflow.client.filecache import FileBlobCache
from metaflow.datastore.content_addressed_store import ContentAddressedStore
from metaflow.plugins.datastores.local_storage import LocalStorage

BLOBS = [pickle.dumps({"threshold": 0.5, "rows": list(range(200))}), b"PAR1" + bytes(500), b"x" * 3000]


@pytest.fixture
def store(tmp_path: Path) -> ContentAddressedStore:
    return ContentAddressedStore("TrainFlow/data", LocalStorage(str(tmp_path)))


def _read(store: ContentAddressedStore, key: str) -> bytes:
    ((_, blob),) = store.load_blobs([key])
    return blob


def _flips(store: ContentAddressedStore, root: Path, number: int) -> None:
    rng = random.Random(number)
    keys = [saved.key for saved in store.save_blobs(BLOBS)]
    seen = 0
    for _ in range(number):
        key, blob = rng.choice(list(zip(keys, BLOBS, strict=True)))
        file = root / "TrainFlow" / "data" / key[:2] / rng.choice([key, key, key, f"{key}_meta"])
        content = file.read_bytes()
        changed, bit = bytearray(content), rng.randrange(8 * len(content))
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        try:
            assert _read(store, key) == blob, "silently another one"
        except ChurnError as error:
            seen += 1
            assert "artifact" in str(error)  # noqa: PT017
            assert "damaged" in str(error)  # noqa: PT017
        file.write_bytes(content)
        assert _read(store, key) == blob
    assert seen > number / 2


def test_no_flipped_bit_is_read(store: ContentAddressedStore, tmp_path: Path) -> None:
    _flips(store, tmp_path, 40)


@pytest.mark.slow
def test_none_of_a_thousand_flipped_bits_is_read(store: ContentAddressedStore, tmp_path: Path) -> None:
    _flips(store, tmp_path, 1000)


def test_another_artifact_under_its_name_is_named(store: ContentAddressedStore, tmp_path: Path) -> None:
    first, second = (saved.key for saved in store.save_blobs(BLOBS[:2]))
    place = tmp_path / "TrainFlow" / "data"
    (place / first[:2] / first).write_bytes((place / second[:2] / second).read_bytes())
    with pytest.raises(
        ChurnError, match=rf"{first}: this artifact is damaged: its SHA-1 does not match its name; restore it"
    ):
        _read(store, first)


def test_the_clients_cache_keeps_nothing_damaged() -> None:
    kept: dict[str, Any] = {}
    create: Callable[..., None] = lambda path, blob: kept.update({path: blob})  # noqa: E731
    files = type("Files", (), {"cache_dir": "c", "create_file": staticmethod(create)})()
    cache = FileBlobCache(files, "id")
    cache.store_key("0" * 40, b"damaged")
    assert kept == {}
    cache.store_key("f572d396fae9206628714fb2ce00f72e94f2258f", b"hello\n")
    assert list(kept.values()) == [b"hello\n"]
    assert json.dumps(list(kept)).endswith('.blob"]')
