"""From events to customers at moments: every label, population and aggregate equals a naive loop, row by row."""

from datetime import datetime, timedelta
from typing import Any

import events
import pandas as pd
import pytest
from churn.data import tables
from churn.data.events import engine, on_duckdb, staging
from churn.settings import core
from churn.settings.dataset import Dataset
from conftest import CDNOW, ROOT
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

PHASES = (Phase.explicit, Phase.generate)  # an example is a run of DuckDB: to shrink one takes minutes
KINDS = st.tuples(
    st.sampled_from(sorted(events.LABELS)), st.sampled_from(sorted(events.POPULATIONS)), st.sampled_from([0, 7])
)


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Row by row: moments and text to the bit, numbers to the last digits of a sum in another order."""
    keys = ["snapshot", found.columns[0]]
    found, wanted = (one.sort_values(keys, ignore_index=True) for one in (found, wanted))
    assert list(found) == list(wanted)
    for name in found:
        if found[name].dtype.kind == "f":
            pd.testing.assert_series_equal(found[name], wanted[name].astype(float), rtol=1e-9, atol=1e-9)
        else:
            left, right = (one[name].astype(object).where(one[name].notna(), None).tolist() for one in (found, wanted))
            assert left == right, name


def _compare(kinds: tuple[str, str, int], purchases: list[events.Row], contracts: list[events.Row]) -> None:
    dataset = events.described(*kinds)
    if not purchases and not contracts:
        return
    wanted = events.naive(dataset, purchases=purchases, contracts=contracts)
    try:
        found = events.made(dataset, purchases=purchases, contracts=contracts)
    except events.ChurnError as error:  # nothing before the first snapshot
        if not wanted.empty or "no snapshot lies before" not in str(error):
            raise
        return
    same(found, wanted)


@given(KINDS, events.purchases(), events.contracts())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
def test_customers_equal_the_naive_loop(kinds: Any, purchases: Any, contracts: Any) -> None:
    _compare(kinds, purchases, contracts)


@pytest.mark.slow
@given(KINDS, events.purchases(), events.contracts())
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
def test_customers_equal_the_naive_loop_on_many_logs(kinds: Any, purchases: Any, contracts: Any) -> None:
    _compare(kinds, purchases, contracts)


@given(KINDS, events.purchases(), events.contracts(), st.integers(1, 6))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
def test_customers_equal_the_naive_loop_where_the_tables_are_divided(
    kinds: Any, purchases: Any, contracts: Any, size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_duckdb, "EVENTS", size)
        _compare(kinds, purchases, contracts)


def test_divided_tables_make_the_same_customers_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """One part alone has the newest event, by which outcomes are known or not."""
    dataset = events.described("inactive", "ever", 0)
    rule = dataset.snapshots.model_copy(update={"until": ""})  # type: ignore[union-attr]
    dataset = dataset.model_copy(update={"snapshots": rule})
    times = [datetime(2024, 1, 1) + timedelta(hours=number) for number in range(3000)]
    rows = [{"customer": str(n), "at": at, "seen": at, "amount": 1.0, "kind": "a"} for n, at in enumerate(times)]
    whole = events.made(dataset, purchases=rows, contracts=[])
    monkeypatch.setattr(on_duckdb, "EVENTS", 700)
    divided = events.made(dataset, purchases=rows, contracts=[])
    assert len(whole) > 1000
    pd.testing.assert_frame_equal(divided, whole)


@pytest.mark.skipif(not CDNOW.is_file(), reason="needs ../shared/data/cdnow_transactions.txt")
def test_cdnow_by_its_description_only() -> None:
    dataset = core.load(Dataset, ROOT / "config" / "datasets" / "cdnow.toml")
    made = engine.customers(dataset, staging.given(dataset, str(CDNOW)))
    found = tables.from_bytes(made.table)
    last = found[found["snapshot"] == "1997-12-31"]
    assert len(last) == 23_570
    assert round((last["churned"] == "Yes").mean(), 3) == 0.772
    assert made.lineage["tables"]["purchases"]["rows"] == 69_659


@pytest.mark.skipif(not CDNOW.is_file(), reason="needs ../shared/data/cdnow_transactions.txt")
def test_cdnow_equals_the_naive_loop_row_by_row() -> None:
    dataset = core.load(Dataset, ROOT / "config" / "datasets" / "cdnow.toml")
    one = {"dates": ("1997-12-31T00:00:00",), "every": "", "first": "", "last": "", "until": "1998-06-30T00:00:00"}
    dataset = dataset.model_copy(update={"snapshots": dataset.snapshots.model_copy(update=one)})  # type: ignore[union-attr]
    found = tables.from_bytes(engine.customers(dataset, staging.given(dataset, str(CDNOW))).table)
    log = pd.read_csv(CDNOW, sep=r"\s+", dtype={"customer_id": str})
    log["date"] = pd.to_datetime(log["date"].astype(str))
    wanted = events.naive(dataset, purchases=log.to_dict("records"))
    same(found, wanted)
    assert len(wanted) == 23_570
    assert round((wanted["churned"] == "Yes").mean(), 3) == 0.772
