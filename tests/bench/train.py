"""``make bench-train``: TrainFlow beside the same fits in one plain process with the same cores.
Prints, never asserts. ``python tests/bench/train.py [--rows 10000] [--iterations 10]``
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAIN = """
import json, sys, time
sys.path.insert(0, "flows")
from churn import config, features, models, selection, tuning, versioning
from churn.config import TrainConfig
from joblib import Parallel, cpu_count, delayed
settings = config.load(TrainConfig, sys.argv[1])
data = versioning.load(sys.argv[2])
started = time.monotonic()
board = Parallel(cpu_count())(
    delayed(tuning.tune)(family, settings.search, data.dataset, data.train) for family in settings.model
)
best = tuning.leaderboard(board, settings.search.metric)[0]
selection.choose(best, settings.search, data.dataset, data.train, None)
print(json.dumps(time.monotonic() - started))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--iterations", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "CHURNFLOW_HOME": folder}
        train, data = Path(folder, "train.toml"), Path(folder, "data.toml")
        text = (ROOT / "config" / "train.toml").read_text()
        lines = [f"iterations = {options.iterations}" if s.startswith("iterations") else s for s in text.splitlines()]
        train.write_text("\n".join(lines))
        data.write_text(f'[[source]]\nkind = "generate"\nrows = {options.rows}\nseed = 42\n')
        _flow(environ, "data_flow", "--config", "settings", str(data), "run")
        version = _latest(environ)
        plain = json.loads(_run(environ, "-c", PLAIN, str(train), version))
        started = time.monotonic()
        _flow(environ, "train_flow", "--config", "settings", str(train), "run", "--force", "--data-version", version)
        flow = time.monotonic() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{options.rows:,} rows, {options.iterations} trials a family: TrainFlow {flow:.0f} s, plain {plain:.0f} s, "
              f"ratio {flow / plain:.2f}, overhead {flow - plain:.0f} s, largest process {peak:.0f} MB")  # fmt: skip


def _latest(environ: dict[str, str]) -> str:
    code = (
        'import sys; sys.path.insert(0, "flows"); import base; from metaflow import Flow, namespace; namespace(None); '
        'print(Flow("DataFlow").latest_successful_run.data.data_version)'
    )
    return _run(environ, "-c", code).strip()


def _flow(environ: dict[str, str], name: str, *words: str) -> None:
    _run(environ, f"flows/{name}.py", *words)


def _run(environ: dict[str, str], *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
