"""``make bench-quality``: our search beside FLAML for the same wall time, on the same splits. Prints, never asserts.

``python tests/bench/quality.py [--telco FILE] [--seeds 0 1 2 3 4] [--only NAME]``
"""

import argparse
import io
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "flows"), str(ROOT / "tests")]

import other_data  # noqa: E402
from churn.data import features  # noqa: E402
from churn.schema_inference import infer  # noqa: E402
from churn.settings import core  # noqa: E402
from churn.settings.data import DataConfig  # noqa: E402
from churn.settings.dataset import Dataset  # noqa: E402
from churn.settings.train import TrainConfig  # noqa: E402
from churn.training import hyperparameter_search, metrics, selection  # noqa: E402
from churn.validation import validation  # noqa: E402

TELCO = ROOT.parent / "shared" / "data" / "telco_churn.csv"
ROWS = {
    "narrow": 6000,
    "wide": 3000,
}  # 150 columns become 965: a seed of `wide` takes five times as long as one of Telco


def ours(
    settings: TrainConfig, dataset: Dataset, train: pd.DataFrame, holdout: pd.DataFrame
) -> tuple[np.ndarray, float]:
    """Holdout probabilities of the shipped config's winner, and the seconds it took."""
    started = time.monotonic()
    search = settings.search
    tuned = [
        hyperparameter_search.tune(family, search, dataset, train, hyperparameter_search.jobs(search, 1))
        for family in settings.model
    ]
    winner = selection.board(tuned, search, dataset, train)[0]
    chosen = selection.finalize(winner, search, dataset, train, None)
    return chosen.pipeline.predict_proba(features.frame(dataset, holdout))[:, 1], time.monotonic() - started


def flaml(
    dataset: Dataset, train: pd.DataFrame, holdout: pd.DataFrame, seconds: float, seed: int
) -> tuple[np.ndarray, float]:
    """Holdout probabilities of FLAML's best model after ``seconds``."""
    from flaml import AutoML

    started = time.monotonic()
    inputs, unseen = (features.frame(dataset, table) for table in (train, holdout))
    for table in (inputs, unseen):
        table[list(dataset.categorical)] = table[list(dataset.categorical)].astype("category")
    found = AutoML()
    found.fit(
        inputs, features.outcome(dataset, train), task="classification", metric="roc_auc", time_budget=seconds,
        eval_method="cv", n_splits=5, seed=seed, verbose=0,
    )  # fmt: skip
    return found.predict_proba(unseen)[:, 1], time.monotonic() - started


def data_sets(telco_file: Path) -> dict[str, tuple[Dataset, pd.DataFrame]]:
    """Telco, if its file is there, and two synthetic companies' customers, described and checked as `make dataset` would."""
    made = {name: getattr(other_data, name)(rows, seed=1) for name, rows in ROWS.items()}
    texts = {name: table.to_csv(index=False) for name, table in made.items()}
    if telco_file.is_file():
        texts = {"telco": telco_file.read_text(encoding="utf-8"), **texts}
    limits = core.load(DataConfig, ROOT / "config" / "data.toml").quality
    found = {}
    for name, text in texts.items():
        raw = pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False)
        known = ROOT / "config" / "datasets" / f"{name}.toml"
        dataset = core.load(Dataset, known) if known.exists() else infer.describe(raw, name, name).dataset
        found[name] = dataset, validation.validate(raw, dataset, limits, name).table
    return found


def main() -> None:
    from sklearn.model_selection import train_test_split

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--telco", type=Path, default=TELCO)
    parser.add_argument("--only", default="", help="one data set: telco, narrow or wide")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    settings = core.load(TrainConfig, ROOT / "config" / "train.toml")
    print(f"{'data':<8} {'seed':>4}  {'ours':^36}   {'FLAML':^28}")
    for name, (dataset, table) in data_sets(options.telco).items():
        if options.only not in ("", name):
            continue
        rows = []
        for seed in options.seeds:
            train, holdout = train_test_split(table, test_size=0.2, random_state=seed, stratify=table[dataset.target])
            outcome = features.outcome(dataset, holdout)
            mine, seconds = ours(settings, dataset, train, holdout)
            theirs, took = flaml(dataset, train, holdout, seconds, seed)
            row = [f(outcome, p) for p in (mine, theirs) for f in (metrics.auc, metrics.brier, metrics.ece)]
            rows.append(row)
            print(_line(name, str(seed), row) + f"   {seconds:.0f} s, {took:.0f} s", flush=True)
        print(_line(name, "mean", list(np.mean(rows, axis=0))), flush=True)


def _line(name: str, seed: str, row: list[float]) -> str:
    ours_said, theirs_said = (f"auc {a:.4f} brier {b:.4f} ece {e:.4f}" for a, b, e in (row[:3], row[3:]))
    return f"{name:<8} {seed:>4}  {ours_said:<36}   {theirs_said}"


if __name__ == "__main__":
    main()
