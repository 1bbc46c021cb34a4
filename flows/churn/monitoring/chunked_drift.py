"""NannyML's univariate drift by chunks of one size, relative to the spread of the reference's chunks.

For the card only: the verdict follows ``drift``, whose thresholds bound the false alarms of a whole window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn.monitoring.drift import PROBABILITY, Detector, quiet
from churn.serving.reference_data import Reference
from churn.settings.monitor import Drift

if TYPE_CHECKING:
    import pandas as pd

FEWEST_CHUNKS = 3  # of the reference: fewer have no meaningful spread, and a single one makes everything alert
ROWS = 50_000  # newest rows of the windows


@dataclass(frozen=True)
class ChunkedDrift:
    """One statistic of one column by ``chunks`` (of rows, oldest first).

    ``values`` are compared with the ``upper`` threshold from the reference's chunks; ``alerts`` are NannyML's.
    """

    column: str
    method: str
    chunks: tuple[str, ...]
    values: tuple[float, ...]
    alerts: tuple[bool, ...]
    upper: float


def by_chunk(reference: Reference, windows: "Sequence[pd.DataFrame]", rule: Drift) -> list[ChunkedDrift]:
    """The first method of ``rule`` for each column, in chunks of the newest window's size.

    Nothing if the reference has fewer than FEWEST_CHUNKS of them.
    """
    import pandas as pd
    from nannyml.chunk import SizeBasedChunker
    from nannyml.drift.univariate import UnivariateDriftCalculator

    size = len(windows[-1]) if windows else 0
    if not size or len(reference.table) < FEWEST_CHUNKS * size:
        return []
    detector, columns = Detector(reference, rule), reference.dataset.raw
    before, now = (pd.concat(map(detector.coded, tables), ignore_index=True) for tables in ([reference.table], windows))
    categories = [name for name in detector.measured if name != PROBABILITY and not columns[name].numeric]
    calculator = UnivariateDriftCalculator(
        column_names=detector.measured,
        treat_as_categorical=categories,
        continuous_methods=[rule.numeric[0]],
        categorical_methods=[rule.categorical[0]],
        chunker=SizeBasedChunker(size, incomplete="append"),
    )
    with quiet():
        data = calculator.fit(before).calculate(now.tail(ROWS).reset_index(drop=True)).filter(period="analysis").data
    chunks = tuple(f"{start + 1}-{end + 1}" for start, end in zip(data["chunk", "chunk", "start_index"],
                                                                  data["chunk", "chunk", "end_index"], strict=True))  # fmt: skip
    results = []
    for name in detector.measured:
        method = rule.categorical[0] if name in categories else rule.numeric[0]
        values, alerts, upper = (data[name, method, kind] for kind in ("value", "alert", "upper_threshold"))
        results.append(
            ChunkedDrift(
                name,
                method,
                chunks,
                tuple(map(float, values)),
                tuple(map(bool, alerts)),
                float(upper.astype(float).iloc[-1]),
            )
        )
    return results
