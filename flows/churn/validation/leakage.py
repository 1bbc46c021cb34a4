"""Columns that were probably filled in when the customer left: by how well one alone tells who churned, and by its name."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from churn.errors import ChurnError
from churn.settings import commands
from churn.validation.sorted_columns import Ordered, order

if TYPE_CHECKING:
    import pandas as pd
    from churn.settings.dataset import Dataset

SUSPECT = 0.98
SEED = 20_261_123  # not one that made-up customers are likely to share
STRONG, TIMES, OTHERS = 0.9, 3, 4  # see far_ahead
# Words for leaving: the first always tell, the others may be about what a customer uses (an exit node, cancelled orders).
CHURN = re.compile(r"churn|attrit|abwander")
LEAVING = re.compile(
    r"left|cancel.*|exit(ed|s|ing)?|terminat.*|deactivat.*|disconnect.*|unsubscri.*|lapsed?|clos(e|ed|ing|ure)|leav(e|ing)|lost|"
    r"quit|inactiv.*|depart.*|k(ü|ue)ndig(?!.*frist).*|r[ée]sili.*"
)
# Words that go with them: for the moment or the reason, and for the customer and what he leaves.
TELLS = re.compile(
    r"at|on|am|dates?|datetime|timestamp|reasons?|category|categories|causes?|codes?|types?|flag|status|score|value|label|"
    r"comments?|notes?|survey|interview|feedback|motif|grund|datum|is|has|was|did|the|of|for|y|customer|client|account|user|member|"
    r"membership|subscriber|subscription|contract|service|policy|plan|target|outcome|class|result|indicator|ind|binary"
)
TIME = re.compile(r"in|next|last|months?|years?|quarters?|weeks?|days?")


def require_none(dataset: "Dataset", train: "pd.DataFrame", most: float) -> None:
    """ChurnError naming every feature column whose separation of the outcomes exceeds ``most``."""
    churned = (train[dataset.target] == dataset.positive).to_numpy()
    found = {name: separation(train[name], churned) for name in dataset.raw}
    if guilty := {name: value for name, value in found.items() if value > most}:
        named = ", ".join(f"'{name}' (ROC-AUC {value:.4f} alone)" for name, value in guilty.items())
        raise ChurnError(
            f"leakage check: column {named} gives the outcome '{dataset.target}' away. If it is known only after the "
            f"customer left, give it the role 'ignore' in {commands.description(dataset.name)}, and make a data version again; "
            f"else raise leakage = {most:g} in {commands.settings('train.toml')}"
        )


def by_name(column: str, target: str) -> bool:
    """Whether a column's name says that it was filled in when the customer left: it carries the target's words, or speaks of
    leaving and nothing else. CancellationReason, exit_date and Churn Score do; days_left, exit_node and num_cancellations do not.
    """
    words = _words(column)
    wanted = {word for word in _words(target) if not TELLS.fullmatch(word) and not TIME.fullmatch(word)}
    if any(map(CHURN.search, words)) or (wanted and wanted <= set(words) and not any(map(LEAVING.fullmatch, wanted))):
        return True
    told = [word for word in words if not TELLS.fullmatch(word)]
    return bool(told) and all(map(LEAVING.fullmatch, told))


def _words(name: str) -> list[str]:
    """The words of a column's name in small letters, however it joins them."""
    parted = re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[^\W\d_]+", parted.lower())


def far_ahead(separations: Mapping[str, float]) -> set[str]:
    """The columns that alone tell who churned far better than the others: ROC-AUC of STRONG or more, and at most a TIMES-th of
    the best other column's wrongly ordered pairs (1 - ROC-AUC).

    Churners differ a little in many things: where one column orders nine of ten pairs and all others a good deal fewer, it is
    more often a consequence than a cause. Fewer than OTHERS columns to compare with say nothing.
    """
    others = [found for found in separations.values() if found < STRONG]
    if len(others) < OTHERS:
        return set()
    return {name for name, found in separations.items() if found >= STRONG and 1 - found <= (1 - max(others)) / TIMES}


def separation(values: "pd.Series", churned: np.ndarray, known: Ordered | None = None) -> float:
    """ROC-AUC (0.5..1) of the column alone, the better of its values (where present) and of whether it is missing.

    Levels of a text column are scored by their churn rate in one half of the rows and judged on the other half, so that
    many rare levels do not look like knowledge. ``known`` are the numbers of a column in order, if somebody has them.
    """
    missing, left = values.isna().to_numpy(), int(churned.sum())
    best = 0.5
    if missing.any() and 0 < left < len(churned):
        gone = int(missing[churned].sum())
        best += abs(gone / left - (int(missing.sum()) - gone) / (len(churned) - left)) / 2
    if values.dtype.kind in "biuf":
        return max(best, _of_numbers(known or order(values, churned)))
    present, outcome = (values[~missing], churned[~missing]) if missing.any() else (values, churned)
    return best if outcome.all() or not outcome.any() else max(best, _of_levels(present, outcome))


def _of_numbers(found: Ordered) -> float:
    """The Mann-Whitney statistic: pairs won by the churned, ties counted half."""
    stayed, left = found.stayed, found.churned
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
    # Counted at once: by level, by half, by outcome.
    counts = np.bincount(codes.astype(np.int64) * 4 + half * 2 + churned, minlength=4 * (int(codes.max()) + 1))
    counts = counts.reshape(-1, 2, 2).astype(float)
    learned, seen, left, stayed = counts[:, 1, 1], counts[:, 1].sum(axis=1), counts[:, 0, 1], counts[:, 0, 0]
    if not left.sum() or not stayed.sum():
        return 0.5
    rate = np.where(seen > 0, learned / np.maximum(seen, 1), learned.sum() / max(seen.sum(), 1))
    tied = np.unique(rate, return_inverse=True)[1]  # levels of the same rate are one
    left, stayed = np.bincount(tied, left), np.bincount(tied, stayed)
    below = np.cumsum(stayed) - stayed
    return float((left * (below + stayed / 2)).sum() / (left.sum() * stayed.sum()))
