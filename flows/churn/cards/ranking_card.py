"""The card of ScoreFlow: the top of the ranked list, and the distribution of the probabilities."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from churn.cards import data_card
from churn.cards.card_parts import CHURNED, Chart, Part, Table
from churn.registry.model_registry import Registered
from churn.serving.batch_scoring import BINS, Ranked

if TYPE_CHECKING:
    import pandas as pd


def parts(ranked: Ranked, model: Registered, aside: "pd.DataFrame", notes: Sequence[str] = ()) -> list[Part]:
    """The parts of the card."""
    order = "most profitable contact first" if ranked.by_value else "most likely to leave first"
    rule = (
        "where the expected profit of a contact is above 0" if ranked.by_value else "at or above the model's threshold"
    )
    left_out = f" {len(aside):,} rows with errors were left out; see below." if len(aside) else ""
    return [
        f"# {ranked}",
        f"The list, {order}: `{ranked.place}`. Model version {model.version} ({model.tags['family']}).{left_out}",
        f"## The first {len(ranked.head)}",
        f"Decision: yes {rule}. A reason is a column, the customer's value, and what it adds to the probability.",
        _head(ranked),
        "## Distribution of the probability of leaving",
        _spread(ranked.spread),
        *data_card.reading(notes),
        *data_card.quarantined(aside),
    ]


def _head(ranked: Ranked) -> Table:
    head = ranked.head.drop(columns="prediction_id")
    return Table(
        [str(name) for name in head], [[_cell(value) for value in row] for row in head.itertuples(index=False)]
    )


def _cell(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _spread(counts: np.ndarray) -> Chart:
    edges = np.linspace(0, 1, BINS + 1)
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
