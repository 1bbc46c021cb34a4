"""Explanations: Shapley values of the raw columns, from the ONNX model alone. They add up to the probability."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data import features, prototypes
from churn.settings.dataset import Dataset
from churn.training.onnx_scorer import Scorer

if TYPE_CHECKING:
    import pandas as pd

Probability = Callable[[features.Columns], np.ndarray]  # raw columns of n customers to probabilities of shape (n,)

BACKGROUND_ROWS = 40
BACKGROUND = "background"  # the manifest's key: prototypes as rows of raw columns (None: missing)


def background(dataset: Dataset, table: "pd.DataFrame", seed: int) -> list[dict[str, Any]]:
    """Prototypes of the training table's customers, as the manifest carries them; none is a real customer."""
    return prototypes.made(dataset, table, BACKGROUND_ROWS, seed)


class Explainer:
    """Explains probabilities. ``base`` is the mean probability of the background, ``rows``.

    Sampled Shapley values (Strumbelj & Kononenko 2014): a customer's columns replace a background row's one by one, and each
    column is credited with the change. Each background row has a random order and its reverse, so that the contributions
    add up exactly: ``base + sum = probability``. The orders are fixed: same customer, same answer.
    """

    def __init__(
        self, dataset: Dataset, probability: Probability, rows: Sequence[Mapping[str, Any]], seed: int = 0
    ) -> None:
        """``probability`` maps raw columns to probabilities; ``rows`` are the background."""
        self._probability = probability
        self.names = tuple(dataset.raw)
        self._others = features.from_rows(dataset, rows)
        self.base = float(probability(self._others).mean(dtype=np.float64))
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(len(self.names)) for _ in rows]
        self._orders = np.array([order for one in orders for order in (one, one[::-1])])  # (2 rows, columns)
        # place[o, c]: the number of replacements after which column c is the customer's own, in order o
        place = np.argsort(self._orders, axis=1)
        steps = np.arange(len(self.names) + 1)
        self._own = (place[:, None, :] < steps[None, :, None]).reshape(-1, len(self.names))
        self._rows = np.repeat(np.arange(len(rows)), 2 * len(steps))

    @classmethod
    def of(cls, scorer: Scorer) -> "Explainer":
        """The explainer of a model folder, with the background in its manifest."""
        return cls(scorer.dataset, scorer.probability, scorer.manifest[BACKGROUND])

    def contributions(self, raw: Mapping[str, np.ndarray]) -> np.ndarray:
        """What each raw column adds to ``base``, for n customers: float64 of shape (n, columns), ordered as ``names``."""
        count = len(next(iter(raw.values())))
        return np.array([self._one({name: raw[name][i] for name in self.names}) for i in range(count)])

    def _one(self, customer: Mapping[str, Any]) -> np.ndarray:
        mixed = {}
        for i, name in enumerate(self.names):
            others = self._others[name][self._rows]
            mixed[name] = np.where(self._own[:, i], np.array(customer[name], dtype=others.dtype), others)
        steps = self._probability(mixed).astype(np.float64).reshape(len(self._orders), len(self.names) + 1)
        sums = np.zeros(len(self.names))
        np.add.at(sums, self._orders, np.diff(steps, axis=1))
        return sums / len(self._orders)

    def reasons(self, raw: Mapping[str, np.ndarray], top: int) -> list[list[tuple[str, Any, float]]]:
        """For each of n customers, the ``top`` columns that move the probability most: name, value, contribution."""
        contributions = self.contributions(raw)
        answers = []
        for i, row in enumerate(contributions):
            order = np.argsort(-np.abs(row), kind="stable")[:top]
            answers.append([(self.names[c], raw[self.names[c]][i], float(row[c])) for c in order])
        return answers
