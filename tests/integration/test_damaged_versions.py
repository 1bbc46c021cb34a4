"""Of a data version that is damaged in its remote nothing is used, and erasing a customer makes no whole one of it."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from churn.data import snapshots, synthetic, tables
from churn.errors import ChurnError
from churn.privacy import data_versions
from churn.privacy.subject import Subject
from churn.settings.dataset import Dataset
from churn.settings.environment import STATE

from tests.unit.test_checksums import flipped


@pytest.fixture(scope="module")
def made(telco: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A version of 60 customers in a remote of its own: its ``name``, the ``files`` of its objects, and what it ``holds``."""
    remote = tmp_path_factory.mktemp("remote")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHURNFLOW_DVC_REMOTE", str(remote))
        table = synthetic.generate(telco, 60, 1)
        name = snapshots.save(tables.to_bytes(table[:40]), tables.to_bytes(table[40:]), telco, True).version
        files = sorted(path for path in remote.glob("files/md5/*/*"))
        yield SimpleNamespace(
            name=name, remote=remote, files=files, holds=snapshots.load(name), customer=str(table.customerID[3])
        )


@pytest.fixture(autouse=True)
def _as_before(made: SimpleNamespace) -> Iterator[None]:
    kept = {path: path.read_bytes() for path in made.files}
    yield
    shutil.rmtree(made.remote)
    for path, content in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _same(found: snapshots.Snapshot, wanted: snapshots.Snapshot) -> bool:
    own, other = ({**vars(one), "train": None, "holdout": None} for one in (found, wanted))
    return own == other and found.train.equals(wanted.train) and found.holdout.equals(wanted.holdout)


def _flip(file: Path, bit: int) -> None:
    file.chmod(0o600)
    file.write_bytes(flipped(file.read_bytes(), bit))


def _flips(made: SimpleNamespace, number: int) -> None:
    """Each time one bit of an object: an error that names it."""
    rng = random.Random(number)
    for _ in range(number):
        file = rng.choice(made.files)
        bit = rng.randrange(8 * file.stat().st_size)
        _flip(file, bit)
        with pytest.raises(ChurnError, match=f"{file} is damaged"):
            snapshots.load(made.name)
        _flip(file, bit)
    assert _same(snapshots.load(made.name), made.holds)


def test_no_flipped_bit_of_an_object_is_used(made: SimpleNamespace) -> None:
    assert len(made.files) == 4
    _flips(made, 8)


@pytest.mark.slow
def test_none_of_five_hundred_flipped_bits_of_objects_is_used(made: SimpleNamespace) -> None:
    _flips(made, 500)


@pytest.mark.parametrize("which", range(4))
def test_erasing_a_customer_stores_nothing_damaged_again(made: SimpleNamespace, which: int) -> None:
    who, file = Subject(made.customer, frozenset({"customerID"})), made.files[which]
    _flip(file, 8 * (file.stat().st_size // 2))
    traces = list(data_versions.sweep(who, remove=True))
    assert [trace.what for trace in traces if trace.place == str(file)] == ["a file that is damaged"]
    found = {path.name for path in made.remote.glob("files/md5/*/*")}
    assert found <= {path.name for path in made.files}, "a new version, of damaged rows"


def test_a_damaged_listing_lets_no_file_of_its_version_be_taken_for_a_leftover(made: SimpleNamespace) -> None:
    (listing,) = (file for file in made.files if file.name.endswith(".dir"))
    _flip(listing, 8)
    nobody = Subject("nobody-at-all", frozenset({"customerID"}))
    assert [trace.place for trace in data_versions.sweep(nobody, remove=True)] == [str(listing)]
    _flip(listing, 8)
    assert _same(snapshots.load(made.name), made.holds)


def test_dvc_leaves_nothing_but_the_remote(made: SimpleNamespace) -> None:
    """A folder for each repository that it was used in, open to everybody: nobody removed them."""
    assert snapshots.load(made.name).version == made.name
    assert not (STATE / "dvc-site").exists()
    assert [path.name for path in STATE.iterdir() if path.stat().st_mode & 0o002] == []


def test_an_undamaged_version_is_stored_again_without_the_customer(made: SimpleNamespace) -> None:
    who = Subject(made.customer, frozenset({"customerID"}))
    (trace,) = data_versions.sweep(who, remove=True)
    assert trace.what.startswith("1 rows to train, 0 held out; now ")
    after = snapshots.load(made.name)
    assert np.array_equal(after.train.customerID, made.holds.train.customerID.drop(3))
    assert json.loads((made.remote / "successors" / f"{made.name}.json").read_text())["successor"] == after.version
