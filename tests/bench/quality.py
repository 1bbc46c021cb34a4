"""``make bench-quality``: our search, FLAML and AutoGluon, for the same wall time on the same splits. Prints, never asserts.

``python tests/bench/quality.py [--sets FOLDER] [--only NAME ...] [--seeds 0 1 2 3 4]``
"""

import argparse
import time
from pathlib import Path

import automl
import numpy as np
import pandas as pd
import quality_sets
from churn.data import features
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.settings.train import TrainConfig
from churn.training import hyperparameter_search, metrics, selection

RIVALS = {"FLAML": automl.flaml, "AutoGluon": automl.autogluon}
SYSTEMS = ("ours", *RIVALS)
SCORES = {"ROC-AUC": metrics.auc, "Brier": metrics.brier, "log loss": metrics.log_loss}


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


def compare(settings: TrainConfig, dataset: Dataset, table: pd.DataFrame, seed: int) -> tuple[np.ndarray, float]:
    """The holdout's scores, shape (systems, SCORES), and the seconds that each system had."""
    from sklearn.model_selection import train_test_split

    train, holdout = train_test_split(table, test_size=0.2, random_state=seed, stratify=table[dataset.target])
    mine, seconds = ours(settings, dataset, train, holdout)
    inputs, unseen = (features.frame(dataset, part) for part in (train, holdout))
    for part in (inputs, unseen):
        part[list(dataset.categorical)] = part[list(dataset.categorical)].astype("category")
    given = inputs, features.outcome(dataset, train), unseen, seconds, seed
    predicted = [mine, *(rival(*given) for rival in RIVALS.values())]
    outcome = features.outcome(dataset, holdout)
    return np.array([[score(outcome, p) for score in SCORES.values()] for p in predicted]), seconds


def ranks(scores: np.ndarray) -> np.ndarray:
    """1 for the best of the systems, in the scores' shape (..., systems, SCORES)."""
    worse = np.array([-1 if name == "ROC-AUC" else 1 for name in SCORES])
    return (scores * worse).argsort(axis=-2).argsort(axis=-2) + 1


def summary(found: dict[str, np.ndarray]) -> str:
    """Mean ranks over the data sets' seeds, with 95 % intervals by a bootstrap over data sets, and every loss on a set."""
    rng, each = np.random.default_rng(0), np.stack([ranks(scores).mean(axis=0) for scores in found.values()])
    drawn = each[rng.integers(0, len(each), (10_000, len(each)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    lines = []
    for s, score in enumerate(SCORES):
        said = (
            f"{name} {each[:, i, s].mean():.2f} ({low[i, s]:.2f} to {high[i, s]:.2f})" for i, name in enumerate(SYSTEMS)
        )
        lines.append(f"mean rank by {score}: {', '.join(said)}")
    for name, scores in found.items():
        order, means = ranks(scores.mean(axis=0)), scores.mean(axis=0)
        for s, score in enumerate(SCORES):
            if order[0, s] > 1:
                best = int(order[:, s].argmin())
                lines.append(
                    f"lost: {name} by {score}, {means[0, s]:.4f} where {SYSTEMS[best]} has {means[best, s]:.4f}"
                )
    return "\n".join(lines)


def _line(name: str, seed: str, scores: np.ndarray) -> str:
    said = (
        f"{system} " + " ".join(f"{value:.4f}" for value in row) for system, row in zip(SYSTEMS, scores, strict=True)
    )
    return f"{name:<12} {seed:>4}  " + "   ".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sets", type=Path, help="a folder of CSV files, one customer a row, whose target `make dataset` finds"
    )
    parser.add_argument("--only", nargs="+", default=(), help="names of data sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    settings, found = core.load(TrainConfig, quality_sets.ROOT / "config" / "train.toml"), {}
    print(f"{'data':<12} seed  " + ", ".join(SCORES) + " of each")
    for name, text in quality_sets.texts(options.sets).items():
        if options.only and name not in options.only:
            continue
        dataset, table = quality_sets.read(name, text)
        rows = []
        for seed in options.seeds:
            scores, seconds = compare(settings, dataset, table, seed)
            rows.append(scores)
            print(_line(name, str(seed), scores) + f"   {seconds:.0f} s each", flush=True)
        found[name] = np.stack(rows)
        print(_line(name, "mean", found[name].mean(axis=0)), flush=True)
    print(summary(found))


if __name__ == "__main__":
    main()
