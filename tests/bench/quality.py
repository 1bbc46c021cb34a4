"""``make bench-quality``: our search beside FLAML for the same wall time, on the same splits. Prints, never asserts.

``python tests/bench/quality.py [--telco FILE] [--seeds 0 1 2 3 4]``
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flows"))

from churn import config, features, generator, models, quality, scores, selection, tuning  # noqa: E402
from churn.config import DataConfig, TrainConfig  # noqa: E402
from churn.dataset import Dataset, read  # noqa: E402


def ours(
    settings: TrainConfig, dataset: Dataset, train: pd.DataFrame, holdout: pd.DataFrame
) -> tuple[np.ndarray, float]:
    """Holdout probabilities of the shipped config's winner, and the seconds it took."""
    started = time.monotonic()
    board = [
        tuning.tune(family, settings.search, dataset, train, tuning.jobs(settings.search, 1))
        for family in settings.model
    ]
    winner = tuning.leaderboard(board, settings.search.metric)[0]
    chosen = selection.choose(winner, settings.search, dataset, train, None)
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
        inputs, models.outcome(dataset, train), task="classification", metric="roc_auc", time_budget=seconds,
        eval_method="cv", n_splits=5, seed=seed, verbose=0,
    )  # fmt: skip
    return found.predict_proba(unseen)[:, 1], time.monotonic() - started


def data_sets(telco_file: str) -> dict[str, tuple[Dataset, pd.DataFrame]]:
    """Telco (the file, if given), the generator's Telco, and one that the generator makes up from types alone."""
    telco = config.load(Dataset, ROOT / "config" / "datasets" / "telco.toml")
    columns = {f"n{i}": {"type": "number", "min": 0, "max": 10} for i in range(6)}
    columns |= {f"c{i}": {"values": ["a", "b", "c", "d"]} for i in range(4)}
    columns["left"] = {"role": "target", "values": ["no", "yes"], "positive": "yes"}
    plain = read({"name": "plain", "columns": columns})
    made = {
        "generated telco": (telco, generator.generate(telco, 7000, seed=1)),
        "generated plain": (plain, generator.generate(plain, 7000, seed=2)),
    }
    if telco_file:
        raw = pd.read_csv(telco_file, dtype="str", keep_default_na=False)
        limits = config.load(DataConfig, ROOT / "config" / "data.toml").quality
        made = {"telco": (telco, quality.validate(raw, telco, limits, telco_file).table), **made}
    return made


def main() -> None:
    from sklearn.model_selection import train_test_split

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--telco", default="")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    settings = config.load(TrainConfig, ROOT / "config" / "train.toml")
    print(f"{'data':<16} {'seed':>4}  {'ours':^36}   {'FLAML':^28}")
    for name, (dataset, table) in data_sets(options.telco).items():
        rows = []
        for seed in options.seeds:
            train, holdout = train_test_split(table, test_size=0.2, random_state=seed, stratify=table[dataset.target])
            outcome = models.outcome(dataset, holdout)
            mine, seconds = ours(settings, dataset, train, holdout)
            theirs, took = flaml(dataset, train, holdout, seconds, seed)
            row = [f(outcome, p) for p in (mine, theirs) for f in (scores.auc, scores.brier, scores.ece)]
            rows.append(row)
            print(_line(name, str(seed), row) + f"   {seconds:.0f} s, {took:.0f} s", flush=True)
        print(_line(name, "mean", list(np.mean(rows, axis=0))), flush=True)


def _line(name: str, seed: str, row: list[float]) -> str:
    ours_said, theirs_said = (f"auc {a:.4f} brier {b:.4f} ece {e:.4f}" for a, b, e in (row[:3], row[3:]))
    return f"{name:<16} {seed:>4}  {ours_said:<36}   {theirs_said}"


if __name__ == "__main__":
    main()
