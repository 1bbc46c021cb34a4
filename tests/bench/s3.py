"""``make bench-s3``: TrainFlow's fan-out of four models with everything in S3, beside the same run on local disk.

A throw-away S3 server on this machine; the runs take turns. The ratio of the medians is to stay below 1.6.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.s3 import ROOT, Server


def run(environ: dict[str, str], flow: str, *words: str) -> float:
    """Seconds of a flow's run; its output ends this process if it fails."""
    start = time.monotonic()
    command = [sys.executable, f"flows/{flow}_flow.py", *words]
    done = subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(done.stdout)
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", default=str(ROOT / "config" / "train.toml"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder, "s3")).start()
        local = {**os.environ, "CHURNFLOW_PROFILE": "local", "CHURNFLOW_HOME": f"{folder}/local"}
        places = {"local": local, "s3": {**os.environ, **server.environ, "CHURNFLOW_HOME": f"{folder}/cluster"}}
        data = Path(folder, "data.toml")
        data.write_text(f'[[source]]\nkind = "synthetic"\nrows = {options.rows}\nseed = 42\n', encoding="utf-8")
        try:
            for environ in places.values():
                run(environ, "data", "--config", "settings", str(data), "run")
            train = ("--config", "settings", options.settings, "run", "--force")
            seconds: dict[str, list[float]] = {name: [] for name in places}
            for _ in range(options.rounds):
                for name, environ in places.items():
                    seconds[name].append(round(run(environ, "train", *train), 1))
        finally:
            server.kill()
    local_median, s3_median = (statistics.median(seconds[name]) for name in places)
    print(json.dumps({"seconds": seconds, "ratio": round(s3_median / local_median, 2), "at_most": 1.6}))


if __name__ == "__main__":
    main()
