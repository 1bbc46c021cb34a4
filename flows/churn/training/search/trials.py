"""One parameter setting and its scores."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from churn.training import metrics


@dataclass(frozen=True)
class Trial:
    """One parameter setting and its cross-validated scores.

    ``scores`` are means over the folds, ``by_fold`` the deciding metric in each fold (fewer folds if it was pruned); ``share``
    is the share of the training rows it was fitted on (below 1 if it was dropped early). ``unseen`` holds the out-of-fold
    probabilities of a good trial, for the blend, in the order of the training table (NaN: no fold tests on the row).
    """

    params: dict[str, Any]
    scores: dict[str, float]
    by_fold: tuple[float, ...]
    share: float = 1.0
    unseen: np.ndarray | None = field(default=None, compare=False, repr=False)


def trial(
    params: dict[str, Any],
    outcomes: Sequence[np.ndarray],
    predicted: Sequence[np.ndarray],
    metric: str,
    share: float = 1.0,
    unseen: np.ndarray | None = None,
) -> Trial:
    """The trial of a setting, from its predicted probabilities and the outcomes in each fold."""
    scores = [metrics.deciding(outcome, p) for outcome, p in zip(outcomes, predicted, strict=True)]
    means = {name: float(np.mean([fold[name] for fold in scores])) for name in scores[0]}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}
    return Trial(plain, means, tuple(fold[metric] for fold in scores), share, unseen)
