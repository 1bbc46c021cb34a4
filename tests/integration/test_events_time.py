"""Backfills, late rows, and comparisons of like months."""

from datetime import datetime
from types import SimpleNamespace

import events
import pandas as pd
import pytest
from churn.cards import events_card
from churn.cards.card_parts import Table
from churn.data import tables
from churn.data.events import engine, on_duckdb, staging
from churn.serving.reference_data import Reference
from churn.validation import version_diff

FIRST = {"customer": "b", "at": datetime(2024, 1, 1), "seen": datetime(2024, 1, 1), "amount": 1.0, "kind": "a"}


def _row(day: datetime, seen: datetime | None = None) -> events.Row:
    return {**FIRST, "at": day, "seen": seen or day}


def _as_of(tmp_path, dataset, rows, as_of):  # type: ignore[no-untyped-def]
    events.write(tmp_path, purchases=rows, contracts=[])
    return engine.customers(dataset, staging.given(dataset, str(tmp_path)), as_of)


def test_a_backfill_gives_the_same_rows_again_and_says_what_came_late(tmp_path) -> None:  # type: ignore[no-untyped-def]
    dataset = events.described("inactive", "ever", 0)
    moment = datetime(2024, 3, 10)
    then = [FIRST, _row(datetime(2024, 2, 20)), _row(datetime(2024, 3, 9))]
    before = _as_of(tmp_path, dataset, then, moment)
    later = [_row(datetime(2024, 2, 10), datetime(2024, 3, 20)), _row(datetime(2024, 4, 1))]
    again = _as_of(tmp_path, dataset, [*then, *later], moment)
    assert again.table == before.table
    assert [one.lineage["tables"]["purchases"]["late"] for one in (before, again)] == [0, 1]
    assert again.notes == (
        "purchases: 1 rows had happened by 2024-03-10 00:00 and became known later; they are not used",
    )
    assert again.lineage["tables"]["purchases"]["hash"] != before.lineage["tables"]["purchases"]["hash"]
    now = tables.from_bytes(_as_of(tmp_path, dataset, [*then, *later], datetime(2024, 6, 1)).table)
    assert len(now) > len(tables.from_bytes(again.table)), "the last snapshot was not yet"


def test_rows_without_a_whole_horizon_have_no_outcome(tmp_path) -> None:  # type: ignore[no-untyped-def]
    dataset = events.described("inactive", "ever", 0)
    dataset = dataset.model_copy(update={"snapshots": dataset.snapshots.model_copy(update={"until": ""})})  # type: ignore[union-attr]
    found = _as_of(tmp_path, dataset, [FIRST, _row(datetime(2024, 3, 30))], datetime(2024, 6, 1))
    table = tables.from_bytes(found.table).set_index("snapshot")["churned"]
    assert table.loc["2024-01-31"] == "Yes"
    assert table.loc["2024-02-29":].tolist() == ["No"], "30 days later is the 30th of March, the newest event"  # type: ignore[misc]
    shorter = _as_of(tmp_path, dataset, [FIRST, _row(datetime(2024, 3, 29))], datetime(2024, 6, 1))
    assert tables.from_bytes(shorter.table)["churned"].isna().tolist() == [False, True]
    assert [one["unlabelled"] for one in shorter.lineage["snapshots"]] == [0, 1]


def test_like_months_are_compared_where_there_are_enough_of_them() -> None:
    dataset = events.described("inactive", "ever", 0)
    moments = pd.to_datetime(["2024-01-31"] * 30 + ["2024-02-29"] * 5)
    known = Reference(SimpleNamespace(), dataset, 0.5, pd.DataFrame({"snapshot": moments}))  # type: ignore[arg-type]
    assert len(known.of_month(1, 20).table) == 30
    assert len(known.of_month(2, 20).table) == 35, "too few: all"
    assert len(known.of_month(None, 20).table) == 35


def test_the_calendar_shows_each_window_with_its_use_and_its_churn_rate() -> None:
    dataset = events.described("inactive", "ever", 7)
    made = [
        {"moment": "2024-01-31T00:00:00", "customers": 10, "churned": 4, "unlabelled": 0},
        {"moment": "2024-02-29T00:00:00", "customers": 12, "churned": 0, "unlabelled": 12},
    ]
    table, chart = events_card.windows(dataset, {"snapshots": made}, {"2024-01-31T00:00:00": "train"})
    assert isinstance(table, Table)
    assert table.rows == [
        ["2024-01-31", "train", "2024-02-07 to 2024-03-08", "10", "40.0%"],
        ["2024-02-29", "scored only", "2024-03-07 to 2024-04-06", "12", "not known yet"],
    ]
    assert len(chart.spec["data"]["values"]) == 2


@pytest.mark.parametrize(
    ("every", "first", "moments"),
    [
        ("1 month", "2023-12-31", ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]),
        ("2 weeks", "2024-03-01", ["2024-03-01", "2024-03-15", "2024-03-29"]),
        ("45 days", "2024-01-01", ["2024-01-01", "2024-02-15", "2024-03-31"]),
        ("1 year", "2024-02-29", ["2024-02-29"]),
    ],
)
def test_snapshots_come_every_so_often(every: str, first: str, moments: list[str]) -> None:
    dataset = events.described("inactive", "ever", 0)
    rule = dataset.snapshots.model_copy(update={"dates": (), "every": every, "first": f"{first}T00:00:00"})  # type: ignore[union-attr]
    found = engine.snapshots(dataset.model_copy(update={"snapshots": rule}), datetime(2024, 4, 10))
    assert [f"{moment:%Y-%m-%d}" for moment in found] == moments


def test_a_file_that_grows_while_it_is_read_stops_the_run(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    dataset = events.described("inactive", "ever", 0)
    write = on_duckdb.write_moment

    def grown(connection, *rest):  # type: ignore[no-untyped-def]
        write(connection, *rest)
        events.write(tmp_path, purchases=[FIRST, _row(datetime(2024, 4, 1)), _row(datetime(2024, 4, 2))], contracts=[])

    monkeypatch.setattr(on_duckdb, "write_moment", grown)
    with pytest.raises(events.ChurnError, match="changed while it was read; run this again when it is complete"):
        _as_of(tmp_path, dataset, [FIRST, _row(datetime(2024, 4, 1))], datetime(2024, 6, 1))


def test_more_customers_than_are_wanted_are_a_sample_of_whole_customers(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    dataset = events.described("inactive", "ever", 0)
    rows = [{**_row(datetime(2024, 1, 10)), "customer": f"{n:05d}"} for n in range(1000)]
    rows.append(_row(datetime(2024, 3, 1)))  # after the second snapshot
    whole = events.made(dataset, purchases=rows, contracts=[])
    rule = dataset.snapshots.model_copy(update={"most_rows": 1000})
    found = events.made(dataset.model_copy(update={"snapshots": rule}), purchases=rows, contracts=[])
    kept = set(found["customer"])
    assert len(whole) == 2000
    assert 900 < len(found) < 1100
    assert set(found.groupby("customer").size()) == {2}
    pd.testing.assert_frame_equal(found, whole[whole["customer"].isin(kept)].reset_index(drop=True))


@pytest.mark.parametrize("outdated", ["refuse", "flag"])
def test_a_list_from_old_events_is_refused_or_flagged(tmp_path, outdated: str) -> None:  # type: ignore[no-untyped-def]
    dataset = events.described("inactive", "ever", 0)
    rule = dataset.snapshots.model_copy(update={"max_age_days": 30, "outdated": outdated})  # type: ignore[union-attr]
    dataset = dataset.model_copy(update={"snapshots": rule})
    events.write(tmp_path, purchases=[FIRST, _row(datetime(2024, 4, 1))], contracts=[])
    given = staging.given(dataset, str(tmp_path))
    assert engine.customers(dataset, given, datetime(2024, 5, 1), now=True).notes == ()
    if outdated == "flag":
        said = engine.customers(dataset, given, datetime(2024, 5, 2), now=True).notes
        assert said == ("the newest event, of 2024-04-01, is 31 days old: max_age_days = 30",)
        return
    with pytest.raises(
        events.ChurnError, match=r"is 31 days old: max_age_days = 30; export the tables again, or raise max_age_days in"
    ):
        engine.customers(dataset, given, datetime(2024, 5, 2), now=True)


def test_the_customers_of_now_are_those_of_a_snapshot_at_that_moment(tmp_path) -> None:  # type: ignore[no-untyped-def]
    dataset = events.described("inactive", "ever", 0)
    events.write(tmp_path, purchases=[FIRST, _row(datetime(2024, 2, 29))], contracts=[])
    given = staging.given(dataset, str(tmp_path))
    trained = tables.from_bytes(engine.customers(dataset, given, datetime(2024, 3, 1)).table)
    now = tables.from_bytes(engine.customers(dataset, given, datetime(2024, 3, 1), now=True).table)
    pd.testing.assert_frame_equal(trained.tail(1).reset_index(drop=True), now)


def test_late_events_are_a_difference_from_the_version_made_before() -> None:
    dataset = events.described("inactive", "ever", 0)
    before = events.made(dataset, purchases=[FIRST, _row(datetime(2024, 3, 10))], contracts=[])
    late = [FIRST, _row(datetime(2024, 1, 20)), _row(datetime(2024, 3, 10))]
    versions = [
        SimpleNamespace(version=name, dataset=dataset, train=table, holdout=table.iloc[:0])
        for name, table in (("a", before), ("b", events.made(dataset, purchases=late, contracts=[])))
    ]
    said = version_diff.late(versions[0], versions[1])
    assert said.startswith(
        "Of 2 rows of the same customers and snapshots, 2 differ from version a, by events that came late"
    )
    assert "contracts" not in said
    assert "first 0" not in said
    assert "n_30d 1" in said
    assert version_diff.late(versions[0], versions[0]).endswith(
        "2 rows of the same customers and snapshots are the same: no event came late"
    )
