"""The value of decisions: whom it pays to contact, above which probability, and the profit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.errors import ChurnError
from churn.settings.dataset import Dataset
from churn.settings.train import Worth

if TYPE_CHECKING:
    import pandas as pd

POINTS = 101
TINY = 1e-6
BETA = 20.0  # alpha + beta of EMPC's success rate: 6 and 14 in Verbraken et al.


@dataclass(frozen=True)
class Curve:
    """Profit per customer when the ``share`` of customers with the highest expected profits is contacted.

    ``share`` and ``profit`` have the shape (POINTS,); profits are in the currency of [value], averaged over all customers.
    ``contacted`` is the share of customers with an expected profit above 0, ``earned`` the profit of contacting them.
    """

    share: np.ndarray
    profit: np.ndarray
    contacted: float
    earned: float


def settle(worth: Worth, train: "pd.DataFrame", dataset: Dataset) -> Worth:
    """``worth`` with a margin for customers whose ``margin_column`` is missing.

    It is the configured ``margin``, else the median of the training rows.

    Raises:
        ChurnError: The median is missing or not above 0.
    """
    if worth.margin_column is None or worth.margin is not None:
        return worth
    typical = float(train[worth.margin_column].median()) * worth.horizon
    if not typical > 0:
        raise ChurnError(
            f"[value] margin_column '{worth.margin_column}' of data set '{dataset.name}': its median, which stands in where it "
            f"is missing, is {typical / worth.horizon:g}; add 'margin', a fixed value for it"
        )
    return worth.model_copy(update={"margin": typical})


def decide(worth: Worth | None, raw: Mapping[str, Any], probability: np.ndarray, threshold: float) -> np.ndarray:
    """Whom to contact, bool of shape (n,).

    Customers with an expected profit above 0 or, without ``worth``, those whose probability reaches ``threshold``. The
    threshold also applies where the ``worth`` of an older model gives no margin for a customer (see ``settle``).

    Args:
        worth: The value of a customer, if configured.
        raw: Raw columns as ``features.from_rows`` returns them.
        probability: Churn probabilities, shape (n,).
        threshold: The smallest probability at which to contact a customer.
    """
    probability = np.asarray(probability, dtype=np.float64)
    if worth is None:
        return probability >= threshold
    profit = expected(worth, raw, probability)
    return np.where(np.isnan(profit), probability >= threshold, profit > 0)


def decision_thresholds(
    worth: Worth | None, raw: Mapping[str, Any], probability: np.ndarray, threshold: float
) -> np.ndarray:
    """The probability above which ``decide`` contacts each customer, at that customer's success rate; shape (n,)."""
    if worth is None:
        return np.full(len(probability), threshold)
    margin = np.broadcast_to(_margin(worth, raw), len(probability))
    limits = break_even(worth, margin, success_rates(worth, probability))
    return np.where(np.isnan(limits), threshold, limits)


def success_rates(worth: Worth, probability: Any) -> Any:
    """The share of would-be churners that a contact keeps: the configured number, or the rate measured by campaigns.

    A number or, where the rate is measured, an array in the shape of the churn ``probability``, with one rate for each risk
    group. Below the lowest risk in a campaign the rate of all customers applies, above the highest that of the last group:
    campaigns usually target the highest risks, so few customers lie above and many below. A rate may be negative, but a
    contact cannot lose more customers than there are.
    """
    if not worth.evidence:
        return worth.rate
    risk = np.asarray(probability, dtype=np.float64)
    group = np.searchsorted([one.above for one in worth.evidence[1:]], risk)
    return np.maximum(np.array([one.rate for one in worth.evidence])[group], 1 - 1 / np.maximum(risk, TINY))


def gains(worth: Worth, raw: Mapping[str, Any], outcome: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The profit of contacting each customer, shape (n,), after Neslin et al. (2006).

    A contacted churner stays with the ``success_rates`` at this ``probability`` and then brings the margin less the offer; a
    customer who would have stayed anyway takes the offer; every contact costs ``contact_cost``.
    """
    return _profit(worth, raw, np.asarray(outcome == 1, dtype=np.float64), probability)


def expected(worth: Worth, raw: Mapping[str, Any], probability: np.ndarray) -> np.ndarray:
    """Expected profit of contacting each customer, shape (n,): the ``gains`` of both outcomes, weighted by probability."""
    return _profit(worth, raw, np.asarray(probability, dtype=np.float64), probability)


def _profit(worth: Worth, raw: Mapping[str, Any], chance: np.ndarray, probability: np.ndarray) -> np.ndarray:
    saved = success_rates(worth, probability) * (_margin(worth, raw) - worth.offer_cost)
    return chance * saved - (1 - chance) * worth.offer_cost - worth.contact_cost


def break_even(worth: Worth, margin: Any, rate: Any) -> np.ndarray:
    """The probability above which contacting a customer with this margin pays at a success ``rate``; 1 where it never does."""
    more = rate * (np.asarray(margin, dtype=np.float64) - worth.offer_cost) + worth.offer_cost
    cost = worth.offer_cost + worth.contact_cost
    return np.where(more > cost, cost / np.where(more > 0, more, 1), np.where(np.isnan(more), np.nan, 1.0))


def pays_from(worth: Worth) -> list[float]:
    """The probability above which contacting a customer with the typical margin pays; 1 where it never does.

    One for each row of a measured success rate's evidence (the first: customers below all risk groups), else a single one.
    """
    if not worth.evidence:
        return [float(break_even(worth, worth.margin, worth.rate))]
    above = [one.above for one in worth.evidence]
    limits = [max(float(break_even(worth, worth.margin, one.rate)), one.above) for one in worth.evidence]
    return [one if one < end else 1.0 for one, end in zip(limits, [*above[1:], 1.0], strict=True)]


def _margin(worth: Worth, raw: Mapping[str, Any]) -> Any:
    """The margin of each customer if retained; ``worth.margin`` where the column is missing."""
    if worth.margin_column is None:
        return worth.margin
    margin = np.asarray(raw[worth.margin_column], dtype=np.float64) * worth.horizon
    return margin if worth.margin is None else np.where(np.isnan(margin), worth.margin, margin)


def check(value: Worth | None, numeric: "tuple[str, ...]", dataset: str) -> None:
    """Check that the margin column is a numeric feature of the data set.

    Raises:
        ChurnError: It is not.
    """
    if value is not None and value.margin_column is not None and value.margin_column not in numeric:
        raise ChurnError(
            f"[value] margin_column '{value.margin_column}' is not a numeric feature of data set '{dataset}'; "
            f"it has {', '.join(numeric)}. Name one of them, or give a fixed 'margin'"
        )


def curve(gain: np.ndarray, expected: np.ndarray) -> Curve:
    """The realised ``gain`` of contacting customers by descending ``expected`` profit; both of shape (n,)."""
    order = np.argsort(-expected, kind="stable")
    heights = np.concatenate([[0.0], np.cumsum(gain[order]) / len(gain)])
    share, pays = np.linspace(0, 1, POINTS), expected > 0
    profit = heights[np.round(share * len(gain)).astype(int)]
    return Curve(share, profit, float(pays.mean()), float(np.mean(np.where(pays, gain, 0))))


def empc(worth: Worth, outcome: np.ndarray, probability: np.ndarray) -> float:
    """The expected maximum profit of a churn model, per customer (Verbraken, Verbeke & Baesens 2013), by empulse.

    The best profit over all thresholds, with the success rate as a Beta variable with the configured mean; as in the paper,
    its parameters add up to BETA. There is one rate for all customers: with measured rates, the share of the expected churners
    that contacts would keep. ``outcome`` and ``probability`` have shape (n,); a margin column counts with its typical value.
    """
    from empulse.metrics import empc_score

    mean = np.average(success_rates(worth, probability), weights=probability) if worth.evidence else worth.rate
    rate = float(np.clip(mean, TINY, 1 - TINY))  # a Beta distribution needs a mean strictly between 0 and 1
    profit = empc_score(
        outcome,
        probability,
        alpha=BETA * rate,
        beta=BETA * (1 - rate),
        clv=worth.margin or 0.0,
        incentive_cost=worth.offer_cost,
        contact_cost=worth.contact_cost,
    )
    return float(profit)


def capture(outcome: np.ndarray, score: np.ndarray, share: float) -> float:
    """The share of all churners found among the ``share`` of customers with the highest scores."""
    top = np.argsort(-score, kind="stable")[: max(1, round(share * len(outcome)))]
    return float(outcome[top].sum() / max(outcome.sum(), 1))
