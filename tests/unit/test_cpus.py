"""Threads follow a container's quota, whichever version of control groups tells it."""

from pathlib import Path

import pytest
from churn.settings import cpus

FIRST = {
    "proc/self/cgroup": "4:cpu,cpuacct:/kubepods/pod1\n1:name=systemd:/x\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "{quota}\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
}
SECOND = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "{quota} 100000\n"}
NESTED = {
    "proc/self/cgroup": "0::/pods/one\n",
    "sys/fs/cgroup/pods/cpu.max": "{quota} 100000\n",
    "sys/fs/cgroup/pods/one/cpu.max": "max 100000\n",
}


def _root(folder: Path, files: dict[str, str], quota: object) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(quota=quota))
    return folder


@pytest.mark.parametrize("files", [FIRST, SECOND, NESTED])
@pytest.mark.parametrize(("quota", "number"), [(200_000, 2), (150_000, 2), (50_000, 1), (10_000_000, 8)])
def test_a_quota_counts_whole_and_never_more_than_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], quota: int, number: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert cpus.cpus(_root(tmp_path, files, quota)) == number


@pytest.mark.parametrize(("files", "quota"), [(FIRST, -1), (SECOND, "max"), ({}, "")])
def test_without_a_quota_every_core_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], quota: object
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert cpus.cpus(_root(tmp_path, files, quota)) == 8
    assert cpus.quotas(_root(tmp_path, files, quota)) == []
