"""Outcomes that became known after the prediction: from the service's feedback and from a file of labels."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from churn.data import header_lines, sources, tables
from churn.errors import ChurnError
from churn.serving import prediction_log
from churn.settings.data import File
from churn.settings.dataset import Dataset
from churn.settings.spelling import fold

if TYPE_CHECKING:
    import pandas as pd
    from churn.serving.reference import Reference

_TRUE, _FALSE = ("true", "1"), ("false", "0")


@dataclass(frozen=True)
class Labels:
    """Predictions with their ``outcome`` (and ``probability``, ``decision``), and how many outcomes belong to none of them:
    to ``unknown`` predictions, or to those of ``others``, other model versions.
    """

    table: "pd.DataFrame"
    unknown: int = 0
    others: int = 0


def from_log(reference: "Reference", file: str, days: int, until: datetime, at: str | None = None) -> Labels:
    """The outcomes of the champion's predictions of the ``days`` before ``until``: those of ``file``, if one is given, and of
    the feedback; of several for one prediction the last counts.
    """
    import pandas as pd

    start = until - timedelta(days=days)
    told = prediction_log.read_feedback(start, until, at)[["prediction_id", "outcome"]]
    if file:
        told = pd.concat([told, read(file, reference.dataset)])
    told = told.drop_duplicates("prediction_id", keep="last")
    known = prediction_log.answers(told.prediction_id.tolist(), start, until, at) if len(told) else _none()
    own = known[known.model_version == reference.model.version]
    table = own.merge(told, on="prediction_id")
    return Labels(table, len(told) - len(known), len(known) - len(own))


def _none() -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(columns=list(prediction_log.COLUMNS))


def read(file: str, dataset: Dataset) -> "pd.DataFrame":
    """A file of ``prediction_id`` and ``outcome`` (true or false, 1 or 0, or the data set's own words).

    Raises ChurnError naming the file, and the first value of ``outcome`` that means nothing.
    """
    table, _, _ = header_lines.without(tables.from_bytes(sources.read(File(kind="file", path=file), dataset)[0]), file)
    if missing := [name for name in ("prediction_id", "outcome") if name not in table]:
        raise ChurnError(f"{file}: no column {', '.join(missing)}; labels are a file with prediction_id and outcome")
    return table[["prediction_id"]].astype("str").assign(outcome=outcomes(table.outcome, dataset, f"{file}: outcome"))


def outcomes(values: "pd.Series", dataset: Dataset, where: str) -> "pd.Series":
    """Whether the customer churned, as bool. Raises ChurnError with ``where`` for a value that does not say."""
    import pandas as pd

    text = values.astype("str").str.strip()
    meaning = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
    own, spellings = {dataset.positive: True, dataset.negative: False}, dataset.spellings(dataset.target)
    said = {word: own.get(spellings.level(word), meaning.get(fold(word))) for word in text.dropna().unique()}
    found = text.map(said)
    if found.isna().any():
        words = sorted(dataset.columns[dataset.target].values, key=lambda word: not own[spellings.level(word)])
        raise ChurnError(
            f"{where}: {text[found.isna()].iloc[0]!r} is no outcome; use {' and '.join(words)}, or true and false"
        )
    return pd.Series(found, dtype="bool")
