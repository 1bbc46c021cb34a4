"""Finds columns probably filled in when the customer left, by their name and by how well each alone predicts churn."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from churn.errors import ChurnError
from churn.settings import commands
from churn.validation.sorted_columns import SortedColumn, sort_column

if TYPE_CHECKING:
    import pandas as pd
    from churn.settings.dataset import Dataset

SUSPECT = 0.98
SEED = 20_261_123  # one that synthetic customers are unlikely to share
STRONG, TIMES, OTHERS = 0.9, 3, 4  # see far_ahead
# Words for leaving: the first always mean churn, the others may belong to a product (an exit node, cancelled orders).
CHURN = re.compile(r"churn|attrit|abwander")
LEAVING = re.compile(
    r"left|cancel.*|exit(ed|s|ing)?|terminat.*|deactivat.*|disconnect.*|unsubscri.*|lapsed?|clos(e|ed|ing|ure)|leav(e|ing)|lost|"
    r"quit|inactiv.*|depart.*|k(ü|ue)ndig(?!.*frist).*|r[ée]sili.*"
)
# Words that accompany them: for the time or the reason, and for the customer and what they leave.
TELLS = re.compile(
    r"at|on|am|dates?|datetime|timestamp|reasons?|category|categories|causes?|codes?|types?|flag|status|score|value|label|"
    r"comments?|notes?|survey|interview|feedback|motif|grund|datum|is|has|was|did|the|of|for|y|customer|client|account|user|member|"
    r"membership|subscriber|subscription|contract|service|policy|plan|target|outcome|class|result|indicator|ind|binary"
)
TIME = re.compile(r"in|next|last|months?|years?|quarters?|weeks?|days?")


def require_none(dataset: "Dataset", train: "pd.DataFrame", most: float) -> None:
    """Check that no single feature separates the outcomes better than ``most`` (ROC-AUC).

    Raises:
        ChurnError: At least one does; the message names them.
    """
    churned = (train[dataset.target] == dataset.positive).to_numpy()
    separations = {name: separation(train[name], churned) for name in dataset.raw}
    if guilty := {name: value for name, value in separations.items() if value > most}:
        named = ", ".join(f"'{name}' (ROC-AUC {value:.4f} alone)" for name, value in guilty.items())
        raise ChurnError(
            f"leakage check: column {named} gives the outcome '{dataset.target}' away. If it is known only after the "
            f"customer left, give it the role 'ignore' in {commands.description(dataset.name)}, and make a data version again; "
            f"else raise leakage = {most:g} in {commands.settings('train.toml')}"
        )


def by_name(column: str, target: str) -> bool:
    """Whether a column's name says that it was filled in when the customer left.

    It does if it contains the words of the target, or is about leaving and nothing else: CancellationReason, exit_date and
    Churn Score are; days_left, exit_node and num_cancellations are not.
    """
    words = _words(column)
    wanted = {word for word in _words(target) if not TELLS.fullmatch(word) and not TIME.fullmatch(word)}
    if any(map(CHURN.search, words)) or (wanted and wanted <= set(words) and not any(map(LEAVING.fullmatch, wanted))):
        return True
    meaningful = [word for word in words if not TELLS.fullmatch(word)]
    return bool(meaningful) and all(map(LEAVING.fullmatch, meaningful))


def _words(name: str) -> list[str]:
    """The words in a column's name, in lower case, however they are joined."""
    parted = re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[^\W\d_]+", parted.lower())


def far_ahead(separations: Mapping[str, float]) -> set[str]:
    """The columns that alone separate the outcomes far better than all others.

    Their ROC-AUC is at least STRONG, and their error (1 - ROC-AUC) at most 1/TIMES of the best other column's. Churners differ a
    little in many ways: a column that ranks nine out of ten pairs correctly where all others rank far fewer is more often a
    consequence of churn than a cause. With fewer than OTHERS columns to compare with, the result is empty.
    """
    others = [auc for auc in separations.values() if auc < STRONG]
    if len(others) < OTHERS:
        return set()
    return {name for name, auc in separations.items() if auc >= STRONG and 1 - auc <= (1 - max(others)) / TIMES}


def separation(values: "pd.Series", churned: np.ndarray, ordered: SortedColumn | None = None) -> float:
    """ROC-AUC (0.5..1) of a single column: of its values where present, or of its missingness, whichever is higher.

    The levels of a text column are scored by their churn rate in one half of the rows and evaluated on the other half, so that
    many rare levels do not look predictive. ``ordered`` is the sorted column, if available.
    """
    missing, left = values.isna().to_numpy(), int(churned.sum())
    best = 0.5
    if missing.any() and 0 < left < len(churned):
        gone = int(missing[churned].sum())
        best += abs(gone / left - (int(missing.sum()) - gone) / (len(churned) - left)) / 2
    if values.dtype.kind in "biuf":
        return max(best, _of_numbers(ordered or sort_column(values, churned)))
    present, outcome = (values[~missing], churned[~missing]) if missing.any() else (values, churned)
    return best if outcome.all() or not outcome.any() else max(best, _of_levels(present, outcome))


def _of_numbers(column: SortedColumn) -> float:
    """ROC-AUC as the Mann-Whitney statistic: the share of pairs in which the churner ranks higher, with ties counted half."""
    stayed, left = column.stayed, column.churned
    if not len(stayed) or not len(left):
        return 0.5
    won = np.searchsorted(stayed, left, "left").sum() + np.searchsorted(stayed, left, "right").sum()
    auc = float(won / (2 * len(left) * len(stayed)))
    return max(auc, 1 - auc)


@lru_cache(maxsize=1)
def _half(rows: int) -> np.ndarray:
    return np.random.default_rng(SEED).random(rows) < 0.5


def _of_levels(values: "pd.Series", churned: np.ndarray) -> float:
    codes = values.astype("category").cat.codes.to_numpy()
    half = _half(len(codes))
    # All counts in one pass: by level, by half, by outcome.
    counts = np.bincount(codes.astype(np.int64) * 4 + half * 2 + churned, minlength=4 * (int(codes.max()) + 1))
    counts = counts.reshape(-1, 2, 2).astype(float)
    learned, seen, left, stayed = counts[:, 1, 1], counts[:, 1].sum(axis=1), counts[:, 0, 1], counts[:, 0, 0]
    if not left.sum() or not stayed.sum():
        return 0.5
    rate = np.where(seen > 0, learned / np.maximum(seen, 1), learned.sum() / max(seen.sum(), 1))
    tied = np.unique(rate, return_inverse=True)[1]  # levels with the same rate are tied
    left, stayed = np.bincount(tied, left), np.bincount(tied, stayed)
    below = np.cumsum(stayed) - stayed
    return float((left * (below + stayed / 2)).sum() / (left.sum() * stayed.sum()))
