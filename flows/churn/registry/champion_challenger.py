"""Compare challenger and champion on rows that neither has seen."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn.data import customer_keys
from churn.settings.train import Promotion
from churn.training import metrics

if TYPE_CHECKING:
    import pandas as pd

NAN = float("nan")
SPENT = 2.6123753486854883  # the sum of look^-1.5 over all looks: zeta(3/2)


@dataclass(frozen=True)
class Comparison:
    """The comparison of challenger and champion on ``rows`` that neither was trained on.

    Holds the ROC-AUC of both, the bootstrap interval of the gain, and the confidence reached and required at the ``look``-th look
    at these rows (see ``holdout_looks``; 0: none).
    """

    champion: str
    rows: int
    challenger_roc_auc: float
    champion_roc_auc: float
    gain_low: float
    gain_high: float
    confidence_of_gain: float
    promote: bool
    reason: str
    look: int = 0
    confidence_needed: float = NAN


def compare(
    outcome: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray,
    name: str,
    rule: Promotion,
    seed: int,
    look: int = 1,
    customer: np.ndarray | None = None,
) -> Comparison:
    """Test whether the gain in ROC-AUC on the same rows, shape (n,), is certain enough to promote the challenger.

    The test is DeLong's paired test (1988), one-sided, with Student's t for small holdouts. The reported interval is that of a
    paired bootstrap (Efron & Tibshirani 1993, ch. 16).

    ``customer`` identifies the customer of each row if some have several rows. The champion stays on ties, and without two unseen
    customers of either outcome.
    """
    if not comparable(outcome, customer):
        return nobody(name, len(outcome))
    gain, error = metrics.auc_gain(outcome, challenger, champion, customer)
    confidence = _certainty(gain - rule.margin, error, metrics.independent(outcome, customer) - 1)
    required = needed(rule, look)
    low, high = _interval(outcome, challenger, champion, rule.resamples, seed, customer)
    promote = confidence >= required
    reason = (
        f"a gain above {rule.margin:g} is {_percent(confidence)} certain, {_percent(required)} is "
        f"{'reached' if promote else 'needed: the champion stays'}"
    ) + (f"; look {look} at these customers" if look > 1 else "")
    aucs = metrics.auc(outcome, challenger), metrics.auc(outcome, champion)
    return Comparison(name, len(outcome), *aucs, low, high, confidence, promote, reason, look, required)


def comparable(outcome: np.ndarray, customer: np.ndarray | None = None) -> bool:
    """Whether there are enough customers to compare two models on."""
    return metrics.independent(outcome, customer) > 1


def needed(rule: Promotion, look: int) -> float:
    """The confidence required at the ``look``-th look at the same customers, by alpha spending.

    The probability that a look promotes a challenger that is no better is proportional to look^-1.5. Over all looks, however many
    and however dependent, it is at most 1 - ``rule.confidence`` (Bonferroni).
    """
    return 1 - (1 - rule.confidence) * look**-1.5 / SPENT


def _certainty(gain: float, error: float, freedom: int) -> float:
    from scipy.stats import t

    if error == 0:  # both rank the customers alike, or one of them is never wrong
        return float(gain > 0)
    return float(t.cdf(gain / error, freedom))


def _interval(
    outcome: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray,
    resamples: int,
    seed: int,
    customer: np.ndarray | None,
) -> tuple[float, float]:
    def measure(rows: np.ndarray) -> dict[str, float]:
        return {"gain": metrics.auc(outcome[rows], challenger[rows]) - metrics.auc(outcome[rows], champion[rows])}

    return metrics.bootstrap(outcome, measure, resamples, seed, customer)["gain"]


def _percent(share: float) -> str:
    return f"{100 * share:.{1 if share < 0.99 else 4}f}%"  # the fiftieth look requires 99.9988


def undecided(champion: str, promote: bool, reason: str, rows: int = 0) -> Comparison:
    """The verdict, without figures, for models that cannot be compared."""
    return Comparison(champion, rows, NAN, NAN, NAN, NAN, NAN, promote, reason)


def nobody(champion: str, rows: int) -> Comparison:
    """The verdict if the ``rows`` are not ``comparable``."""
    return undecided(champion, False, "no rows of both outcomes that neither model has seen", rows)


def not_comparable(champion: str, synthetic: bool) -> Comparison:
    """The verdict if one of the two learned from synthetic customers: the model of real customers wins without a test."""
    if synthetic:
        return undecided(
            champion, False, "the challenger learned from synthetic customers, the champion from real ones"
        )
    return undecided(champion, True, "the champion learned from synthetic customers, the challenger from real ones")


def unseen(holdout: "pd.DataFrame", others_train: "pd.DataFrame", key: str | None) -> np.ndarray:
    """True for the holdout rows whose customers are not in another model's training rows.

    Customers are matched by the id ``key`` or, if a table lacks it, by all columns that both have (see
    ``customer_keys``).
    """
    shared = [name for name in holdout.columns if name in others_train.columns]
    key = key if key in shared else None
    ours, theirs = (
        customer_keys.keys(table, key, [name for name in shared if name != key]) for table in (holdout, others_train)
    )
    return ~np.isin(ours, theirs)
