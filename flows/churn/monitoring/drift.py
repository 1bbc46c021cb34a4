"""Drift of one window from the reference: scipy's distances and NannyML's reconstruction error.

``drift_thresholds`` computes the thresholds.
"""

import warnings
import zlib
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.monitoring import distances, drift_thresholds
from churn.serving.reference_data import Reference
from churn.settings.monitor import Drift

if TYPE_CHECKING:
    import pandas as pd

PROBABILITY, ALL = "probability", "all columns"
MISSING, UNSEEN, RECONSTRUCTION = drift_thresholds.MISSING, "unseen", "pca_reconstruction"
Thresholds = dict[drift_thresholds.Key, float]
SINGLE = 0.1  # false alarms of a statistic that is not among those of `variation`, as a share of theirs
ONE_CHUNK = 10**9  # rows: the reconstruction error of a window as a whole
ROWS = 20_000  # rows that the reconstruction is fitted on and calculated for
FEWEST_COLUMNS = 3  # for a reconstruction from their principal components


@dataclass(frozen=True)
class Distance:
    """One statistic of one column, and its drift threshold."""

    column: str
    method: str
    value: float
    threshold: float

    @property
    def drifted(self) -> bool:
        """Whether the value is above the threshold."""
        return self.value > self.threshold

    @property
    def excess(self) -> float:
        """The ratio of value and threshold, for ranking columns and methods; for chi2 its root, to be comparable."""
        ratio = self.value / self.threshold if self.threshold > 0 else (np.inf if self.value > 0 else 0.0)
        return float(np.sqrt(ratio)) if self.method == "chi2" else ratio


class Detector:
    """Compares windows with the reference, which is processed once: see ``distances``."""

    def __init__(self, reference: Reference, rule: Drift) -> None:
        """``rule`` gives the methods and how their thresholds are found."""
        self._rule, self._dataset = rule, reference.dataset
        self._names = list(reference.dataset.raw)
        self._categories = frozenset(name for name, column in reference.dataset.raw.items() if not column.numeric)
        self._table = reference.table
        self._levels = {name: _levels(reference.table[name]) for name in sorted(self._categories)}
        self._reference = self.coded(reference.table)
        # For a column without values in the reference, only a change in its missing share can be detected.
        self.measured = [name for name in map(str, self._reference) if self._reference[name].notna().any()]
        self._thresholds: dict[int, Thresholds] = {}

    def coded(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """Numbers for all columns: distances are six times faster on codes than on text, with the same result."""
        import pandas as pd

        coded = {}
        for name in self._names:
            if name not in self._categories:
                coded[name] = table[name].to_numpy(np.float64, na_value=np.nan)
                continue
            column = table[name].astype("category").cat
            codes = np.append([self._code(name, str(level)) for level in column.categories], np.nan)
            coded[name] = codes[column.codes.to_numpy()]
        coded[PROBABILITY] = table[PROBABILITY].to_numpy(np.float64)
        return pd.DataFrame(coded)

    def _code(self, column: str, level: str) -> int:
        """The code of a level; levels that the reference does not have share one code.

        If there are more levels than models distinguish, they are grouped by a hash of their names: grouping by frequency would
        favour levels that happen to be frequent in the reference.
        """
        levels, most = self._levels[column], self._dataset.most_levels
        return levels.get(level, len(levels)) if len(levels) <= most else zlib.crc32(level.encode()) % most

    def distances(self, window: "pd.DataFrame") -> list[Distance]:
        """Every statistic of a window.

        For the columns, the predictions (PROBABILITY), missing and unseen values, and all columns together (``ALL``).
        """
        coded = self.coded(window)
        thresholds = self._thresholds_for(len(coded))
        with quiet():
            distances = [*self._univariate(coded, thresholds), *self._missing(coded, thresholds), *self._unseen(window)]
            if len(self._names) >= FEWEST_COLUMNS:
                distances.append(self._multivariate(coded))
        return distances

    def _thresholds_for(self, rows: int) -> Thresholds:
        if rows not in self._thresholds:
            self._thresholds[rows] = drift_thresholds.thresholds(self._reference, self._categories, self._rule, rows)
        return self._thresholds[rows]

    def _univariate(self, coded: "pd.DataFrame", thresholds: Thresholds) -> list[Distance]:
        results = []
        for name in self.measured:
            now = coded[name].dropna().to_numpy()
            if not len(now):  # the share of missing values covers this
                continue
            categorical = name in self._categories
            measure, methods = (
                (distances.categorical, self._rule.categorical)
                if categorical
                else (distances.numeric, self._rule.numeric)
            )
            for method, value in measure(self._present[name], now, methods).items():
                results.append(Distance(name, method, value, thresholds[name, method]))
        return results

    @cached_property
    def _present(self) -> dict[str, np.ndarray]:
        """The reference's non-missing values, numbers in ascending order."""
        present = {name: self._reference[name].dropna().to_numpy() for name in self.measured}
        return {name: values if name in self._categories else np.sort(values) for name, values in present.items()}

    def _missing(self, coded: "pd.DataFrame", thresholds: Thresholds) -> list[Distance]:
        moved = (coded[self._names].isna().mean() - self._reference[self._names].isna().mean()).abs()
        return [Distance(name, MISSING, float(moved[name]), thresholds[name, MISSING]) for name in self._names]

    def _unseen(self, window: "pd.DataFrame") -> list[Distance]:
        distances = []
        for name in sorted(self._categories):
            counts = window[name].value_counts()
            unseen = counts[[str(level) not in self._levels[name] for level in counts.index]].sum()
            share = float(unseen) / len(window)
            distances.append(Distance(name, UNSEEN, share, self._new(name, len(window))))
        return distances

    def _new(self, name: str, rows: int) -> float:
        """The threshold for the share of unseen values.

        The expected share is that of levels that occur once in the reference (Good 1953).
        """
        counts, m = self._table[name].value_counts(), len(self._table)
        expected = float((counts == 1).sum()) / m
        chance = self._z * float(np.sqrt(expected / drift_thresholds.effective(m, rows)))
        return expected + max(self._rule.unseen, chance)

    @property
    def _z(self) -> float:
        """The number of standard errors allowed for a single statistic that is not among those of ``variation``."""
        return NormalDist().inv_cdf(1 - self._rule.false_alarms * SINGLE / 2)

    @cached_property
    def _reconstruction(self) -> tuple[Any, float, float]:
        """A calculator fitted on one half of the reference, and its mean error on the other half with the sampling error.

        On the rows that it was fitted on, the error would be too small.
        """
        from nannyml.chunk import SizeBasedChunker
        from nannyml.drift.multivariate.data_reconstruction import DataReconstructionDriftCalculator

        rows = self._reference.sample(min(len(self._reference), 2 * ROWS), random_state=self._rule.seed)
        fitted, other = rows.iloc[: len(rows) // 2], rows.iloc[len(rows) // 2 :]
        names = [name for name in self._names if fitted[name].notna().any()]
        calculator = DataReconstructionDriftCalculator(column_names=names, chunker=SizeBasedChunker(ONE_CHUNK))
        return calculator.fit(self._texts(fitted)), *_error(calculator, self._texts(other))

    def _multivariate(self, coded: "pd.DataFrame") -> Distance:
        calculator, before, error = self._reconstruction
        rows = coded.sample(min(len(coded), ROWS), random_state=self._rule.seed)
        now, own_error = _error(calculator, self._texts(rows))
        return Distance(ALL, RECONSTRUCTION, abs(now - before), self._z * float(np.hypot(error, own_error)))

    def _texts(self, coded: "pd.DataFrame") -> "pd.DataFrame":
        names = sorted(self._categories)
        return coded[self._names].assign(**{name: coded[name].astype(object) for name in names})


def _error(calculator: Any, rows: "pd.DataFrame") -> tuple[float, float]:
    """Mean reconstruction error of the rows and its sampling error."""
    last = calculator.calculate(rows).data["reconstruction_error"].iloc[-1]
    return float(last["value"]), float(last["sampling_error"])


def _levels(values: "pd.Series") -> dict[str, int]:
    """A code for each level that occurs."""
    return {str(level): code for code, level in enumerate(sorted(values.dropna().unique()))}


class quiet(warnings.catch_warnings):
    """Suppress irrelevant warnings of NannyML and pandas about few chunks and about NannyML's own columns."""

    def __enter__(self) -> None:
        """Ignore warnings from here on."""
        super().__enter__()
        warnings.simplefilter("ignore")
