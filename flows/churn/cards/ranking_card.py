"""What ScoreFlow's card shows: the head of the list, and how the probabilities are spread."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from churn.cards import data_card
from churn.cards.card_parts import CHURNED, Chart, Part, Table
from churn.registry.model_registry import Registered
from churn.serving.batch_scoring import Ranked

if TYPE_CHECKING:
    import pandas as pd

BINS = 20


def parts(found: Ranked, model: Registered, aside: "pd.DataFrame", notes: Sequence[str] = ()) -> list[Part]:
    """The card's parts."""
    order = "most profitable contact first" if found.by_value else "likeliest to leave first"
    rule = "where the expected profit of a contact is above 0" if found.by_value else "from the model's threshold on"
    left_out = f" {len(aside):,} rows with errors were left out; see below." if len(aside) else ""
    return [
        f"# {found}",
        f"The list, {order}: `{found.place}`. Model version {model.version} ({model.tags['family']}).{left_out}",
        f"## The first {len(found.head)}",
        f"Decision: yes {rule}. A reason is a column, the customer's value, and what it adds to the probability.",
        _head(found),
        "## How sure the model is",
        _spread(found.probability),
        *data_card.reading(notes),
        *data_card.quarantine(aside),
    ]


def _head(found: Ranked) -> Table:
    shown = found.head.drop(columns="prediction_id")
    return Table(
        [str(name) for name in shown], [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
    )


def _cell(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _spread(probability: np.ndarray) -> Chart:
    counts, edges = np.histogram(probability, bins=BINS, range=(0, 1))
    points = [{"from": e, "to": e + 1 / BINS, "n": n} for e, n in zip(edges.tolist(), counts.tolist(), strict=False)]
    x = {"field": "from", "type": "quantitative", "bin": "binned", "title": "probability of churn"}
    y = {"field": "n", "type": "quantitative", "title": "customers"}
    return Chart(
        {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            **{"width": 700, "height": 180, "data": {"values": points}, "mark": {"type": "bar", "color": CHURNED}},
            "encoding": {"x": x, "x2": {"field": "to"}, "y": y},
        }
    )
