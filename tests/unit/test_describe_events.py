"""The first description of tables of events: ids, moments and tables are recognised, windows follow the rhythm of the log."""

import events
import numpy as np
import pandas as pd
import pytest
from churn.data import tables
from churn.data.events import engine, synthetic
from churn.errors import ChurnError
from churn.schema_inference import event_rhythm, infer_events
from churn.settings.dataset import Dataset


@pytest.fixture(scope="module")
def shop() -> tuple[str, Dataset, tuple[str, ...]]:
    """As it comes from CSV files: every cell a text."""
    log = synthetic.generate(400, 3)
    frames = {f"/data/{name}.csv": table.astype("str").where(table.notna()) for name, table in log.tables.items()}
    return infer_events.describe(frames, "shop")


def test_contracts_purchases_and_tickets_are_recognised(shop: tuple[str, Dataset, tuple[str, ...]]) -> None:
    _, made, _ = shop
    assert {name: (table.id, table.time, table.known, table.end) for name, table in made.tables.items()} == {
        "contracts": ("customer_id", "start", "", "end"),
        "purchases": ("customer_id", "at", "loaded", ""),
        "tickets": ("customer_id", "at", "loaded", ""),
    }
    assert made.label is not None
    assert (made.label.kind, made.label.table) == ("end", "contracts")
    assert made.tables["purchases"].columns["amount"].type == "number"
    assert made.tables["tickets"].columns["topic"].type == "category"


def test_what_was_described_can_be_made(shop: tuple[str, Dataset, tuple[str, ...]], tmp_path) -> None:  # type: ignore[no-untyped-def]
    text, made, _ = shop
    for name, table in synthetic.generate(400, 3).tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    from churn.data.events import staging

    assert made.snapshots is not None
    made = made.model_copy(update={"snapshots": made.snapshots.model_copy(update={"every": "6 months"})})
    found = tables.from_bytes(engine.customers(made, staging.given(made, str(tmp_path))).table)
    assert set(found["churned"].dropna()) == {"No", "Yes"}
    assert "# DECIDE: label:" in text


def _buyers(gap: int, back: bool) -> pd.DataFrame:
    """300 customers who buy every ``gap`` days for 2 years; half of them stop after half the time, and come back if ``back``."""
    rng, rows = np.random.default_rng(0), []
    for who in range(300):
        for day in range(int(rng.integers(0, gap)), 730, gap):
            silent = who % 2 and 365 <= day < (500 if back else 731)
            if not silent:
                rows.append((f"c{who}", pd.Timestamp("2023-01-01") + pd.Timedelta(days=day + int(rng.integers(0, 3)))))
    return pd.DataFrame(rows, columns=["buyer", "bought_on"]).assign(euros=rng.gamma(2.0, 10.0, len(rows)))


def test_a_median_gap_of_93_days_rules_out_windows_of_a_week() -> None:
    told = event_rhythm.rhythm(*(_buyers(93, False)[name] for name in ("buyer", "bought_on")))
    assert told.gap == pytest.approx(93, abs=2)
    assert told.windows
    assert min(told.windows) >= 93


def test_the_share_of_those_who_come_back_decides_the_horizon() -> None:
    gone, returned = (
        event_rhythm.rhythm(*(_buyers(20, back)[n] for n in ("buyer", "bought_on"))) for back in (False, True)
    )
    assert [one.back for one in gone.horizons] == [0.0] * 4
    assert gone.horizon == 30
    assert gone.horizons[0].churned == pytest.approx(0.5, abs=0.02)
    assert returned.horizons[2].back > 0.9
    assert returned.horizon == 180, "nobody is silent for so long and comes back"


def test_one_file_of_purchases_is_a_log_and_says_what_to_decide() -> None:
    frame = _buyers(20, False)
    text, made, notes = infer_events.describe({"/data/orders.csv": frame.astype({"bought_on": "str"})}, "orders")
    assert made.label is not None
    assert (made.label.kind, made.tables["orders"].id, made.tables["orders"].time) == ("inactive", "buyer", "bought_on")
    assert any("30 days: 50% churned, 0% of such silences ended" in note for note in notes), notes
    assert 'what = "days since last"' in text


def test_files_without_events_are_refused_by_name() -> None:
    once = pd.DataFrame({"customer_id": [f"c{i}" for i in range(60)], "joined": "2024-01-01"})
    with pytest.raises(ChurnError, match=r"b\.csv: no file is a table of events"):
        infer_events.describe({"a.csv": once, "b.csv": once.assign(joined="2024-02-01")}, "x")
    with pytest.raises(events.ChurnError, match=r"a\.csv: no column identifies its rows' customers"):
        infer_events.describe({"a.csv": pd.DataFrame({"at": ["2024-01-01", "2024-02-01"], "x": [0.5, 0.25]})}, "x")


def _invoices(rows: int = 600) -> pd.DataFrame:
    """As shops export them: returns, a number for each invoice, customers who are not known, in any order."""
    who = pd.Series([f"{n * 7 % 60:06d}" for n in range(rows)]).where([n % 20 > 0 for n in range(rows)], "")
    days = pd.Timestamp("2022-01-01") + pd.to_timedelta([n * 11 % 700 for n in range(rows)], unit="D")
    return pd.DataFrame(
        {
            "InvoiceNo": [f"{'C' * (n % 9 == 0)}{500000 + n}" for n in range(rows)],
            "CustomerID": who,
            "InvoiceDate": days.strftime("%Y%m%d"),
            "Quantity": [str(-1 if n % 9 == 0 else n % 5 + 1) for n in range(rows)],
        }
    )


def test_invoices_without_a_customer_are_nobodys_and_their_numbers_count_nothing(tmp_path) -> None:  # type: ignore[no-untyped-def]
    frame = _invoices()
    _, dataset, notes = infer_events.describe({str(tmp_path / "invoices.csv"): frame}, "retail")
    table = dataset.tables["invoices"]
    assert (table.id, table.time, table.format, table.without_id) == (
        "CustomerID",
        "InvoiceDate",
        "%Y%m%d",
        "leave out",
    )
    assert "InvoiceNo" not in table.columns
    assert any("30 of 600 rows have no CustomerID; they are left out" in note for note in notes)
    frame.to_csv(tmp_path / "invoices.csv", index=False)
    found = tables.from_bytes(engine.customers(dataset, {}).table)
    last = found[found["snapshot"] == found["snapshot"].max()]
    assert set(found["CustomerID"]) <= set(frame["CustomerID"]) - {""}
    assert found.filter(like="invoices_quantity_sum").min().min() < 0
    assert last["invoices_all"].sum() <= 570
    strict = table.model_copy(update={"without_id": "refuse"})
    with pytest.raises(ChurnError, match='missing in 30 of 600 rows; fill it in, or write without_id = "leave out" in'):
        engine.customers(dataset.model_copy(update={"tables": {"invoices": strict}}), {})


@pytest.mark.parametrize(("form", "unit"), [("%s", 1), ("%Q", 1000)])
def test_seconds_and_milliseconds_since_1970_are_moments(tmp_path, form: str, unit: int) -> None:  # type: ignore[no-untyped-def]
    at = pd.date_range("2024-01-01", periods=400, freq="17h")
    logins = pd.DataFrame(
        {"user_id": [f"U-{n % 40}" for n in range(400)], "ts": (at.as_unit("s").astype("int64") * unit).astype(str)}
    )
    _, dataset, _ = infer_events.describe({str(tmp_path / "logins.csv"): logins}, "app")
    assert (dataset.tables["logins"].time, dataset.tables["logins"].format) == ("ts", form)
    logins.to_csv(tmp_path / "logins.csv", index=False)
    made = engine.customers(dataset, {})
    assert made.lineage["tables"]["logins"]["newest"] == at[-1].isoformat()
