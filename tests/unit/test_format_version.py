"""What a later release reads is JSON with the number of its format: the same back, and a newer one is a clear no."""

import json

import pytest
from churn import format_version
from churn.data import casting, synthetic
from churn.data.snapshots import Snapshot
from churn.errors import ChurnError
from churn.settings.dataset import Dataset
from churn.validation import profile
from churn.validation.sorted_columns import SortedColumns


def test_a_profile_comes_back_the_same_from_its_text_and_from_its_version(telco: Dataset) -> None:
    table, _ = casting.cast(synthetic.generate(telco, 400, seed=2), telco)
    found = profile.profile(table, telco, SortedColumns(table, (table.Churn == "Yes").to_numpy()))
    kept = profile.to_json(found)
    assert json.loads(kept)["format"] == 1
    assert profile.from_json(kept) == found
    assert profile.of_snapshot(Snapshot("v", telco, True, table[100:], table[:100])) == found, "rows in another order"


def test_what_has_no_number_is_of_the_first_format_and_a_newer_one_is_refused() -> None:
    assert format_version.opened({"rows": 3}, 1, "profile") == {"rows": 3}
    assert format_version.opened(format_version.stamped({"rows": 3}, 1), 1, "profile") == {"rows": 3}
    with pytest.raises(ChurnError, match=r"profile: written by a newer release \(format 2, this one reads up to 1\)"):
        format_version.opened(format_version.stamped({"rows": 3}, 2), 1, "profile")
