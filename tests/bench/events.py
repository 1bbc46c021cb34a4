"""Customers of 6 snapshots with 20 aggregates from a log of events, beside the same SQL written by hand: time, and peak memory.

``make bench-events`` takes 2,000,000 events; EVENTS=100000000 is the size that one machine is meant for (12 GB of disk).
Each side runs in a process of its own, and they take turns; what counts is the least of each, as other work on the machine only
adds. Where there is much of it, compare the CPU.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

MOMENTS = [datetime(2024, month, 1) for month in range(1, 7)]
HORIZON = 60
DESCRIPTION = """
name = "bench"
[tables.log]
source = [{{ kind = "file", path = "{path}" }}]
id = "customer_id"
time = "at"
[tables.log.columns]
amount = {{ type = "number" }}
kind = {{}}
[snapshots]
dates = [{dates}]
horizon = {horizon}
population = {{ table = "log", days = 365 }}
[label]
kind = "inactive"
table = "log"
[aggregates.n]
table = "log"
what = "count"
days = [7, 30, 90, 365]
[aggregates.amount]
table = "log"
what = "sum"
column = "amount"
days = [7, 30, 90, 365]
[aggregates.mean]
table = "log"
what = "mean"
column = "amount"
days = [30, 90, 365]
[aggregates.most]
table = "log"
what = "max"
column = "amount"
days = [90, 365]
[aggregates.of_kind]
table = "log"
what = "count"
by = "kind"
levels = ["a", "b", "c"]
days = [90]
[aggregates.last]
table = "log"
what = "days since last"
[aggregates.first]
table = "log"
what = "days since first"
[aggregates.gap]
table = "log"
what = "mean gap"
[aggregates.trend]
table = "log"
what = "trend"
days = [90]
"""

BY_HAND = """
COPY (
WITH log AS (SELECT customer_id, amount, kind, "at",
             (epoch_us(TIMESTAMP '{s}') - epoch_us("at")) / 86400000000.0 AS age
             FROM read_parquet('{path}')
             WHERE "at" <= TIMESTAMP '{s}'),
found AS (SELECT customer_id,
  count(*) FILTER (WHERE age < 7) AS n7, count(*) FILTER (WHERE age < 30) AS n30, count(*) FILTER (WHERE age < 90) AS n90,
  count(*) FILTER (WHERE age < 365) AS n365,
  sum(amount) FILTER (WHERE age < 7) AS a7, sum(amount) FILTER (WHERE age < 30) AS a30,
  sum(amount) FILTER (WHERE age < 90) AS a90,
  sum(amount) FILTER (WHERE age < 365) AS a365,
  avg(amount) FILTER (WHERE age < 30) AS m30, avg(amount) FILTER (WHERE age < 90) AS m90,
  avg(amount) FILTER (WHERE age < 365) AS m365,
  max(amount) FILTER (WHERE age < 90) AS x90, max(amount) FILTER (WHERE age < 365) AS x365,
  count(*) FILTER (WHERE age < 90 AND kind = 'a') AS ka, count(*) FILTER (WHERE age < 90 AND kind = 'b') AS kb,
  count(*) FILTER (WHERE age < 90 AND kind = 'c') AS kc,
  min(age) AS last, max(age) AS first, (max(age) - min(age)) / nullif(count(*) - 1, 0) AS gap,
  (count(*) FILTER (WHERE age < 90) - count(*) FILTER (WHERE age >= 90 AND age < 180))
    / nullif(count(*) FILTER (WHERE age < 180), 0) AS trend,
  count(DISTINCT CAST("at" AS DATE)) AS days
  FROM log GROUP BY customer_id),
later AS (SELECT DISTINCT customer_id FROM read_parquet('{path}')
          WHERE "at" > TIMESTAMP '{s}' AND "at" <= TIMESTAMP '{s}' + INTERVAL {horizon} DAY)
SELECT found.*, CASE WHEN later.customer_id IS NULL THEN 'Yes' ELSE 'No' END AS churned
FROM found LEFT JOIN later USING (customer_id) WHERE last < 365 ORDER BY customer_id
) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
"""


def log(path: Path, events: int) -> None:
    """A log of 18 months: 50 events a customer, some far busier than others."""
    import duckdb

    customers = max(events // 50, 1)
    start, seconds = "TIMESTAMP '2023-01-01'", 546 * 86400
    rows = f"""SELECT CAST({customers} * power(random(), 1.5) AS INTEGER) AS customer_id,
        {start} + to_seconds(CAST(random() * {seconds} AS BIGINT)) AS at,
        round(random() * 100, 2) AS amount, ['a', 'b', 'c'][1 + CAST(floor(random() * 3) AS INTEGER)] AS kind
        FROM range({events})"""
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")


def ours(path: str, out: str) -> None:
    """The description's statement."""
    from churn.data.events import on_duckdb, staging, views
    from churn.settings import core
    from churn.settings.dataset import Dataset

    text = DESCRIPTION.format(path=path, horizon=HORIZON, dates=", ".join(f"{moment:%Y-%m-%d}" for moment in MOMENTS))
    dataset = core.parse(Dataset, text, "bench.toml")
    with on_duckdb.connected(Path(out)) as connection:
        staged = {"log": staging.stage(dataset, "log", None, Path(out), connection)}
        begin = (time.perf_counter(), time.process_time())
        lineage = views.make(connection, dataset, staged, datetime(2025, 1, 1))
        divided = on_duckdb.divide(connection, dataset, lineage, Path(out))
        for moment in MOMENTS:
            on_duckdb.write_moment(connection, *divided, moment, Path(out, f"{moment:%Y%m%d}.parquet"))
        print(json.dumps(_used(begin)))


def by_hand(path: str, out: str) -> None:
    """The same, as somebody who knows SQL would write it."""
    import duckdb

    with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": f"{out}/spill"}) as connection:
        connection.execute("SET preserve_insertion_order = false")
        begin = (time.perf_counter(), time.process_time())
        for moment in MOMENTS:
            target = f"{out}/{moment:%Y%m%d}.parquet"
            connection.execute(BY_HAND.format(s=moment, path=path, out=target, horizon=HORIZON))
        print(json.dumps(_used(begin)))


def _used(begin: tuple[float, float]) -> dict[str, float]:
    wall, cpu = time.perf_counter() - begin[0], time.process_time() - begin[1]
    return {"seconds": wall, "cpu": cpu, "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def _ratio(ours: dict[str, float], hand: dict[str, float], what: str) -> str:
    return f"{ours[what] / hand[what]:.2f}"


def measured(side: str, path: Path, out: Path) -> dict[str, float]:
    """Seconds, of the clock and of the CPUs, and peak memory (GB) of a process of its own."""
    out.mkdir()
    words = [sys.executable, __file__, "--side", side, str(path), str(out)]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(said.stdout)
    return found


def compared(path: Path, folder: Path, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """By hand and ours, in turn: the least seconds of so many rounds, and the most memory."""
    taken: dict[str, list[dict[str, float]]] = {"by_hand": [], "ours": []}
    for _ in range(rounds):
        for side, runs in taken.items():
            runs.append(measured(side, path, folder / side))
            shutil.rmtree(folder / side)
    hand, ours = (
        {what: (max if what == "gigabytes" else min)(run[what] for run in runs) for what in runs[0]}
        for runs in taken.values()
    )
    return hand, ours


SIDES = {"ours": ours, "by_hand": by_hand}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side", choices=("ours", "by_hand"))
    parser.add_argument("places", nargs="*")
    options = parser.parse_args()
    if options.side:
        SIDES[options.side](*options.places)
        return
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2] / "flows")
    for events in sorted({max(options.events // 4, 1), options.events}):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "log.parquet")
            log(path, events)
            hand, ours = compared(path, Path(folder), options.rounds)
        print(
            f"{events:,} events, {events // 50:,} customers, {len(MOMENTS)} snapshots, 20 aggregates: "
            f"{ours['cpu'] / events * 1e6:.2f} us of CPU an event, {ours['seconds']:.1f} s; by hand {hand['seconds']:.1f} s: "
            f"{_ratio(ours, hand, 'seconds')} x the time, "
            f"{_ratio(ours, hand, 'cpu')} x the CPU; peak memory {ours['gigabytes']:.2f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
