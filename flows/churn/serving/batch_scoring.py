"""Batch scoring: a file of customers in, a ranked list with reasons out."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.data import casting, features, sources
from churn.errors import ChurnError
from churn.registry import model_registry
from churn.serving import prediction_log
from churn.settings import commands
from churn.settings.data import Origin
from churn.settings.dataset import Dataset
from churn.settings.score import Score
from churn.storage import keyed_ids, keyed_table
from churn.training import expected_profit, shapley
from churn.training.onnx_scorer import Scorer
from churn.uplift import registration
from churn.validation import validation
from churn.validation.checks import Report

if TYPE_CHECKING:
    import pandas as pd

OWN = (
    "rank",
    "probability",
    "decision",
    "expected_value",
    "prediction_id",
)  # columns of the list before the customers' own
REASON, UPLIFT_REASON = "reason_{}", "uplift_reason_{}"
UPLIFT = ("uplift", "recommendation")  # additional columns with an uplift champion
SAMPLE = 20  # rows on the card
BINS = 20  # of the probability, on the card


@dataclass(frozen=True)
class Ranked:
    """The ranked list: its path, its first SAMPLE rows, and how many of ``customers`` have a positive decision.

    The rows lack the customers' other columns. With ``by_value``, the most profitable contact comes first instead of the most
    likely churner. ``spread`` counts the customers in BINS intervals of the probability from 0 to 1.
    """

    place: str
    head: "pd.DataFrame"
    customers: int
    churning: int
    by_value: bool
    spread: np.ndarray

    def __str__(self) -> str:
        """The number of customers with a positive decision, in words."""
        what = "worth a contact" if self.by_value else "likely to leave"
        return f"{self.churning:,} of {self.customers:,} customers are {what}"


def scorer(model: model_registry.Registered) -> Scorer:
    """The registered model, ready to score."""
    with tempfile.TemporaryDirectory() as folder:
        return Scorer(model_registry.fetch(model, folder))


def root() -> str:
    """Where ranked lists go: CHURNFLOW_SCORES, or ``scores`` in the state folder; see ``prediction_log.configured_root``."""
    return prediction_log.configured_root("CHURNFLOW_SCORES", "scores", "ranked lists go to")


def screen(
    origins: Sequence[Origin], dataset: Dataset, rule: Score
) -> tuple["pd.DataFrame", "pd.DataFrame", tuple[str, ...]]:
    """Read the sources: the typed customers, the rows set aside with their ``reasons``, and notes on the reading.

    Raises ChurnError if a source cannot be read, a column is missing, or a larger share than ``rule.quarantine`` is invalid.
    """
    require_names(dataset, rule)
    parts, notes = zip(*(sources.read(source, dataset) for source in origins), strict=True)
    origin = ", ".join(source.name for source in origins)
    frame = sources.combine(origins, parts, dataset)
    checked = validation.screen(frame, dataset, rule.quarantine, origin)
    checked.report.require(origin)
    more = reading_notes(checked.report, churned(frame, dataset), len(frame), dataset, origin)
    return checked.table, checked.quarantine, (*chain(*notes), *more)


def require_names(dataset: Dataset, rule: Score) -> None:
    """Raise ChurnError if columns of the data set have names that the list adds."""
    if taken := sorted({*OWN, *(REASON.format(i + 1) for i in range(rule.reasons))} & set(dataset.columns)):
        raise ChurnError(
            f"data set {dataset.name}: columns {', '.join(taken)} have the names of columns that the list adds; rename them"
        )


def churned(frame: "pd.DataFrame", dataset: Dataset) -> int:
    """How many customers have left already, as far as the table (as it was read) says so."""
    if dataset.target not in frame:
        return 0
    return int(features.outcome(dataset, casting.cast(frame[[dataset.target]], dataset)[0]).sum())


def reading_notes(report: Report, left: int, rows: int, dataset: Dataset, origin: str) -> list[str]:
    """What was left out, and a note if ``left`` of the ``rows`` customers have left already: they will come first on the list."""
    notes = [f"{origin}: left out: {', '.join(report.left_out)}"] if report.left_out else []
    text = f"{left:,} of {rows:,} customers have {dataset.target} = {dataset.positive}, so they have left already"
    if left:
        notes.append(f"{origin}: {text}; remove them to rank only those who can still be kept")
    return notes


def score(scorer: Scorer, table: "pd.DataFrame", run: str) -> "pd.DataFrame":
    """Score n customers: probability, decision, expected value and prediction id, with the table's index.

    The expected value is NaN without a [value] table. The same row of the same ``run`` always has the same id.
    """
    import pandas as pd

    raw, worth = features.from_frame(scorer.dataset, table), scorer.worth
    probability = scorer.probability(raw).astype(np.float64)
    columns = {
        "probability": probability,
        "decision": scorer.decide(raw, probability),
        "expected_value": expected_profit.expected(worth, raw, probability) if worth is not None else np.nan,
        "prediction_id": [hashlib.sha256(f"{run}/{row}".encode()).hexdigest()[:32] for row in table.index],
    }
    return pd.DataFrame(columns, index=table.index)


def with_uplift(
    scored: "pd.DataFrame", table: "pd.DataFrame", model: model_registry.Registered | None
) -> "pd.DataFrame":
    """Add the columns UPLIFT, by the uplift ``model``, to the result of ``score``; no change without a model.

    Raises ChurnError if the data set has columns with these names.
    """
    if model is None:
        return scored
    by_uplift = registration.load_uplift(model)
    if taken := sorted({*UPLIFT} & set(by_uplift.dataset.columns)):
        raise ChurnError(
            f"data set {by_uplift.dataset.name}: columns {', '.join(taken)} have the names of columns that the list adds; "
            "rename them"
        )
    uplift = by_uplift.table(table)
    return scored.assign(uplift=uplift, recommendation=by_uplift.recommend(uplift))


def log(
    scorer: Scorer,
    model: model_registry.Registered,
    table: "pd.DataFrame",
    scored: "pd.DataFrame",
    time: int,
    name: str,
) -> None:
    """Write the predictions to the prediction log as its part ``name``, at ``time`` (microseconds since 1970).

    Writing them again replaces them. Raises ChurnError if the log cannot be written.
    """
    import pyarrow as pa

    raw, schema = features.from_frame(scorer.dataset, table), prediction_log.schema(scorer.dataset)
    shared = {"time": time, "model_version": model.version, "data_version": model.tags["data_version"]}
    columns: dict[str, Any] = {name: np.full(len(scored), value) for name, value in shared.items()}
    columns |= {name: scored[name].to_numpy() for name in ("prediction_id", "probability", "decision")}
    arrays = [pa.array(columns[name], schema.field(name).type) for name in prediction_log.COLUMNS]
    arrays += [
        pa.array(values, schema.field(name).type, mask=values == "" if values.dtype.kind == "O" else np.isnan(values))
        for name, values in raw.items()
    ]
    content = prediction_log.content(pa.Table.from_arrays(arrays, schema=schema))
    try:
        prediction_log.store(
            prediction_log.root(), prediction_log.part_name(prediction_log.PREDICTIONS, time, name), content
        )
    except OSError as error:
        raise ChurnError(
            f"the prediction log {prediction_log.root()} cannot be written: {error}; correct CHURNFLOW_PREDICTIONS, or set "
            f"log = false in {commands.settings('score.toml')} [score]"
        ) from None


def keep_features(scorer: Scorer, table: "pd.DataFrame") -> tuple[str, ...]:
    """Store the features of customers made from events next to the prediction log, so that the service can score them by id.

    Returns:
        A note; empty for customers from other sources.

    Raises:
        ChurnError: They cannot be written.
    """
    import pyarrow as pa

    dataset, secret = scorer.dataset, keyed_ids.key()
    if not dataset.tables or dataset.id is None or dataset.time is None:
        return ()
    if secret is None:
        return (f"{keyed_ids.KEY} is not set: the service cannot score these customers by id",)
    raw = {
        name: pa.array([cell or None for cell in cells], pa.string()) if cells.dtype.kind == "O" else pa.array(cells)
        for name, cells in features.from_frame(dataset, table).items()
    }
    about = {"snapshot": table[dataset.time].max().isoformat()}
    content = keyed_table.table_file(table[dataset.id].astype(str).tolist(), pa.table(raw), about, secret)
    name = f"{keyed_table.FOLDER}/{dataset.name}{keyed_table.ENDING}"
    try:
        prediction_log.store(prediction_log.root(), name, content)
    except OSError as error:
        raise ChurnError(
            f"{prediction_log.root()}/{name}: cannot be written: {error}; correct CHURNFLOW_PREDICTIONS"
        ) from None
    return (f"the service can look up {len(table):,} customers by id",)


def reason_columns(
    scorer: Scorer, customers: "pd.DataFrame", count: int, uplift: model_registry.Registered | None = None
) -> dict[str, "pd.Series"]:
    """``count`` text columns, one row per customer: a column, its value, and its contribution to the probability.

    With an ``uplift`` model, as many more columns for the contributions to the uplift.
    """
    texts = _texts(shapley.Explainer.of(scorer), scorer.dataset, customers, count, REASON)
    if uplift is None:
        return texts
    by_uplift = registration.load_uplift(uplift)
    return texts | _texts(by_uplift.explainer(), by_uplift.dataset, customers, count, UPLIFT_REASON)


def _texts(
    explainer: shapley.Explainer, dataset: Dataset, customers: "pd.DataFrame", count: int, name: str
) -> dict[str, "pd.Series"]:
    import pandas as pd

    reasons: list[list[tuple[str, Any, float]]] = []
    if len(customers):
        reasons = explainer.reasons(features.from_frame(dataset, customers), count)
    texts = [[f"{column} = {_shown(cell)} ({gain:+.2f})" for column, cell, gain in one] for one in reasons]
    return {
        name.format(i + 1): pd.Series([one[i] if i < len(one) else "" for one in texts], dtype="str")
        for i in range(count)
    }


def _shown(cell: Any) -> str:
    if isinstance(cell, str):
        return cell or "(missing)"
    return f"{cell:g}" if cell == cell else "(missing)"
