"""The number of CPUs this process may use: a container's share of its node, not the node's cores."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

# Read by OpenMP (XGBoost, scikit-learn), OpenBLAS, MKL and polars when they load; Arrow reads the first.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


def cpus(root: Path = Path("/")) -> int:
    """The CPUs allowed by scheduler affinity and the CPU quotas of cgroup v1 and v2, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in quotas(root))]))


def quotas(root: Path = Path("/")) -> list[float]:
    """The CPU quotas, in CPUs, of this process's control groups and all enclosing groups."""
    limits = []
    for folder in _groups(root):
        for read in (_second, _first):
            try:
                quota, period = read(folder)
                if quota > 0:  # -1 means no quota in v1
                    limits.append(quota / period)
            except (OSError, ValueError):  # the other version, or "max": no quota
                continue
    return limits


def threads() -> dict[str, str]:
    """THREADS set to ``cpus()`` under a quota, where libraries would use every core of the node; empty elsewhere."""
    return dict.fromkeys(THREADS, str(cpus())) if quotas() else {}


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the process's groups below each hierarchy's mount; in a container the mount itself is the group."""
    mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/cpu", root / "sys/fs/cgroup/cpu,cpuacct"]
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    groups = {line.split(":", 2)[2].strip("/") for line in lines if line.split(":", 2)[1] in ("", "cpu", "cpu,cpuacct")}
    places = {place for path in groups for place in (Path(path), *Path(path).parents)}
    for mount in mounts:
        if mount.is_dir():
            yield from (mount / place for place in sorted(places))


def _second(folder: Path) -> tuple[float, float]:
    quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
    return float(quota), float(period)


def _first(folder: Path) -> tuple[float, float]:
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    quota, period = (float((folder / name).read_text(encoding="utf-8")) for name in names)
    return quota, period
