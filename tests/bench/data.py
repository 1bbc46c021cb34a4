"""``make bench-data``: DataFlow on a Parquet file beside its floor, one process that does the same by hand in polars.
Prints, never asserts. ``python tests/bench/data.py [--rows 1000000] [--rounds 3]``

The floor (``tests/bench/data_floor.py``) reads the file, makes the very same checks, computes the same features, splits
and writes the same two tables and hashes them; it has no steps to resume at, no profile, no card and no store.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATE = """
import sys
sys.path.insert(0, "flows")
from churn.data import synthetic
from churn.settings import core
from churn.settings.dataset import Dataset
telco = core.load(Dataset, "config/datasets/telco.toml")
synthetic.generate(telco, int(sys.argv[1]), seed=int(sys.argv[3])).to_parquet(sys.argv[2], index=False)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    flow, floor = [], []
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "CHURNFLOW_HOME": f"{folder}/state"}
        for seed in range(options.rounds):  # other rows each time: a version that exists is not written again
            source = f"{folder}/customers.parquet"
            timed(environ, "-c", GENERATE, str(options.rows), source, str(seed))
            floor.append(timed(environ, "tests/bench/data_floor.py", source, folder))
            flow.append(timed(environ, "flows/data_flow.py", "run", "--source", source))
            print(f"round {seed + 1}: DataFlow {_said(flow[-1])}; floor {_said(floor[-1])}", flush=True)
    ours, least = (statistics.median(seconds for seconds, _ in found) for found in (flow, floor))
    print(f"{options.rows:,} rows, medians: DataFlow {ours:.1f} s, floor {least:.1f} s, ratio {ours / least:.2f}; "
          f"largest process {max(megabytes for _, megabytes in flow):.0f} MB")  # fmt: skip


def timed(environ: dict[str, str], *words: str, memory: Callable[[int], float] | None = None) -> tuple[float, float]:
    """Wall seconds of a command, and the peak of ``memory`` in MB, by default of the largest process of its session."""
    memory = memory or largest
    with tempfile.TemporaryFile("w+") as output:
        started, peak = time.monotonic(), 0.0
        process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=environ, stdout=output, stderr=output, start_new_session=True
        )
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(0.05 if memory is largest else 0.5)  # a look at shared pages takes milliseconds
        seconds = time.monotonic() - started
        if process.returncode:
            output.seek(0)
            sys.exit(output.read())
    return seconds, peak


def largest(session: int) -> float:
    """The largest peak so far, in MB, among the processes of a session: steps are no children of the command."""
    return max([0, *_kilobytes(session, "status", "VmHWM:")]) / 1024


def together(session: int) -> float:
    """The memory in MB that the processes of a session hold now; what they share counts once."""
    return sum(_kilobytes(session, "smaps_rollup", "Pss:")) / 1024


def _kilobytes(session: int, file: str, line: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session:
                lines = (entry / file).read_text().splitlines()
                found += [int(one.split()[1]) for one in lines if one.startswith(line)]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found


def _said(found: tuple[float, float]) -> str:
    return f"{found[0]:.1f} s, {found[1]:.0f} MB"


if __name__ == "__main__":
    main()
