"""A data version that was damaged in its remote: named object by object, and whole again after DataFlow on the same data."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import s3
from churn.data import snapshots, synthetic, tables
from churn.errors import ChurnError
from churn.settings.dataset import Dataset
from conftest import flow

pytestmark = pytest.mark.long

PARTS = ("listing", snapshots.TRAIN, snapshots.HOLDOUT, snapshots.DESCRIPTION)


def flipped(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flipped bit": flipped,
    "truncated": lambda content: content[:-5],
    "empty": lambda content: b"",
    "missing": lambda content: None,
}


class Folder:
    """A local remote, as ``read`` and ``write`` of its objects."""

    def __init__(self, at: Path) -> None:
        self.at = str(at)

    def read(self, address: str) -> bytes:
        return Path(address).read_bytes()

    def write(self, address: str, content: bytes | None) -> None:
        """DVC takes a file of mode 0444 for whole."""
        Path(address).unlink()
        if content is not None:
            Path(address).write_bytes(content)
            Path(address).chmod(0o444)


class Bucket:
    """The same in S3."""

    def __init__(self, server: s3.Server) -> None:
        self.at, self._client = f"s3://{s3.BUCKET}/dvc", server.client()

    def read(self, address: str) -> bytes:
        return self._client.get_object(Bucket=s3.BUCKET, Key=address.removeprefix(f"s3://{s3.BUCKET}/"))["Body"].read()

    def write(self, address: str, content: bytes | None) -> None:
        key = address.removeprefix(f"s3://{s3.BUCKET}/")
        if content is None:
            self._client.delete_object(Bucket=s3.BUCKET, Key=key)
        else:
            self._client.put_object(Bucket=s3.BUCKET, Key=key, Body=content)


@pytest.fixture(scope="module")
def saved(
    request: pytest.FixtureRequest, telco: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """A version in a remote, ``again`` to save it once more, and the ``addresses`` of its PARTS."""
    given = tables.to_bytes(synthetic.generate(telco, 200, 1)), tables.to_bytes(synthetic.generate(telco, 100, 2))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "s3":
            server = request.getfixturevalue("server")
            for name, value in server.environ.items():
                if name.startswith("AWS_"):
                    patch.setenv(name, value)
            place: Folder | Bucket = Bucket(server)
        else:
            place = Folder(tmp_path_factory.mktemp("remote"))
        patch.setenv("CHURNFLOW_DVC_REMOTE", place.at)
        first = snapshots.save(*given, telco, synthetic=False)
        assert first.uploaded
        assert first.repaired == ()

        def address(oid: str) -> str:
            return f"{place.at}/files/md5/{oid[:2]}/{oid[2:]}"

        listed = {entry["relpath"]: entry["md5"] for entry in json.loads(place.read(address(first.version)))}
        addresses = {name: address(listed.get(name, first.version)) for name in PARTS}
        again: Callable[[], snapshots.Saved] = lambda: snapshots.save(*given, telco, synthetic=False)  # noqa: E731
        yield SimpleNamespace(version=first.version, again=again, place=place, addresses=addresses)


ALL = [("folder", part, damage) for part in PARTS for damage in DAMAGES]
IN_S3 = [("s3", snapshots.TRAIN, "flipped bit"), ("s3", snapshots.HOLDOUT, "missing"), ("s3", "listing", "truncated")]


@pytest.mark.parametrize(("saved", "part", "damage"), ALL + IN_S3, indirect=["saved"], scope="module")
def test_a_damaged_object_is_named_and_stored_again(part: str, damage: str, saved: SimpleNamespace) -> None:
    address = saved.addresses[part]
    content = saved.place.read(address)
    saved.place.write(address, DAMAGES[damage](content))
    with pytest.raises(ChurnError) as told:
        snapshots.load(saved.version)
    assert "\n" not in str(told.value)
    new = part == "listing" and damage == "missing"  # then there is no such version
    what = "missing" if damage == "missing" else "damaged"
    assert f"(no {address}); name a version that DataFlow printed, or" in str(told.value) if new else (
        f"cannot be read: {address} is {what}; give the same data again, which stores that anew: " in str(told.value)
    )  # fmt: skip
    done = saved.again()
    assert done.uploaded
    assert done.repaired == (() if new else (address,))
    assert saved.place.read(address) == content
    assert snapshots.load(saved.version).version == saved.version
    assert str(saved.again()) == "already stored: nothing uploaded"


@pytest.mark.parametrize("saved", ["folder"], indirect=True, scope="module")
def test_several_at_once_are_all_named_and_all_repaired(saved: SimpleNamespace) -> None:
    train, holdout = saved.addresses[snapshots.TRAIN], saved.addresses[snapshots.HOLDOUT]
    saved.place.write(train, flipped(saved.place.read(train)))
    saved.place.write(holdout, None)
    with pytest.raises(ChurnError) as told:
        snapshots.load(saved.version)
    assert f"{train} is damaged" in str(told.value)
    assert f"{holdout} is missing" in str(told.value)
    assert set(saved.again().repaired) == {train, holdout}
    snapshots.load(saved.version)


@pytest.mark.parametrize("saved", ["folder"], indirect=True, scope="module")
def test_what_a_killed_upload_left_damaged_is_not_believed(saved: SimpleNamespace) -> None:
    """Without its listing a version is new; DVC would take the object for stored all the same."""
    train = saved.addresses[snapshots.TRAIN]
    saved.place.write(train, flipped(saved.place.read(train)))
    saved.place.write(saved.addresses["listing"], None)
    assert saved.again().repaired == (train,)
    snapshots.load(saved.version)


@pytest.mark.parametrize("saved", ["folder"], indirect=True, scope="module")
def test_no_changed_byte_of_a_listing_is_believed(saved: SimpleNamespace, tmp_path: Path) -> None:
    """A changed file name in it would be restored without a word."""
    address, rng = saved.addresses["listing"], random.Random(0)
    content = saved.place.read(address)
    places = [content.index(b"train.parquet"), *rng.sample(range(len(content)), 5)]
    for place in places:
        saved.place.write(address, content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ChurnError, match="is damaged"):
            snapshots.restore(saved.version, tmp_path / "back")
        assert not (tmp_path / "back").exists()
    saved.place.write(address, content)


def test_dataflow_says_what_it_repaired(customers_csv: Path, tmp_path: Path) -> None:
    environ = {"CHURNFLOW_HOME": str(tmp_path), "CHURNFLOW_DVC_REMOTE": str(tmp_path / "remote")}
    words = ("data_flow", "run", "--source", str(customers_csv))
    done = flow(*words, **environ)
    assert done.returncode == 0, done.stdout
    largest = max((tmp_path / "remote").glob("files/md5/??/*"), key=lambda path: path.stat().st_size)
    version = max((tmp_path / "remote").glob("files/md5/??/*.dir"))
    os.truncate(largest, 1000)
    pull = ("data", "pull", version.parent.name + version.name, "--to", str(tmp_path / "back"))
    assert f"{largest} is damaged; give the same data again" in flow(*pull, **environ).stdout
    again = flow(*words, **environ)
    assert f"(stored again: {largest} was damaged or missing)" in again.stdout, again.stdout
    assert flow(*pull, **environ).returncode == 0
