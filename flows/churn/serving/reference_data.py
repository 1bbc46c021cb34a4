"""The reference data of monitoring: the holdout of a model's training with its predictions, stored next to the model."""

import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from churn.data import features, tables
from churn.errors import ChurnError
from churn.registry import model_registry
from churn.serving import prediction_log
from churn.settings import commands
from churn.settings.core import from_dict
from churn.settings.dataset import Dataset, from_dump
from churn.settings.train import Worth
from churn.training import onnx_scorer

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow
    from churn.registry.model_registry import Registered
    from churn.training.onnx_scorer import Scorer


@dataclass(frozen=True)
class Reference:
    """A registered model's holdout with its predictions.

    ``table`` has the raw columns, ``probability`` (float64), ``decision`` and ``outcome`` (both bool). ``threshold`` and
    ``worth`` are those of the model's decisions (see ``value.decide``).
    """

    model: "Registered"
    dataset: Dataset
    threshold: float
    table: "pd.DataFrame"
    worth: Worth | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The state with the table as Parquet: a pickled DataFrame changes with what has been read from it."""
        return {**vars(self), "table": tables.to_bytes(self.table)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state that ``__getstate__`` returned."""
        vars(self).update(state | {"table": tables.typed(state["table"], state["dataset"])})

    def of_month(self, month: int | None, least: int) -> "Reference":
        """The reference of one calendar month, for customers at snapshots; all rows if the month has fewer than ``least``."""
        time = self.dataset.time
        if month is None or time is None or time not in self.table:
            return self
        rows = self.table[self.table[time].dt.month == month]
        return replace(self, table=rows.reset_index(drop=True)) if len(rows) >= least else self


def load(model: "Registered") -> Reference:
    """Load the reference data of a registry version. Raises ChurnError if the version stores none (earlier releases)."""
    with tempfile.TemporaryDirectory() as folder:
        files = model_registry.fetch(model, folder)
        if not (files / prediction_log.HOLDOUT).is_file():
            again = commands.say("train", VERSION=model.tags["data_version"], FORCE="1")
            raise ChurnError(
                f"{model.name} version {model.version} has no stored holdout to compare with: it was trained by an earlier "
                f"release; train again with: {again}"
            )
        manifest = onnx_scorer.manifest(files)
        dataset, worth = from_dump(manifest["dataset"]), manifest.get("value")
        table = tables.typed((files / prediction_log.HOLDOUT).read_bytes(), dataset)
    values = from_dict(Worth, worth, onnx_scorer.MANIFEST) if worth else None
    return Reference(model, dataset, manifest["threshold"], table, values)


def holdout(scorer: "Scorer", table: "pd.DataFrame") -> "pyarrow.Table":
    """Score a table with known outcomes, in the order of its rows.

    Returns the columns probability (float64), decision and outcome (bool), the time for customers at snapshots, and the raw
    features as in ``prediction_log.schema``. Raises ChurnError as that function does.
    """
    import pyarrow as pa

    dataset, wanted = scorer.dataset, prediction_log.schema(scorer.dataset)
    raw = features.from_frame(dataset, table)
    probability = scorer.probability(raw).astype("float64")
    columns = {
        "probability": pa.array(probability),
        "decision": pa.array(scorer.decide(raw, probability)),
        "outcome": pa.array((table[dataset.target] == dataset.positive).to_numpy(dtype=bool)),
    }
    if dataset.snapshots is not None and dataset.time is not None:
        columns[dataset.time] = pa.array(table[dataset.time])
    for name, values in raw.items():
        missing = values == "" if values.dtype == object else values != values
        columns[name] = pa.array(values, wanted.field(name).type, mask=missing)
    return pa.table(columns)
