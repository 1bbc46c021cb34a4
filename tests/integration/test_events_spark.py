"""Spark runs the very same description as DuckDB: the customers are equal, row by row."""

import importlib.util
import shutil
from datetime import datetime
from pathlib import Path

import events
import pandas as pd
import pytest
from churn.data import tables
from churn.data.events import engine, on_spark, staging, synthetic
from churn.errors import ChurnError
from churn.settings import core
from churn.settings.dataset import Dataset
from conftest import ROOT

pytestmark = pytest.mark.long

LIMIT = datetime(2024, 6, 1)
needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="needs Java 17 and PySpark: make install EXTRA=spark",
)


def _same(dataset: Dataset, key: str, now: bool = False, as_of: datetime | None = LIMIT) -> None:
    ours, theirs = (
        engine.customers(dataset.model_copy(update={"engine": name}), {}, as_of, now) for name in ("duckdb", "spark")
    )
    first, second = (
        tables.from_bytes(one.table).sort_values(["snapshot", key], ignore_index=True) for one in (ours, theirs)
    )
    pd.testing.assert_frame_equal(first, second, check_dtype=False, rtol=1e-9)
    assert ours.lineage["snapshots"] == theirs.lineage["snapshots"]
    assert ours.lineage["tables"] == theirs.lineage["tables"]
    assert len(first)


@needs_spark
@pytest.mark.parametrize(
    ("label", "population"),
    [
        ("inactive", "active"),
        pytest.param("event", "ever", marks=pytest.mark.slow),
        pytest.param("end", "open", marks=pytest.mark.slow),
    ],
)
def test_every_label_and_aggregate_is_equal(tmp_path: Path, label: str, population: str) -> None:
    days = [n * 7 % 170 for n in range(600)]
    bought = [
        {
            "customer": f"{n % 40:05d}",
            "at": events.START + events.DAY * day,
            "seen": events.START + events.DAY * (day + n % 3),
            "amount": None if n % 11 == 0 else n % 50 * 0.75,
            "kind": ["a", "b", "c", None][n % 4],
        }
        for n, day in enumerate(days)
    ]
    ends = [events.START + events.DAY * (n * 5) if n % 3 else None for n in range(40)]
    held = [
        {"client": f"{n:05d}", "begins": events.START, "ends": end, "plan": "xy"[n % 2]} for n, end in enumerate(ends)
    ]
    events.write(tmp_path, purchases=bought, contracts=held)
    dataset = events.described(label, population, 7)
    place = {name: staging.given(dataset, str(tmp_path))[name] for name in dataset.tables}
    changed = {name: table.model_copy(update={"source": (place[name],)}) for name, table in dataset.tables.items()}
    _same(dataset.model_copy(update={"tables": changed}), "customer")


@pytest.mark.slow
@needs_spark
def test_the_shop_is_equal_also_now_and_with_zones(tmp_path: Path) -> None:
    for name, table in synthetic.generate(120, 42).tables.items():
        zoned = {column: table[column].dt.tz_localize("Europe/Berlin", ambiguous=True, nonexistent="shift_forward")
                 for column in table if table[column].dtype.kind == "M" and name == "purchases"}  # fmt: skip
        table.assign(**zoned).to_parquet(tmp_path / f"{name}.parquet")
    shop = core.load(Dataset, ROOT / "config" / "datasets" / "shop.toml")
    place = staging.given(shop, str(tmp_path))
    shop = shop.model_copy(
        update={
            "tables": {name: one.model_copy(update={"source": (place[name],)}) for name, one in shop.tables.items()}
        }
    )
    for now in (False, True):
        _same(shop, "customer_id", now, None)


def test_without_java_or_pyspark_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*on_spark.ELSEWHERE, "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(on_spark.shutil, "which", lambda name: None)
    shop = core.load(Dataset, ROOT / "config" / "datasets" / "shop.toml").model_copy(update={"engine": "spark"})
    with pytest.raises(ChurnError, match=r'engine = "spark" needs (PySpark.*EXTRA=spark|Java 17 or newer)'):
        engine.customers(shop, {})
