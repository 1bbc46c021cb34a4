"""PostgreSQL runs the very same description as DuckDB: the customers are equal, row by row."""

from collections.abc import Iterator
from datetime import datetime

import events
import pandas as pd
import postgres
import pytest
import sqlalchemy
from churn.data import tables
from churn.data.events import engine, staging, synthetic
from churn.errors import ChurnError
from churn.settings import core
from churn.settings.dataset import Dataset
from conftest import ROOT

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    with postgres.running() as found:
        yield found


def _in(server: postgres.Server, text: str, logs: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The description with its tables in the database."""
    monkeypatch.setenv("CRM_PASSWORD", server.password)
    place = sqlalchemy.create_engine(
        server.url.replace("postgresql:", "postgresql+psycopg:").replace("${CRM_PASSWORD}", server.password)
    )
    for name, log in logs.items():
        log.to_sql(name, place, if_exists="replace", index=False)
    place.dispose()
    given = core.parse(Dataset, text, "x.toml").model_dump(mode="json")
    for name, table in given["tables"].items():
        table["source"] = [{"kind": "sql", "url": server.url, "query": f"select * from {name}"}]
    return core.from_dict(Dataset, {**given, "engine": "postgresql"}, "x.toml")


def _same(left: engine.Made, right: engine.Made, key: str) -> None:
    first, second = (
        tables.from_bytes(one.table).sort_values(["snapshot", key], ignore_index=True) for one in (left, right)
    )
    pd.testing.assert_frame_equal(first, second, check_dtype=False, rtol=1e-9)
    assert left.lineage["snapshots"] == right.lineage["snapshots"]


@pytest.mark.parametrize(("label", "population"), [("inactive", "active"), ("event", "ever"), ("end", "open")])
def test_every_label_and_aggregate_is_equal(
    server: postgres.Server, tmp_path, monkeypatch: pytest.MonkeyPatch, label: str, population: str
) -> None:  # type: ignore[no-untyped-def]
    log = synthetic.generate(60, 1)
    bought = log.tables["purchases"].rename(columns={"customer_id": "customer", "loaded": "seen", "channel": "kind"})
    bought["kind"] = bought["kind"].map({"shop": "a", "web": "b"}).astype("object")  # the rest has none
    held = (
        log.tables["contracts"]
        .rename(columns={"customer_id": "client", "start": "begins", "end": "ends"})
        .assign(plan="x")
    )
    logs = {"purchases": bought, "contracts": held}
    for name, table in logs.items():
        table.astype({"kind": "str"} if "kind" in table else {}).to_parquet(tmp_path / f"{name}.parquet")
    rule = f"population = {events.POPULATIONS[population]}\nhorizon = 30\ngap = 7\n"
    text = f"{events.TABLES}{rule}{events.LABELS[label]}\n{events.AGGREGATES}"
    theirs = _in(server, text, logs, monkeypatch)
    ours = core.parse(Dataset, text, "x.toml")
    limit = datetime(2024, 6, 1)
    _same(
        engine.customers(theirs, {}, limit),
        engine.customers(ours, staging.given(ours, str(tmp_path)), limit),
        "customer",
    )


def test_the_shop_is_equal_also_now(server: postgres.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "config" / "datasets" / "shop.toml").read_text().replace("rows = 4000", "rows = 150")
    theirs = _in(server, text, synthetic.generate(150, 42).tables, monkeypatch)
    ours = core.parse(Dataset, text, "x.toml")
    for now in (False, True):
        _same(engine.customers(theirs, {}, None, now), engine.customers(ours, {}, None, now), "customer_id")


def test_tables_of_two_places_are_refused() -> None:
    shop = core.load(Dataset, ROOT / "config" / "datasets" / "shop.toml")
    with pytest.raises(ChurnError, match='engine = "postgresql" needs every table to have one source'):
        engine.customers(shop.model_copy(update={"engine": "postgresql"}), {})
