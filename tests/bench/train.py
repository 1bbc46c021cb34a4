"""``make bench-train``: the time and memory of TrainFlow, with the shipped search. Prints, never asserts.

Up to SMALL rows, beside it: the same fits in one plain process with the same cores, and what preprocessing once per fold saves.
Above: the holdout of a search without successive halving, in which all trials are fitted on all rows of the cross-validation.
``python tests/bench/train.py [--rows 10000]``
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from data import timed, together

ROOT = Path(__file__).resolve().parents[2]
SMALL = 50_000
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


RESULT = """
import json, sys; sys.path.insert(0, "flows")
import base
from metaflow import Flow, namespace
namespace(None)
run = Flow("TrainFlow").latest_successful_run
evaluation, board = run["evaluate"].task["evaluation"].data, run["select"].task["board"].data
best = board[0].family.name, board[0].best.scores["roc_auc"]
print(json.dumps([evaluation.scores["roc_auc"], evaluation.scores["brier"], *best]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environ, data = {**os.environ, "CHURNFLOW_HOME": f"{folder}/state"}, Path(folder, "data.toml")
        data.write_text(f'[[source]]\nkind = "synthetic"\nrows = {options.rows}\nseed = 42\n')
        _run(environ, "flows/data_flow.py", "--config", "settings", str(data), "run")
        version = _latest(environ)
        shipped = ROOT / "config" / "train.toml"
        seconds = _trained(environ, shipped, version)
        if options.rows > SMALL:
            full = Path(folder, "full.toml")
            full.write_text(re.sub(r"(?m)^halving_rows = \d+", "halving_rows = 0", shipped.read_text()))
            _trained(environ, full, version)
            return
        plain = json.loads(_run(environ, "-c", PLAIN, str(shipped), version))
        print(f"the same fits in a plain process {plain:.0f} s, ratio {seconds / plain:.2f}", flush=True)
        once, each = json.loads(_run(environ, "-c", SAVING, str(shipped), version))
        print(f"xgboost, preprocessing once per fold: {once:.1f} s; once per trial and fold: {each:.1f} s")


def _trained(environ: dict[str, str], settings: Path, version: str) -> float:
    """The seconds of a TrainFlow; prints them, with its memory and its model's scores."""
    words = ("--config", "settings", str(settings), "run", "--force", "--data-version", version)
    seconds, peak = timed(environ, "flows/train_flow.py", *words, memory=together)
    auc, brier, winner, crossed = json.loads(_run(environ, "-c", RESULT))
    halving = "halving_rows = 0" not in settings.read_text()
    print(f"{'shipped search' if halving else 'without halving'}: TrainFlow {seconds:.0f} s, all processes {peak:.0f} MB; "
          f"{winner}, cross-validated ROC-AUC {crossed:.4f}, holdout {auc:.4f}, Brier {brier:.4f}", flush=True)  # fmt: skip
    return seconds


def _latest(environ: dict[str, str]) -> str:
    code = (
        'import sys; sys.path.insert(0, "flows"); import base; from metaflow import Flow, namespace; namespace(None); '
        'print(Flow("DataFlow").latest_successful_run.data.data_version)'
    )
    return _run(environ, "-c", code).strip()


def _run(environ: dict[str, str], *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
