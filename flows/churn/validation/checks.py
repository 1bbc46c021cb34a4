"""The result of one check, and the report of all checks of a table."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3
UNIQUE = "is unique"  # the rule of an id
PRESENT = "is never missing"
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Check:
    """The result of one check: ``failed`` of ``total`` values violate the rule. Errors stop the run."""

    column: str
    rule: str
    failed: int
    total: int
    examples: tuple[str, ...] = ()
    remedy: str = ""
    severity: Severity = "error"

    @property
    def passed(self) -> bool:
        """Whether every value satisfies the rule."""
        return self.failed == 0

    def __str__(self) -> str:
        """The result in one line, with examples and the remedy."""
        such = f": {', '.join(self.examples)}" if self.examples else ""
        return (
            f"column '{self.column}': {self.rule}; {self.failed} of {self.total} failed{such}. {self.remedy}".rstrip()
        )


@dataclass(frozen=True)
class Report:
    """All checks of a table of ``rows`` rows, ``set_aside`` of which are in quarantine.

    ``left_out`` describes, with counts, the other rows left out (see ``exclusions``).
    """

    checks: tuple[Check, ...]
    rows: int
    set_aside: int = 0
    left_out: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The data quality score in 0..1: the share of values that satisfy the rule, averaged over all checks.

        For k checks it is (1/k) * sum(1 - failed / total); 1 means that every value satisfies every rule.
        """
        return sum(1 - c.failed / max(c.total, 1) for c in self.checks) / max(len(self.checks), 1)

    @property
    def errors(self) -> tuple[Check, ...]:
        """The failed checks that stop the run."""
        return tuple(c for c in self.checks if not c.passed and c.severity == "error")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The failed checks that do not stop the run."""
        return tuple(c for c in self.checks if not c.passed and c.severity == "warning")

    def require(self, source: str) -> "Report":
        """The report itself, if it has no errors.

        Raises:
            ChurnError: It has errors; the message names ``source`` and has one line per failed check.
        """
        if self.errors:
            lines = "\n".join(f"  {check}" for check in self.errors)
            raise ChurnError(f"{source}: {len(self.errors)} of {len(self.checks)} checks failed\n{lines}")
        return self


def unique_at(time: str | None) -> str:
    """The rule of an id, with the time column if there is one."""
    return UNIQUE if time is None else f"is unique at each {time}"


Failures = list[tuple[Check, np.ndarray]]  # a check, and the positions of the rows that fail it


def example_values(values: "pd.Series", numbers: np.ndarray) -> tuple[str, ...]:
    """``values`` with the ``numbers`` of their rows, counted from 1, without the header."""
    return tuple(f"{value!r} in row {row}" for value, row in zip(values.tolist(), numbers.tolist(), strict=False))
