"""Ensemble selection: which models of a library to average, and with which weights (Caruana et al. 2004)."""

from collections.abc import Sequence

import numpy as np

BAGS = 20
STEPS = (0, 5)  # 0: the mean of the start, which is hard to beat where families are about equally good
LEAST = 0.03  # a model of less weight changes almost nothing, and takes as long as the others
MOST = 8  # models: the service computes each for every request, and for every row of an explanation
SAME = 0.9995  # correlation above which two models are redundant


def different(predictions: np.ndarray) -> list[int]:
    """The positions of the models, given best first as in ``weights``, without those redundant with a better one."""
    alike, kept = np.corrcoef(predictions), list[int]()
    for place in range(len(predictions)):
        if not any(alike[place, other] > SAME for other in kept):
            kept.append(place)
    return kept


def weights(predictions: np.ndarray, outcome: np.ndarray, start: Sequence[int], steps: int, seed: int) -> np.ndarray:
    """The weights of models by their out-of-fold probabilities, of shape (models, n): at most MOST are above 0; their sum is 1.

    Starting with the models at the positions ``start``, ``steps`` models are added one by one, with replacement, from each of
    BAGS random halves of the library to minimise the Brier score of the mean; it is a quadratic form, so no step reads the
    rows. The bags are then averaged.
    """
    rng, count = np.random.default_rng(seed), len(predictions)
    products, hits = predictions @ predictions.T, predictions @ outcome.astype(float)
    chosen = np.zeros(count)
    for _ in range(BAGS):
        bag = np.sort(rng.choice(count, -(-count // 2), replace=False))
        chosen += _greedy(products, hits, start, steps, bag)
    kept = np.argsort(-chosen, kind="stable")[:MOST]
    kept = kept[chosen[kept] >= LEAST * chosen.sum()]
    trimmed = np.zeros(count)
    trimmed[kept] = chosen[kept]
    return trimmed / trimmed.sum()


def _greedy(products: np.ndarray, hits: np.ndarray, start: Sequence[int], steps: int, bag: np.ndarray) -> np.ndarray:
    """How often each model was selected."""
    counts = np.zeros(len(hits))
    counts[list(start)] = 1
    for size in range(len(start) + 1, len(start) + steps + 1):
        together = products @ counts
        squares = (counts @ together + 2 * together + np.diag(products)) / size**2
        counts[bag[np.argmin((squares - 2 * (hits @ counts + hits) / size)[bag])]] += 1
    return counts
