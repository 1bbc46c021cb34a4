"""Evaluates the best uplift model on held-out customers: its ranking against others, and the policy within the budget."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn.settings.dataset import Dataset
from churn.settings.train import TrainConfig, Worth
from churn.uplift import candidates, outcome_rows, ranking_metrics
from churn.uplift.candidates import UpliftCandidate
from churn.uplift.ranking_metrics import Interval

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

ROUNDS = 500  # bootstrap samples


@dataclass(frozen=True)
class PolicyValue:
    """A policy's contacts, and the share of customers who would stay under it: by inverse weighting, and doubly robust."""

    name: str
    contacted: int
    weighted: Interval
    robust: Interval


@dataclass(frozen=True)
class UpliftModel:
    """The winner of ``board``, and its results on the holdout.

    ``scores`` are the Qini coefficient and AUUC of the model, those of ranking by risk, and the differences; a random order
    scores 0. ``uplift`` holds the scores of the holdout, shape (held_out,). ``threshold`` is the smallest uplift that is worth
    a contact within the budget.
    """

    board: list[UpliftCandidate]
    pipeline: "Pipeline"
    threshold: float
    rows: int
    held_out: int
    scores: dict[str, Interval]
    policies: list[PolicyValue]
    uplift: np.ndarray

    @property
    def winner(self) -> UpliftCandidate:
        """The best candidate of the leaderboard."""
        return self.board[0]


def evaluate_uplift(
    board: list[UpliftCandidate], outcomes: bytes | None, dataset: Dataset, config: TrainConfig, worth: Worth | None
) -> UpliftModel | None:
    """Fit the best candidate on the training customers and evaluate it on the holdout; None if nothing was trained."""
    if not board or outcomes is None or config.uplift is None:
        return None
    rows, rule, seed = outcome_rows.rows_from_bytes(outcomes, dataset), config.uplift, config.search.seed
    out = rows.held_out(rule.holdout, seed)
    train, held = rows.of(~out), rows.of(out)
    pipeline, expected = candidates.fit_winner(board[0], dataset, train, seed, held.inputs(dataset))
    uplift = pipeline.predict(held.inputs(dataset))
    risk = 1 - expected[:, 0] if np.isnan(held.risk).any() else held.risk
    threshold = _threshold(uplift, rule.budget, worth)
    chosen = uplift >= threshold
    first = np.argsort(-risk, kind="stable")[: int(chosen.sum())]
    policies = {
        "by uplift": chosen,
        "by risk, as many": np.isin(np.arange(len(risk)), first),
        "nobody": np.zeros(len(risk), dtype=bool),
        "everybody": np.ones(len(risk), dtype=bool),
    }
    arrays = (held.kept, held.contacted, held.share)
    values = [
        PolicyValue(
            name,
            int(who.sum()),
            ranking_metrics.policy_value(*arrays, who),
            ranking_metrics.policy_value(*arrays, who, expected),
        )
        for name, who in policies.items()
    ]
    scores = ranking_metrics.against(held.kept, uplift, risk, held.contacted, seed, ROUNDS)
    return UpliftModel(board, pipeline, threshold, len(out), len(held.kept), scores, values, uplift)


def _threshold(uplift: np.ndarray, budget: float, worth: Worth | None) -> float:
    """The uplift that only the share ``budget`` of customers reaches, but no less than what pays for a contact."""
    pays = np.nextafter(0, 1)
    if worth is not None and worth.margin is not None:
        pays = (worth.contact_cost + worth.offer_cost) / worth.margin
    return float(max(np.quantile(uplift, 1 - budget), pays))
