"""What changed between two data versions does not depend on the types a table was stored with."""

import pandas as pd
from churn.data import casting, snapshots
from churn.schema_inference import infer
from churn.validation import version_diff


def test_without_an_id_a_row_is_the_same_in_other_types() -> None:
    rows = pd.DataFrame({"x": range(40), "plan": ["a", "b"] * 20, "left": ["no", "yes", "no", "no"] * 10})
    dataset = infer.describe(rows, "small", "small.csv").dataset
    table = casting.cast(rows, dataset)[0]
    before = snapshots.Snapshot("a", dataset, False, table.iloc[:30], table.iloc[30:])
    other = table.astype({"x": "float64", "plan": "str"})
    after = snapshots.Snapshot("b", dataset, False, other.iloc[1:30], other.iloc[30:])
    found = version_diff.diff(before, after)
    assert (found.added, found.removed) == (0, 1)
