"""Checks customers part by part, in the memory of one part, with the result of ``validation.screen`` for the whole table.

Three findings of a part depend on the others, and are made once all parts have been read: ids that occur in several parts,
whether an integer column is complete, and that blank cells are not reported where a column has unreadable ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from churn.data import casting
from churn.files.spool import Spool, Spooled
from churn.settings.dataset import Dataset
from churn.validation import exclusions, remedies, validation
from churn.validation.checks import EXAMPLES, PRESENT, Check, Failures, Report, example_values, unique_at
from churn.validation.in_parts import repeated_keys

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class _Part:
    """What is remembered of a part with n rows; its cells, as read and typed, are in the spool.

    ``numbers`` are the rows' numbers in the source, ``unreadable`` the columns with unreadable cells, ``gaps`` the incomplete
    columns of integers.
    """

    raw: Spooled
    typed: Spooled
    numbers: "np.ndarray | range"
    failures: Failures
    unreadable: set[str]
    gaps: set[str]

    def failing(self, check: Check) -> np.ndarray:
        """The positions of the rows that fail a check."""
        empty = np.array([], dtype=np.int64)
        return next((rows for one, rows in self.failures if _key(one) == _key(check)), empty)


def _key(check: Check) -> tuple[str, str]:
    return check.column, check.rule


class Screening:
    """Takes the parts of a table by ``add``, in order; ``finish`` then gives the report, and ``tables`` the valid rows."""

    def __init__(self, dataset: Dataset, quarantine: float, source: str) -> None:
        """``quarantine`` and ``source`` as for ``validation.screen``."""
        self._dataset, self._quarantine, self._source = dataset, quarantine, source
        self._spool, self._parts, self.rows = Spool(), list[_Part](), 0
        self._headers: list[Check] = []
        self._words: dict[str, pd.Series] = {}  # telling texts of unreadable cells, by column

    def add(self, frame: "pd.DataFrame") -> None:
        """Check the next part, all of whose columns must be those of the first. Raises ChurnError if a column is missing."""
        dataset = self._dataset
        validation.require_columns(frame, dataset, self._source, champion=True)
        rows = frame.drop(columns=dataset.target, errors="ignore")
        remaining = exclusions.exclude(rows, dataset, before=self.rows)
        self.rows += len(frame)
        self._headers += remaining.checks
        if not len(remaining.frame):
            return
        typed, unreadable = casting.cast(remaining.frame, dataset)
        failures = validation.cell_checks(remaining, typed, unreadable, dataset)
        for name, bad in unreadable.items():
            self._remember(name, remaining.frame[name][bad])
        numbers = remaining.numbers
        first, last = int(numbers[0]), int(numbers[-1])
        self._parts.append(
            _Part(
                self._spool.add_table(remaining.frame),
                self._spool.add_table(typed),
                range(first, last + 1) if last - first + 1 == len(numbers) else numbers,
                failures,
                set(unreadable),
                _gaps(typed, dataset),
            )
        )

    def _remember(self, name: str, cells: "pd.Series") -> None:
        import pandas as pd

        texts = pd.concat([*([self._words[name]] if name in self._words else []), casting.as_text(cells).astype("str")])
        self._words[name] = remedies.telling(name, texts, self._dataset)

    def finish(self) -> tuple[Report, "pd.DataFrame"]:
        """The report of all parts, and the rows set aside with their ``reasons``. Raises ChurnError if no row is left."""
        import pandas as pd

        kept = sum(len(part.numbers) for part in self._parts)
        exclusions.require_rows(kept, self.rows, self._dataset)
        self._see_whole()
        bad = [validation.failing(part.failures, len(part.numbers)) for part in self._parts]
        count = sum(int(one.sum()) for one in bad)
        allowed = count / kept <= self._quarantine
        checks = [self._merged(check) for check in self._all_checks()]
        asides = []
        if count and allowed:
            checks = [validation.as_warning(check) for check in checks]
            asides = [self._divide(part, one) for part, one in zip(self._parts, bad, strict=True) if one.any()]
        nothing = validation.nothing_aside(self._parts[0].typed.table())
        aside = validation.aside_as_text(pd.concat(asides)) if asides else nothing
        headers = sum(check.failed for check in self._headers)
        left_out = (exclusions.counted(exclusions.HEADER_LINES, headers),) * bool(headers)
        checks = [validation.for_champion(check, self._dataset) for check in checks]
        return Report((_sum(self._headers), *checks), kept, len(aside), left_out), aside

    def tables(self) -> Iterator["pd.DataFrame"]:
        """The valid rows, typed, part by part, each column with the same type throughout; to be called after ``finish``."""
        gaps = set().union(*(part.gaps for part in self._parts))
        for part in self._parts:
            yield part.typed.table().astype(dict.fromkeys(gaps, "float64"))

    def _see_whole(self) -> None:
        """Correct what the parts could not know of each other."""
        unreadable = set().union(*(part.unreadable for part in self._parts))
        for part in self._parts:
            part.failures = [
                (check, rows)
                for check, rows in part.failures
                if check.rule != PRESENT or check.column not in unreadable
            ]
        if len(self._parts) > 1 and self._dataset.id is not None:
            columns = [self._dataset.id, *([self._dataset.time] if self._dataset.time else [])]
            found = repeated_keys.rows([part.typed for part in self._parts], columns, self._dataset)
            key = self._dataset.id, unique_at(self._dataset.time)
            for part, repeated in zip(self._parts, found, strict=True):
                part.failures = [
                    (replace(check, failed=len(repeated)), repeated) if _key(check) == key else (check, rows)
                    for check, rows in part.failures
                ]

    def _all_checks(self) -> list[Check]:
        """One check of each kind, in the order of the whole table: unreadable cells by column, then the others."""
        found = {_key(check): check for part in self._parts for check, _ in reversed(part.failures)}
        others = [_key(check) for check, _ in self._parts[0].failures if not _reads(check)]
        columns = list(self._dataset.columns)
        types = sorted((key for key in found if _reads(found[key])), key=lambda key: columns.index(key[0]))
        return [found[key] for key in (*types, *others)]

    def _merged(self, check: Check) -> Check:
        total = sum(len(part.numbers) for part in self._parts)
        failed = sum(len(part.failing(check)) for part in self._parts)
        examples = tuple(chain.from_iterable(self._examples(check)))[:EXAMPLES]
        merged = replace(check, failed=failed, total=total, examples=examples)
        if not _reads(check):
            return merged
        words = self._words[check.column]
        return replace(merged, remedy=remedies.unreadable(check.column, words, self._dataset))

    def _examples(self, check: Check) -> Iterator[tuple[str, ...]]:
        """Examples from the first parts that fail the check, as they look in the whole column."""
        name, left = check.column, EXAMPLES
        real = any(name in part.gaps for part in self._parts)
        for part in self._parts:
            rows = part.failing(check)[:left]
            if len(rows):
                cells = (part.raw if _reads(check) else part.typed).table([name])[name].iloc[rows]
                cells = cells.astype("float64") if real and not _reads(check) else cells
                yield example_values(cells, np.asarray(part.numbers)[rows])
                left -= len(rows)
            if not left:
                return

    def _divide(self, part: _Part, bad: np.ndarray) -> "pd.DataFrame":
        """Keep only the valid rows of the part; returns the others."""
        remaining = exclusions.Kept(part.raw.table(), np.asarray(part.numbers), (), ())
        kept, aside = validation.separate(remaining, bad, part.failures, self._dataset)
        part.typed, part.gaps = self._spool.add_table(kept), _gaps(kept, self._dataset)
        return aside


def _reads(check: Check) -> bool:
    """Whether the check is of the type of cells as they were read."""
    return check.rule in validation.READS.values()


def _gaps(typed: "pd.DataFrame", dataset: Dataset) -> set[str]:
    integers = (name for name, column in dataset.columns.items() if column.type == "integer" and name in typed)
    return {name for name in integers if typed[name].dtype.kind == "f"}


def _sum(checks: list[Check]) -> Check:
    failed, total = sum(check.failed for check in checks), sum(check.total for check in checks)
    examples = tuple(chain.from_iterable(check.examples for check in checks))[:EXAMPLES]
    return replace(checks[0], failed=failed, total=total, examples=examples)
