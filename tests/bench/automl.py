"""The AutoML libraries that ``make bench-quality`` compares with, each as its documentation shows it for ROC-AUC.

``python tests/bench/automl.py FOLDER SECONDS`` is AutoGluon's side, in an environment of its own: it reads train.parquet
(model inputs and ``outcome``) and holdout.parquet from FOLDER, and writes the holdout's probabilities to holdout.npy.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

AUTOGLUON = "autogluon.tabular[catboost,fastai,lightgbm,xgboost]==1.6.3"
OUTCOME = "outcome"


def flaml(inputs: pd.DataFrame, outcome: np.ndarray, holdout: pd.DataFrame, seconds: float, seed: int) -> np.ndarray:
    """Holdout probabilities of FLAML's best model after ``seconds``."""
    from flaml import AutoML

    found = AutoML()
    found.fit(
        inputs, outcome, task="classification", metric="roc_auc", time_budget=seconds, eval_method="cv", n_splits=5, seed=seed,
        verbose=0,
    )  # fmt: skip
    return found.predict_proba(holdout)[:, 1]


def autogluon(
    inputs: pd.DataFrame, outcome: np.ndarray, holdout: pd.DataFrame, seconds: float, seed: int
) -> np.ndarray:
    """Holdout probabilities of AutoGluon's medium preset, its default, after ``seconds``; it seeds itself."""
    with tempfile.TemporaryDirectory() as folder:
        inputs.assign(**{OUTCOME: outcome}).to_parquet(Path(folder, "train.parquet"))
        holdout.to_parquet(Path(folder, "holdout.parquet"))
        own = [
            sys.executable,
            "-m",
            "uv",
            "run",
            "--no-project",
            "--isolated",
            "--quiet",
            "--with",
            AUTOGLUON,
            "python",
        ]
        done = subprocess.run([*own, __file__, folder, str(seconds)], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return np.load(Path(folder, "holdout.npy"))


def _fit_autogluon(folder: str, seconds: float) -> None:
    from autogluon.tabular import TabularPredictor

    train, holdout = (pd.read_parquet(Path(folder, f"{name}.parquet")) for name in ("train", "holdout"))
    predictor = TabularPredictor(OUTCOME, eval_metric="roc_auc", path=str(Path(folder, "models")), verbosity=0)
    started = time.monotonic()
    predictor.fit(train, time_limit=seconds)
    print(f"{time.monotonic() - started:.0f} s")
    np.save(Path(folder, "holdout.npy"), predictor.predict_proba(holdout)[1].to_numpy())


if __name__ == "__main__":
    _fit_autogluon(sys.argv[1], float(sys.argv[2]))
