"""Outcomes of earlier predictions, from the service's feedback or a file of labels."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from churn.data import casting, sources, tables
from churn.errors import ChurnError
from churn.files import header_lines
from churn.serving import prediction_log
from churn.settings.dataset import Dataset
from churn.settings.description.spelling import fold
from churn.storage import keyed_ids

if TYPE_CHECKING:
    import pandas as pd
    from churn.serving.reference_data import Reference

_TRUE, _FALSE = ("true", "1"), ("false", "0")


@dataclass(frozen=True)
class Labels:
    """Predictions with their ``outcome``, ``probability`` and ``decision``.

    ``unknown`` counts outcomes of unknown predictions, ``others`` outcomes of predictions by other model versions, ``conflicts``
    predictions with different outcomes.
    """

    table: "pd.DataFrame"
    unknown: int = 0
    others: int = 0
    conflicts: int = 0


def from_log(
    reference: "Reference",
    file: str,
    days: int,
    until: datetime,
    at: str | None = None,
    damaged: set[str] | None = None,
) -> Labels:
    """The outcomes of the champion's predictions of the ``days`` before ``until``.

    Outcomes in ``file``, if given, precede the feedback in the log. Of several outcomes for a prediction the first counts, so
    none can be overwritten. ``damaged``: see ``prediction_log.read``.
    """
    import pandas as pd

    start = until - timedelta(days=days)
    outcomes = prediction_log.read_feedback(start, until, at, damaged)[["prediction_id", "outcome"]]
    if file:
        reported = read(file, reference.dataset)
        if "prediction_id" not in reported:
            reported = _of_customers(reported, reference.dataset, start, until, at, damaged)
        outcomes = pd.concat([reported, outcomes])
    conflicts = int((outcomes.groupby("prediction_id").outcome.nunique() > 1).sum())
    outcomes = outcomes.drop_duplicates("prediction_id", keep="first")
    predictions = (
        prediction_log.rows_by_id(outcomes.prediction_id.tolist(), start, until, at, damaged)
        if len(outcomes)
        else _none()
    )
    of_model = predictions[predictions.model_version == reference.model.version]
    table = of_model.merge(outcomes, on="prediction_id")
    return Labels(table, len(outcomes) - len(predictions), len(predictions) - len(of_model), conflicts)


def _none() -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(columns=list(prediction_log.COLUMNS))


def _of_customers(
    reported: "pd.DataFrame",
    dataset: Dataset,
    start: datetime,
    until: datetime,
    at: str | None,
    damaged: set[str] | None,
) -> "pd.DataFrame":
    """Assign the outcomes of customers to all their predictions; outcomes without a prediction remain, as unknown."""
    name, secret = str(dataset.id), keyed_ids.key()
    logged = {one: one for one in reported[name]}
    logged |= {keyed_ids.keyed(one, secret): one for one in reported[name]} if secret is not None else {}
    predictions = _logged(dataset, list(logged), start, until, at, damaged)
    predictions[name] = predictions[name].map(logged)
    joined = reported.merge(predictions, on=name, how="left")
    return joined.assign(prediction_id=joined.prediction_id.fillna("customer " + joined[name]))[
        ["prediction_id", "outcome"]
    ]


def _logged(
    dataset: Dataset, ids: list[str], start: datetime, until: datetime, at: str | None, damaged: set[str] | None
) -> "pd.DataFrame":
    """The ``prediction_id`` and logged id of the predictions for ``ids``, given as they are logged."""
    import pyarrow as pa
    from pyarrow import dataset as parts

    name, schema = str(dataset.id), prediction_log.schema(dataset, with_id=True)
    wanted = pa.schema([schema.field(column) for column in ("prediction_id", "time", name)])
    predictions = prediction_log.rows_between(
        prediction_log.PREDICTIONS, wanted, start, until, at or prediction_log.root(), damaged,
        parts.field(name).isin(ids),
    )  # fmt: skip
    return predictions[["prediction_id", name]].astype("str")


def read(file: str, dataset: Dataset) -> "pd.DataFrame":
    """Read a file of ``outcome`` (true or false, 1 or 0, or the data set's values) by ``prediction_id`` or customer.

    Raises:
        ChurnError: A column is missing or an outcome is invalid; the message names it.
    """
    table, _, _ = header_lines.drop_repeated(tables.from_bytes(sources.read(sources.named(file), dataset)[0]), file)
    by = str(dataset.id) if "prediction_id" not in table and dataset.id in table else "prediction_id"
    if missing := [name for name in (by, "outcome") if name not in table]:
        raise ChurnError(f"{file}: no column {', '.join(missing)}; labels are a file with prediction_id and outcome")
    named = casting.as_text(table[by]).astype("str")
    return named.to_frame().assign(outcome=outcomes(table.outcome, dataset, f"{file}: outcome"))


def outcomes(values: "pd.Series", dataset: Dataset, where: str) -> "pd.Series":
    """Whether each customer churned, as bool.

    Raises:
        ChurnError: A value is invalid; ``where`` names its location.
    """
    import pandas as pd

    text = values.astype("str").str.strip()
    meaning = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
    levels, spellings = {dataset.positive: True, dataset.negative: False}, dataset.spellings(dataset.target)
    churned_by_text = {
        word: levels.get(spellings.level(word), meaning.get(fold(word))) for word in text.dropna().unique()
    }
    churned = text.map(churned_by_text)
    if churned.isna().any():
        words = sorted(dataset.columns[dataset.target].values, key=lambda word: not levels[spellings.level(word)])
        raise ChurnError(
            f"{where}: {text[churned.isna()].iloc[0]!r} is not an outcome; use {' and '.join(words)}, or true and false"
        )
    return pd.Series(churned, dtype="bool")
