"""``make bench-train``: TrainFlow beside the same fits in one plain process with the same cores, and what preprocessing once
per fold saves. Prints, never asserts. ``python tests/bench/train.py [--rows 10000] [--iterations 10]``
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from data import timed

ROOT = Path(__file__).resolve().parents[2]
PLAIN = """
import json, sys, time
started = time.monotonic()
sys.path.insert(0, "flows")
from churn.data import snapshots
from churn.settings import core
from churn.training import hyperparameter_search, selection
from churn.settings.train import TrainConfig
from joblib import Parallel, cpu_count, delayed
settings = core.load(TrainConfig, sys.argv[1])
data = snapshots.load(sys.argv[2])
board = Parallel(cpu_count())(
    delayed(hyperparameter_search.tune)(family, settings.search, data.dataset, data.train) for family in settings.model
)
best = selection.board(board, settings.search, data.dataset, data.train)[0]
selection.finalize(best, settings.search, data.dataset, data.train, None)
print(json.dumps(time.monotonic() - started))
"""
# One family's search as it is, and by scikit-learn over the whole pipeline: the same trials, folds and scores.
SAVING = """
import json, sys, time
sys.path.insert(0, "flows")
from churn.data import features, snapshots
from churn.settings import core
from churn.training import estimators, folds, hyperparameter_search
from churn.settings.train import TrainConfig
from sklearn.model_selection import RandomizedSearchCV
settings = core.load(TrainConfig, sys.argv[1])
data = snapshots.load(sys.argv[2])
family = next(family for family in settings.model if family.name == "xgboost")
started = time.monotonic()
hyperparameter_search.tune(family, settings.search, data.dataset, data.train)
once = time.monotonic() - started
space = {f"model__{name}": values for name, values in estimators.distributions(family).items()}
search = RandomizedSearchCV(
    estimators.build_pipeline(family, data.dataset, settings.search.seed, {}), space, n_iter=family.iterations, refit=False,
    cv=folds.folds(settings.search, data.dataset, data.train), random_state=settings.search.seed,
    scoring=["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss"],
)
started = time.monotonic()
search.fit(features.frame(data.dataset, data.train), features.outcome(data.dataset, data.train))
print(json.dumps([once, time.monotonic() - started]))
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
        data.write_text(f'[[source]]\nkind = "synthetic"\nrows = {options.rows}\nseed = 42\n')
        _flow(environ, "data_flow", "--config", "settings", str(data), "run")
        version = _latest(environ)
        plain = json.loads(_run(environ, "-c", PLAIN, str(train), version))
        words = ("--config", "settings", str(train), "run", "--force", "--data-version", version)
        flow, peak = timed(environ, "flows/train_flow.py", *words)
        print(f"{options.rows:,} rows, {options.iterations} trials a family: TrainFlow {flow:.0f} s, plain {plain:.0f} s, "
              f"ratio {flow / plain:.2f}, overhead {flow - plain:.0f} s, largest process {peak:.0f} MB", flush=True)  # fmt: skip
        once, each = json.loads(_run(environ, "-c", SAVING, str(train), version))
        print(f"xgboost, preprocessing once per fold: {once:.1f} s; once per trial and fold: {each:.1f} s")


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
