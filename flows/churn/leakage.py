"""How well one column alone tells who churned: a column that does so too well was probably filled in afterwards."""

from typing import TYPE_CHECKING

import numpy as np
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd
    from churn.dataset import Dataset

SUSPECT = 0.98
SEED = 20_261_123  # not one that made-up customers are likely to share


def require_none(dataset: "Dataset", train: "pd.DataFrame", most: float) -> None:
    """ChurnError naming every feature column whose separation of the outcomes exceeds ``most``."""
    churned = (train[dataset.target] == dataset.positive).to_numpy()
    found = {name: separation(train[name], churned) for name in dataset.raw}
    if guilty := {name: value for name, value in found.items() if value > most}:
        named = ", ".join(f"'{name}' (ROC-AUC {value:.4f} alone)" for name, value in guilty.items())
        raise ChurnError(
            f"leakage check: column {named} gives the outcome '{dataset.target}' away. If it is known only after the "
            f"customer left, give it the role 'ignore' in the data set's file; else raise 'leakage' ({most:g}) in "
            "config/train.toml"
        )


def separation(values: "pd.Series", churned: np.ndarray) -> float:
    """ROC-AUC (0.5..1) of the column alone, the better of its values (where present) and of whether it is missing.

    Levels of a text column are scored by their churn rate in one half of the rows and judged on the other half, so that
    many rare levels do not look like knowledge.
    """
    missing = values.isna().to_numpy()
    rates = [missing[churned].mean(), missing[~churned].mean()] if 0 < churned.sum() < len(churned) else [0.0, 0.0]
    best = 0.5 + abs(rates[0] - rates[1]) / 2
    present, outcome = (values[~missing], churned[~missing]) if missing.any() else (values, churned)
    if outcome.all() or not outcome.any():
        return float(best)
    own = _of_numbers(present, outcome) if present.dtype.kind in "biuf" else _of_levels(present, outcome)
    return float(max(best, own))


def _of_numbers(values: "pd.Series", churned: np.ndarray) -> float:
    """The Mann-Whitney statistic by two sorts: pairs won by the churned, ties counted half."""
    numbers = values.to_numpy(dtype=np.float64)
    stayed, left = np.sort(numbers[~churned]), np.sort(numbers[churned])
    won = np.searchsorted(stayed, left, "left") + np.searchsorted(stayed, left, "right")
    auc = won.sum() / (2 * len(left) * len(stayed))
    return max(auc, 1 - auc)


def _of_levels(values: "pd.Series", churned: np.ndarray) -> float:
    codes = values.astype("category").cat.codes.to_numpy()
    half = np.random.default_rng(SEED).random(len(codes)) < 0.5
    # Counted at once: by level, by half, by outcome.
    counts = np.bincount(codes.astype(np.int64) * 4 + half * 2 + churned, minlength=4 * (int(codes.max()) + 1))
    counts = counts.reshape(-1, 2, 2).astype(float)
    learned, seen, left, stayed = counts[:, 1, 1], counts[:, 1].sum(axis=1), counts[:, 0, 1], counts[:, 0, 0]
    if not left.sum() or not stayed.sum():
        return 0.5
    rate = np.where(seen > 0, learned / np.maximum(seen, 1), learned.sum() / max(seen.sum(), 1))
    order = np.unique(rate, return_inverse=True)[1]  # levels of the same rate are tied
    left, stayed = np.bincount(order, left), np.bincount(order, stayed)
    below = np.cumsum(stayed) - stayed
    return float((left * (below + stayed / 2)).sum() / (left.sum() * stayed.sum()))
