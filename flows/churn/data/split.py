"""Which customers are held out: drawn by id and seed, or the latest ones. No customer is on both sides."""

import math
from typing import TYPE_CHECKING

import numpy as np
from churn.data import customer_keys, features
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.data import Split
from churn.settings.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

TRAIN, HOLDOUT, NEITHER = 0, 1, 2
LEAST = 20
STAYING = 0.25  # a table is a panel if customers with later rows hold more than this share of the earlier rows


def columns(dataset: Dataset) -> list[str]:
    """The columns that ``sides`` reads."""
    named = dataset.id is not None and not dataset.columns[dataset.id].missing
    told_apart_by = [dataset.id] if named else customer_keys.columns(dataset)
    return [name for name in (*told_apart_by, dataset.time, dataset.target) if name is not None]


def sides(frame: "pd.DataFrame", dataset: Dataset, settings: Split) -> np.ndarray:
    """TRAIN, HOLDOUT or NEITHER for each row, int8 of shape (n,).

    A customer's side depends only on the id (without one, on the row's features) and the seed, not on the outcome or on other
    rows. With a time column the latest rows are the holdout (see ``forward``); with snapshots, the drawn customers' rows at the
    latest snapshots, a share of customers that ``[snapshots]`` may set. Raises ChurnError if a side would hold fewer than LEAST
    rows or only one class.
    """
    customer = customer_keys.keys(frame, dataset.id, dataset.raw)
    rule = dataset.snapshots
    share = settings.holdout if rule is None or rule.holdout_share is None else rule.holdout_share
    drawn = draw(customer, settings.model_copy(update={"holdout": share}))
    train, holdout = ~drawn, drawn
    if rule is not None:
        train, holdout = across_embargo(frame[dataset.time], dataset, drawn)
    elif dataset.time is not None:
        times = frame[dataset.time]
        late = (times >= times.quantile(1 - settings.holdout, interpolation="higher")).to_numpy()
        train, holdout = forward(customer, late, drawn)
    churned = features.outcome(dataset, frame)
    for rows, name in ((train, "training part"), (holdout, "holdout")):
        number, left = int(rows.sum()), int(churned[rows].sum())
        if number < LEAST or not 0 < left < number:
            raise ChurnError(f"the {name} would hold {number} customers, {left} of them churned; {_remedy(dataset)}")
    return np.select([train, holdout], [TRAIN, HOLDOUT], NEITHER).astype(np.int8)


def draw(customer: np.ndarray, settings: Split) -> np.ndarray:
    """Which customers (keys, uint64 of shape (n,)) the seed holds out, bool of shape (n,).

    Consecutive seeds hold out disjoint sets of customers - 0 to 4, 5 to 9 and so on at a share of 0.2 -, so that together they
    form a cross-validation: every customer is held out once, and the mean score is as precise as the data allow.
    """
    order, place = divmod(settings.seed, math.floor(1 / settings.holdout + 1e-9))
    position = customer_keys.fractions(customer, order) - place * settings.holdout
    return (position >= 0) & (position < settings.holdout)


def forward(customer: np.ndarray, late: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows to fit on, all early, and the late ones to test on, with no customer in both; all bool of shape (n,).

    ``customer`` holds keys. All late rows are tested on, and early rows of the same customers left out, unless these are more
    than STAYING of the early rows. Then customers recur from period to period, and only those who left would remain to fit
    on; instead the ``drawn`` customers are tested on and the others fitted on.
    """
    kept = ~late & ~among(customer, customer[late])
    if kept.sum() >= (1 - STAYING) * (~late).sum():
        return kept, late
    return ~late & ~drawn, late & drawn


def across_embargo(times: "pd.Series", dataset: Dataset, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows to fit on and to test on where the same customers are observed repeatedly; both bool of shape (n,).

    The ``drawn`` customers are tested on at the latest snapshots; the others are fitted on at snapshots whose outcomes were
    known by then, earlier by the embargo (horizon plus gap).

    Raises:
        ChurnError: There is no such snapshot.
    """
    import pandas as pd

    assert dataset.snapshots is not None
    moments = sorted(times.unique())
    first = moments[-min(dataset.snapshots.holdout, len(moments))]
    early = (times + pd.Timedelta(days=dataset.embargo) <= first).to_numpy()
    if not early.any():
        raise ChurnError(
            f"no snapshot lies {dataset.embargo} days (horizon and gap) or more before {first:%Y-%m-%d}, the first one held "
            f"out, so that no outcome to train on would be known by then; {commands.description(dataset.name)} [snapshots] "
            "needs earlier ones, or a shorter horizon"
        )
    return early & ~drawn, (times >= first).to_numpy() & drawn


def among(customer: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which keys are among ``others``, bool of shape (n,)."""
    import pandas as pd

    return pd.Series(customer).isin(others).to_numpy()


def boundary(times: "pd.Series", sides: np.ndarray) -> str:
    """The moment the holdout begins, in ISO 8601; all training rows are earlier."""
    return times[sides == HOLDOUT].min().isoformat()


def _remedy(dataset: Dataset) -> str:
    file = commands.description(dataset.name)
    ways = ["give more rows", f"change [split] in {commands.settings('data.toml')}"]
    if dataset.time is not None:
        ways.append(f"change the role of '{dataset.time}' in {file}")
    if dataset.id is None:
        ways.append(
            f"give the column that identifies customers the role 'id' in {file}: without one, equal rows stay together"
        )
    return ", or ".join(ways)
