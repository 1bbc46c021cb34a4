"""What a check of a table says, and the report of all of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3
UNIQUE = "is unique"  # the rule of an id
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: ``failed`` of ``total`` values did not keep the rule. Errors stop the run."""

    column: str
    rule: str
    failed: int
    total: int
    examples: tuple[str, ...] = ()
    remedy: str = ""
    severity: Severity = "error"

    @property
    def passed(self) -> bool:
        return self.failed == 0

    def __str__(self) -> str:
        such = f": {', '.join(self.examples)}" if self.examples else ""
        return (
            f"column '{self.column}': {self.rule}; {self.failed} of {self.total} failed{such}. {self.remedy}".rstrip()
        )


@dataclass(frozen=True)
class Report:
    """Every check of one table of ``rows`` rows, of which ``set_aside`` went to quarantine; further rows were ``left_out`` (in
    words, with their counts), as they are no examples (see ``exclusions``).
    """

    checks: tuple[Check, ...]
    rows: int
    set_aside: int = 0
    left_out: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Data quality score in 0..1: the mean over all checks of the share of values that kept the rule.

        score = (1/k) * sum over the k checks of (1 - failed / total); 1 means that every value kept every rule.
        """
        return sum(1 - c.failed / max(c.total, 1) for c in self.checks) / max(len(self.checks), 1)

    @property
    def errors(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if not c.passed and c.severity == "error")

    @property
    def warnings(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if not c.passed and c.severity == "warning")

    def require(self, source: str) -> "Report":
        """Itself, if no check of severity error failed; else ChurnError with a line per failed check."""
        if self.errors:
            lines = "\n".join(f"  {check}" for check in self.errors)
            raise ChurnError(f"{source}: {len(self.errors)} of {len(self.checks)} checks failed\n{lines}")
        return self


Found = list[tuple[Check, np.ndarray]]  # a check and the positions of the rows that failed it


def shown(values: "pd.Series", numbers: np.ndarray) -> tuple[str, ...]:
    """The first ``values`` with the numbers of their rows, which count from 1, without the header."""
    return tuple(f"{value!r} in row {row}" for value, row in zip(values.tolist(), numbers.tolist(), strict=False))
