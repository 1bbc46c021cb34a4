"""Card parts for event-based customers: the calendar of windows, and how the model holds up as it ages."""

from datetime import datetime, timedelta
from typing import Any

from churn.cards.card_parts import CHURNED, STAYED, Chart, Part, Table
from churn.data.snapshots import Snapshot
from churn.settings.dataset import Dataset
from churn.training.evaluation import Evaluation

_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"


def calendar(data: Snapshot, evaluation: Evaluation) -> list[Part]:
    """The snapshots with their use, population and churn rate, and ROC-AUC by age; empty without events."""
    if not data.events or data.dataset.time is None:
        return []
    used = {moment.isoformat(): "train" for moment in data.train[data.dataset.time].unique()}
    used |= dict.fromkeys((one.moment for one in evaluation.moments), "holdout")
    rows = [
        [one.moment[:10], f"{one.age} days", f"{one.rows:,}", f"{one.churned / one.rows:.1%}", f"{one.auc:.4f}"]
        for one in evaluation.moments
    ]
    return [
        "## Calendar",
        *windows(data.dataset, data.events, used),
        "How the model fares as it ages: the held-out snapshots, and the days since the newest one trained on.",
        Table(["snapshot", "age", "held out", "churned", "roc_auc"], rows),
    ]


def made_of(dataset: Dataset, events: dict[str, Any]) -> list[Part]:
    """The snapshots and the tables behind a data version."""
    rows = [
        [name, f"{one['rows']:,}", str(one["newest"] or ""), f"{one.get('late', 0):,}", one["hash"][:12]]
        for name, one in events["tables"].items()
    ]
    tables = Table(["table", "rows", "newest event", "known later, not used", "hash"], rows)
    return ["## Calendar", *windows(dataset, events), "Tables that the customers were made of.", tables]


def windows(dataset: Dataset, events: dict[str, Any], used: dict[str, str] | None = None) -> list[Part]:
    """A table and a chart of the snapshots in ``events`` (see ``Snapshot.events``); ``used`` maps moments to their use."""
    assert dataset.snapshots is not None
    gap, horizon = timedelta(days=dataset.snapshots.gap), timedelta(days=dataset.snapshots.horizon)
    rows, points = [], []
    for one in events["snapshots"]:
        moment, labelled = datetime.fromisoformat(one["moment"]), one["customers"] - one["unlabelled"]
        role = (used or {}).get(one["moment"], "scored only" if not labelled else "embargo" if used else "labelled")
        start, end = moment + gap, moment + gap + horizon
        rate = f"{one['churned'] / labelled:.1%}" if labelled else "not known yet"
        rows.append([f"{moment:%Y-%m-%d}", role, f"{start:%Y-%m-%d} to {end:%Y-%m-%d}", f"{one['customers']:,}", rate])
        points.append({"snapshot": f"{moment:%Y-%m-%d}", "from": start.isoformat(), "to": end.isoformat(), "use": role})
    colour = {"field": "use", "type": "nominal", "scale": {"domain": ["train", "embargo", "holdout", "scored only", "labelled"],
              "range": [STAYED, "#cccccc", CHURNED, "#8a8a8a", STAYED]}}  # fmt: skip
    x = {"field": "from", "type": "temporal", "title": "days that the label looks at"}
    encoding = {"y": {"field": "snapshot", "type": "ordinal"}, "x": x, "x2": {"field": "to"}, "color": colour}
    chart = Chart(
        {
            "$schema": _SCHEMA,
            "width": 560,
            "data": {"values": points},
            "mark": {"type": "bar", "height": 8},
            "encoding": encoding,
        }
    )
    return [Table(["snapshot", "used for", "label's window", "customers", "churned"], rows), chart]
