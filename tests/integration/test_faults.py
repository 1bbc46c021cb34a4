"""Versioning while its store dies, fills up or the process is killed: no version exists whose bytes do not match its hash,
and the next run succeeds."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from churn.data import snapshots
from churn.errors import ChurnError
from churn.settings.dataset import Dataset
from conftest import ROOT, flow
from s3 import BUCKET, Server

pytestmark = pytest.mark.long

TRAIN, HOLDOUT = 24 << 20, 8 << 20  # bytes: enough to be interrupted in the middle
SAVE = """
import fcntl, os, random, signal, sys

def killed(clone, *_):  # at the one system call between a clone's name and its bytes
    if os.readlink(f"/proc/self/fd/{clone}").startswith(os.environ["CHURNFLOW_DVC_REMOTE"]):
        os.kill(os.getpid(), signal.SIGKILL)
    raise OSError(95, "Operation not supported")
if "KILLED_WHILE_CLONING" in os.environ:
    fcntl.ioctl = killed
sys.path.insert(0, "flows")
from churn.data import snapshots
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.errors import ChurnError
telco = core.load(Dataset, "config/datasets/telco.toml")
rng = random.Random(int(sys.argv[1]))
try:
    print(snapshots.save(rng.randbytes(24 << 20), rng.randbytes(8 << 20), telco, False).version)
except ChurnError as error:
    sys.exit(str(error))
"""


def saving(seed: int, **environ: str) -> "subprocess.Popen[str]":
    """A process that versions 32 MB of its own."""
    command = [sys.executable, "-c", SAVE, str(seed)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ}, text=True, **pipes)


def held(folder: Path) -> int:
    """Bytes in a folder that changes meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def until(process: "subprocess.Popen[str]", reached: Callable[[], bool]) -> None:
    while process.poll() is None and not reached():
        time.sleep(0.002)


def check(objects: dict[str, bytes]) -> int:
    """Every object has the bytes that its name promises, and what a version lists is there; how many versions there are."""
    for name, data in objects.items():
        assert hashlib.md5(data).hexdigest() == name.removesuffix(".dir"), name
    versions = [data for name, data in objects.items() if name.endswith(".dir")]
    for listing in versions:
        assert {entry["md5"] for entry in json.loads(listing)} <= set(objects)
    return len(versions)


def in_folder(remote: Path) -> dict[str, bytes]:
    """What DVC would take for content: leftovers of a copy have other names."""
    found = [path for path in remote.glob("files/md5/??/*") if not path.name.startswith(".")]
    return {path.parent.name + path.name: path.read_bytes() for path in found}


def test_a_kill_at_any_moment_of_versioning_leaves_whole_versions_only(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    environ = {"CHURNFLOW_DVC_REMOTE": str(remote), "TMPDIR": str(tmp_path)}
    for part in (0.05, 0.5, 0.9):
        process = saving(1, **environ)
        until(process, lambda part=part: held(remote) > part * (TRAIN + HOLDOUT))
        assert process.poll() is None, process.stderr and process.stderr.read()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert check(in_folder(remote)) == 0
    saving(1, KILLED_WHILE_CLONING="1", **environ).communicate()
    assert check(in_folder(remote)) == 0
    said, complaint = saving(1, **environ).communicate()
    assert check(in_folder(remote)) == 1, complaint
    assert restored(said.strip(), remote, tmp_path) == (TRAIN, HOLDOUT)


def test_a_run_killed_in_its_version_step_is_resumed(customers_csv: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    environ = {"CHURNFLOW_HOME": str(tmp_path), "CHURNFLOW_DVC_REMOTE": str(remote), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "flows/data_flow.py", "run", "--source", str(customers_csv)]
    log = (tmp_path / "log").open("w+")
    run = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environ, stdout=log, stderr=log, text=True, start_new_session=True
    )
    until(run, lambda: held(remote) > 0)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, log.seek(0) or log.read()
    check(in_folder(remote))
    done = flow("data_flow", "resume", **environ)
    assert done.returncode == 0, done.stdout
    assert "/version/" in done.stdout
    assert check(in_folder(remote)) == 1, done.stdout


def restored(version: str, remote: Path | str, tmp_path: Path) -> tuple[int, int]:
    done = flow("data", "pull", version, "--to", str(tmp_path / "back"), CHURNFLOW_DVC_REMOTE=str(remote))
    assert done.returncode == 0, done.stdout
    sizes = [(tmp_path / "back" / name).stat().st_size for name in (snapshots.TRAIN, snapshots.HOLDOUT)]
    return sizes[0], sizes[1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path / "s3").start()
    yield started
    started.kill()


def test_an_s3_server_killed_in_the_middle_leaves_whole_versions_only(server: Server, tmp_path: Path) -> None:
    remote = f"s3://{BUCKET}/dvc"
    environ = {"CHURNFLOW_DVC_REMOTE": remote, "AWS_DEFAULT_REGION": "us-east-1"}
    environ |= {name: value for name, value in server.environ.items() if name.startswith("AWS_")}
    empty = held(tmp_path / "s3")
    process = saving(2, **environ)
    until(process, lambda: held(tmp_path / "s3") > empty + (TRAIN + HOLDOUT) // 3)
    server.kill()
    _, complaint = process.communicate()
    assert process.returncode == 1
    assert f"cannot write the data version to {remote}" in complaint
    assert "Traceback" not in complaint
    server.start()
    assert check(in_bucket(server)) == 0
    said, complaint = saving(2, **environ).communicate()
    assert check(in_bucket(server)) == 1, complaint
    assert said.strip().endswith(".dir")


def in_bucket(server: Server) -> dict[str, bytes]:
    keys = server.keys("dvc/files/md5/")
    client = server.client()
    return {"".join(key.rsplit("/", 2)[1:]): client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(disk)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_named_and_holds_no_version(
    small_disk: Path, telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURNFLOW_DVC_REMOTE", str(small_disk / "remote"))
    train, holdout = os.urandom(20 << 20), os.urandom(8 << 20)
    with pytest.raises(ChurnError, match=rf"cannot write the data version to {small_disk}.*No space left on device"):
        snapshots.save(train, holdout, telco, synthetic=False)
    assert check(in_folder(small_disk / "remote")) == 0
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    leftovers = list((small_disk / "remote").glob("files/md5/??/.*.tmp"))
    assert leftovers
    for left in leftovers:
        os.utime(left, (0, 0))
    saved = snapshots.save(train, holdout, telco, synthetic=False)
    assert saved.uploaded
    assert not any(left.exists() for left in leftovers), "what is a day old is swept"
    assert check(in_folder(small_disk / "remote")) == 1
    with pytest.raises(ChurnError, match=rf"cannot write {small_disk}/sub/back: .*No space left"):
        snapshots.restore(saved.version, small_disk / "sub" / "back")
    assert not list((small_disk / "sub").iterdir())
    back = snapshots.restore(saved.version, tmp_path / "back")
    assert (back / snapshots.TRAIN).read_bytes() == train
