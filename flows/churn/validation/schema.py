"""The checks of a typed table with pandera. Importing this module imports pandera."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandera.backends.pandas.builtin_checks  # noqa: F401 - otherwise the first check would import it
import pandera.pandas as pa
from churn.errors import ChurnError
from churn.settings.dataset import Column, Dataset
from churn.validation import remedies
from churn.validation.checks import EXAMPLES, PRESENT, UNIQUE, Check, Failures, Severity, example_values, unique_at
from pandera.errors import SchemaErrors

if TYPE_CHECKING:
    import pandas as pd


def checks(frame: "pd.DataFrame", dataset: Dataset, unreadable: dict[str, np.ndarray], numbers: np.ndarray) -> Failures:
    """Check ranges, allowed values, missing values and uniqueness; every failure is reported, with its rows.

    ``numbers`` (shape (n,)) are the row numbers in the source. ``unreadable`` values, now missing, have already been reported
    and are not reported again.

    Raises:
        ChurnError: pandera reports an unexpected check.
    """
    rules: dict[tuple[str, str], tuple[str, str, Severity]] = {}
    columns: dict[str, Any] = {}
    for name, column in dataset.columns.items():
        if name not in frame.columns or column.role == "ignore":
            continue
        checks_of_column = []
        if column.min is not None or column.max is not None:
            low = -np.inf if column.min is None else column.min
            checks_of_column.append(pa.Check.in_range(low, np.inf if column.max is None else column.max, error="range"))
            remedy = f"Correct these cells, or change min and max in {remedies.file_of(dataset, name)}."
            rules[name, "range"] = (_range_rule(column), remedy, column.severity)
        if column.values:
            checks_of_column.append(pa.Check.isin(column.values, error="values"))
            remedy = remedies.values(name, dataset)
            severity: Severity = "error" if column.role == "target" else column.severity
            rules[name, "values"] = (f"is one of {', '.join(map(repr, column.values))}", remedy, severity)
        if not column.missing and name not in unreadable:
            rules[name, "not_nullable"] = (PRESENT, remedies.missing(name, dataset), "error")
        unique = column.role == "id" and dataset.time is None
        if unique:
            rules[name, "field_uniqueness"] = (UNIQUE, "Keep one row per customer.", "error")
        nullable = (name, "not_nullable") not in rules
        columns[name] = pa.Column(
            checks=checks_of_column, nullable=nullable, unique=unique, report_duplicates="exclude_first"
        )
    together = [dataset.id, dataset.time] if dataset.id and dataset.time else None
    failures = _run(pa.DataFrameSchema(columns), frame, rules, numbers)
    if together:
        rows = np.flatnonzero(frame.duplicated(together))
        examples = example_values(frame[dataset.id].iloc[rows[:EXAMPLES]], numbers[rows])
        rule = unique_at(dataset.time)
        failures.append(
            (Check(str(dataset.id), rule, len(rows), len(frame), examples, "Keep one row per customer."), rows)
        )
    return failures


def _run(
    schema: Any, frame: "pd.DataFrame", rules: dict[tuple[str, str], tuple[str, str, Severity]], numbers: np.ndarray
) -> Failures:
    groups: dict[tuple[str, str], pd.DataFrame] = {}
    try:
        schema.validate(frame, lazy=True, inplace=True)
    except SchemaErrors as errors:
        groups = dict(list(errors.failure_cases.groupby(["column", "check"], sort=False)))
    failures: Failures = []
    for key, (rule, remedy, severity) in rules.items():
        cases = groups.pop(key, None)
        rows = np.sort(cases["index"].to_numpy(dtype=np.int64)) if cases is not None else np.array([], dtype=np.int64)
        examples = example_values(frame[key[0]].iloc[rows[:EXAMPLES]], numbers[rows])
        failures.append((Check(key[0], rule, len(rows), len(frame), examples, remedy, severity), rows))
    if groups:
        raise ChurnError(f"pandera reported a check that has no rule: {sorted(groups)}")
    return failures


def _range_rule(column: Column) -> str:
    if column.min is None:
        return f"is at most {column.max:g}"
    return f"is at least {column.min:g}" if column.max is None else f"is between {column.min:g} and {column.max:g}"
