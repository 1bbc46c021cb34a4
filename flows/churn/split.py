"""Which customers are held out: by chance within each class, or the latest ones. No customer is ever on both sides."""

from typing import TYPE_CHECKING

import numpy as np
from churn.config import Split
from churn.dataset import Dataset
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

TRAIN, HOLDOUT, NEITHER = 0, 1, 2
LEAST = 20


def columns(dataset: Dataset) -> list[str]:
    """What ``sides`` reads of a table: without an id, rows are told apart by all their values."""
    return (
        [name for name in (dataset.id, dataset.time, dataset.target) if name] if dataset.id else list(dataset.columns)
    )


def sides(frame: "pd.DataFrame", dataset: Dataset, settings: Split) -> np.ndarray:
    """TRAIN, HOLDOUT or NEITHER for each row, int8 of shape (n,).

    With a time column the latest rows are the holdout, and earlier rows of the same customers are in NEITHER. Otherwise
    the holdout is drawn by the seed within each class; rows of one customer, or without an id equal rows, stay together.
    Raises ChurnError if a side would hold fewer than LEAST rows or one class only.
    """
    found = _latest(frame, dataset, settings) if dataset.time else _drawn(frame, dataset, settings)
    churned = (frame[dataset.target] == dataset.positive).to_numpy()
    for side, name in ((TRAIN, "training part"), (HOLDOUT, "holdout")):
        rows, left = int((found == side).sum()), int(churned[found == side].sum())
        if rows < LEAST or not 0 < left < rows:
            raise ChurnError(
                f"the {name} would hold {rows} customers, {left} of them churned; change [split] in config/data.toml"
                + (f", or the role of '{dataset.time}' in config/datasets/{dataset.name}.toml" if dataset.time else "")
            )
    return found


def _latest(frame: "pd.DataFrame", dataset: Dataset, settings: Split) -> np.ndarray:
    times = frame[str(dataset.time)]
    latest = (times >= times.quantile(1 - settings.holdout, interpolation="higher")).to_numpy()
    found = np.where(latest, HOLDOUT, TRAIN).astype(np.int8)
    if dataset.id is not None:
        shared = frame[dataset.id].isin(frame.loc[latest, dataset.id]).to_numpy()
        found[shared & ~latest] = NEITHER
    return found


def _drawn(frame: "pd.DataFrame", dataset: Dataset, settings: Split) -> np.ndarray:
    import pandas as pd

    rng = np.random.default_rng(settings.seed)
    churned = (frame[dataset.target] == dataset.positive).to_numpy()
    if dataset.id is not None and frame[dataset.id].is_unique:
        return _share(churned, settings.holdout, rng)
    keys = frame[dataset.id] if dataset.id is not None else pd.util.hash_pandas_object(frame, index=False)
    customer = pd.factorize(keys)[0]
    ever = np.bincount(customer, churned) > 0
    return _share(ever, settings.holdout, rng)[customer]


def _share(churned: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    found = np.full(len(churned), TRAIN, dtype=np.int8)
    for outcome in (False, True):
        members = rng.permutation(np.flatnonzero(churned == outcome))
        found[members[: round(share * len(members))]] = HOLDOUT
    return found
