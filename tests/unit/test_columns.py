"""A batch by column is the batch by row: the same values, the same refusals, and nothing else gets in."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from churn.data import casting, synthetic
from churn.errors import ChurnError
from churn.serving import client, packaging
from churn.serving.batches.columns import Batches
from churn.serving.request import InputSettings, Reader, Rejected
from churn.settings.dataset import Dataset, from_dump
from conftest import TELCO

from tests.bench import fuzz

# As text, so that both forms hold the same bytes.
CELLS = (
    "null", "true", "false", "-1", "0", "12", "12.0", "1.5", "12.000000001", "1e400", "-1e-400", "1" + "0" * 400, "999", "1e39",
    '""', '" "', '"x"', '"12"', '"One year"', '" ONE\\u00a0 year "', '"12 Months"', '"NA"', '"nyc"', '"\\u0000"',
    '"' + "x" * 201 + '"', "[]", "[1]", "{}", '{"a": [1, 2]}',
)  # fmt: skip
TOWNS = {
    "name": "towns", "fold_case": True, "missing_values": ["NA"],
    "columns": {
        "key": {"role": "id"},
        "plan": {"values": ["One year", "Monthly"], "aliases": {"12 months": "One year"}, "missing": True},
        "town": {"aliases": {"NYC": "New York"}},
        "visits": {"type": "integer", "min": 0, "max": 240, "missing": True},
        "left": {"role": "target", "values": ["no", "yes"], "positive": "yes"},
    },
}  # fmt: skip
LENIENT = InputSettings(unknown_category="unseen", out_of_range="flag")


def by_row(rows: list[dict[str, str]]) -> bytes:
    cells = [", ".join(f"{json.dumps(name)}: {cell}" for name, cell in row.items()) for row in rows]
    return f'{{"rows": [{", ".join(f"{{{row}}}" for row in cells)}]}}'.encode()


def by_column(rows: list[dict[str, str]]) -> bytes:
    columns = [f"{json.dumps(name)}: [{', '.join(row[name] for row in rows)}]" for name in rows[0]]
    return f'{{"columns": {{{", ".join(columns)}}}}}'.encode()


def found(batches: Batches, body: bytes) -> Any:
    """The values and their warnings, or the refusal."""
    try:
        values = batches.read(body).values
    except Rejected as error:
        return error.status, error.message, [problem.as_json() for problem in error.problems]
    return values, [(p.field, p.reason, p.value, p.row) for p in batches._reader.warnings(values)]


def cells(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{name: json.dumps(value) for name, value in row.items()} for row in rows]


@pytest.fixture(scope="module")
def customers(telco: Dataset) -> list[dict[str, str]]:
    """The real customers where they are at hand, else synthetic ones."""
    table = synthetic.generate(telco, 3000, seed=3)
    if TELCO.is_file():
        table = casting.cast(pd.read_csv(TELCO, dtype=str, keep_default_na=False), telco)[0]
    return cells(packaging.json_rows(telco, table))


def test_every_customer_is_read_the_same(telco: Dataset, customers: list[dict[str, str]]) -> None:
    batches = Batches(Reader(telco, InputSettings(), most_rows=10_000))
    values, warnings = found(batches, by_column(customers))
    assert (values, warnings) == found(batches, by_row(customers))
    assert {len(column) for column in values.values()} == {len(customers)}
    assert list(values) == list(telco.raw)
    assert batches.read(by_column(customers[:2])).by_column
    assert not batches.read(by_row(customers[:2])).by_column


def damaged(rng: random.Random, rows: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    """Batches of which a few cells, of one or of several rows, are any JSON value, or a column is renamed or absent."""
    for _ in range(400):
        batch = [dict(row) for row in rng.sample(rows, rng.randrange(1, 6))]
        for _ in range(rng.randrange(1, 4)):
            rng.choice(batch)[rng.choice(list(batch[0]))] = rng.choice(CELLS)
        if rng.random() < 0.2:
            name = rng.choice(list(batch[0]))
            renamed = rng.choice(["", name.lower(), "ä", "\x00"])
            batch = [{(renamed or n) if n == name else n: v for n, v in row.items()} for row in batch]
        if rng.random() < 0.1:
            absent = rng.choice(list(batch[0]))
            batch = [{n: v for n, v in row.items() if n != absent} for row in batch]
        yield batch


@pytest.mark.parametrize("settings", [InputSettings(), LENIENT], ids=["strict", "lenient"])
def test_whatever_a_cell_holds_is_taken_or_refused_as_in_a_row(
    settings: InputSettings, telco: Dataset, customers: list[dict[str, str]]
) -> None:
    rng, towns = random.Random(5), from_dump(TOWNS)
    some = [{"key": f'"k{i}"', "plan": '"Monthly"', "town": '"rome"', "visits": str(i)} for i in range(20)]
    outcomes = set()
    for dataset, rows in ((telco, customers), (towns, some)):
        batches = Batches(Reader(dataset, settings, 5, with_id=True, most_bytes=2000))
        for batch in damaged(rng, rows):
            expected, given = found(batches, by_row(batch)), found(batches, by_column(batch))
            if expected[0] == 400:  # the parser names the place in the text
                assert given[0] == 400
            else:
                assert given == expected, batch
            outcomes.add(expected[0] if isinstance(expected[0], int) else 200)
    assert {200, 422} <= outcomes


def test_the_first_invalid_row_is_named_with_all_of_its_problems(
    telco: Dataset, customers: list[dict[str, str]]
) -> None:
    rows = [dict(row) for row in customers[:9]]
    rows[8]["tenure"] = '"x"'
    rows[4] |= {"Contract": '"Weekly"', "MonthlyCharges": "-1"}
    status, message, problems = found(Batches(Reader(telco, InputSettings(), 9)), by_column(rows))
    assert (status, message) == (422, "row 4 has 2 problems")
    assert [(p["field"], p["reason"], p["value"], p["row"]) for p in problems] == [
        ("Contract", "category", "Weekly", 4), ("MonthlyCharges", "range", -1, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"columns": []}', 422, "rows"),
        (b'{"columns": null}', 422, "rows"),
        (b'{"columns": {"town": ["rome"]}, "rows": []}', 422, "rows"),
        (b'{"columns": {"town": ["rome"]}, "more": 1}', 422, "rows"),
        (b'{"columns": {}}', 422, "town"),
        (b'{"columns": {"town": []}}', 422, "rows"),
        (b'{"columns": {"town": [' + b'"rome", ' * 5 + b'"rome"]}}', 422, "rows"),
        (b'{"columns": {"town": ["rome", "rome"], "plan": [null]}}', 422, "plan"),
        (b'{"columns": {"town": ["rome"], "plan": ["Monthly", "Monthly"]}}', 422, "plan"),
        (b'{"columns": {"town": "rome"}}', 422, "town"),
        (b'{"columns": {"town": {"0": "rome"}}}', 422, "town"),
        (b'{"columns": {"town": null}}', 422, "town"),
        (b'{"columns": {"town": [["rome"]]}}', 422, "town"),
        (b'{"columns": {"town": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}}", 400, "body"),
        (b'{"columns": {"town": [' + b"[" * 300 + b"]" * 300 + b"]}}", 400, "body"),
        (b'{"columns": {"town": ["rome"], "towm": 5}}', 422, "towm"),
        (b'{"columns": {"town": ["rome"], "visits": [true]}}', 422, "visits"),
        (b'{"columns": {"town": ["rome"], "visits": ["1"]}}', 422, "visits"),
        (b'{"columns": {"town": ["rome"', 400, "body"),
        (b'{"columns": {"town": ["rome"]}} {}', 400, "body"),
        (b'{"columns": {"town": ["ro\xffme"]}}', 400, "body"),
        (b'{"columns": {"town": ["\\ud800"]}}', 400, "body"),
        (b'{"columns": {"to\xefwn": ["rome"]}}', 400, "body"),
        (b'{"columns": {"town": [NaN]}}', 400, "body"),
        (b'{"columns": {"town": ' + b"[" * 100_000 + b"}}", 400, "body"),
        (b'{"columns": {"town": ["rome"], "visits": [1' + b"0" * 10_000 + b"]}}", 400, "body"),
        (b'{"columns": {"' + b"x" * 3000 + b'": ["rome"]}}', 413, "body"),
        (b'{"columns": {"town": [' + b"0," * 5_000_000 + b"0]}}", 413, "body"),
        (b"ARROW1\0\0\xff\xff\xff\xff", 400, "body"),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else str(value),
)
def test_what_is_no_batch_by_column_is_one_refusal(body: bytes, status: int, field: str) -> None:
    found_status, message, problems = found(
        Batches(Reader(from_dump(TOWNS), InputSettings(), 5, most_bytes=2000)), body
    )
    assert found_status == status
    assert problems[0]["field"] == field
    assert len(message) < 300
    assert "\n" not in message


def test_of_a_name_given_twice_the_last_counts() -> None:
    batches = Batches(Reader(from_dump(TOWNS), InputSettings(), 5))
    twice = b'{"columns": {"town": [5, 5], "town": ["rome"]}}'
    assert batches.read(twice).values == {"plan": [None], "town": ["rome"], "visits": [None]}


def test_flipped_bits_and_cut_bodies_are_read_or_refused(telco: Dataset, customers: list[dict[str, str]]) -> None:
    rng, batches = random.Random(9), Batches(Reader(telco, InputSettings(), 5))
    whole = by_column(customers[:5])
    for _ in range(500):
        body = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.2 else whole)
        for _ in range(rng.randrange(1, 4)):
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        outcome = found(batches, bytes(body))
        assert len(outcome) == 2 or outcome[0] in (400, 413, 422)


def test_no_fuzzed_body_breaks_the_reader(telco: Dataset) -> None:
    """Those of ``make fuzz``, which found what nested too deeply."""
    rng, batches, examples = random.Random(1), Batches(Reader(telco, InputSettings(), 5)), packaging.examples(telco)
    for _ in range(10_000):
        outcome = found(batches, fuzz.body(rng, examples))
        assert len(outcome) == 2 or outcome[0] in (400, 413, 422)


@pytest.mark.parametrize("kind", ["names", "cells", "wrong"])
def test_a_large_refusal_takes_no_longer_than_a_large_batch(kind: str, telco: Dataset) -> None:
    """Not an error for each value: a third of a second would pass before others are answered."""
    batches = Batches(Reader(telco, InputSettings(), 10_000))
    columns: dict[str, list[Any]] = {name: ["wrong"] * 10_000 for name in telco.raw}
    if kind == "names":
        columns = {f"x{i}": [1] for i in range(400_000)}
    elif kind == "cells":
        columns |= {"tenure": [1] * 500_000}
    body = json.dumps({"columns": columns}).encode()
    begun = time.process_time()
    assert found(batches, body)[0] in (413, 422)
    assert time.process_time() - begun < 0.4


def test_the_modules_of_a_batch_are_packed(tmp_path: Path) -> None:
    context = packaging._context(tmp_path, "churn_model:v1", {})
    assert (context / "churn/serving/batches/columns.py").is_file()
    assert (context / "bento/scoring/scored.py").is_file()


@pytest.mark.parametrize("offers", [{"batches": ["rows", "columns"]}, {}], ids=["this release", "an earlier one"])
def test_make_predict_sends_columns_where_the_service_takes_them(
    offers: dict[str, Any], telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, batches = tmp_path / "five.csv", Batches(Reader(telco, InputSettings(), 2))
    table = synthetic.generate(telco, 5, seed=1)
    sent = []

    def ask(url: str, body: Any = None, key: str = "") -> Any:
        if body is None:
            schema = {"properties": dict.fromkeys(telco.raw)}
            return {"dataset": telco.model_dump(mode="json"), "schema": schema, "limits": {"rows": 2}, **offers}
        sent.append(next(iter(body)))
        try:
            tenure = batches.read(json.dumps(body).encode()).values["tenure"]
        except Rejected as error:
            problems = [problem.as_json() for problem in error.problems]
            raise client.Refused(url, {"error": error.message, "problems": problems}) from None
        answer = {"probability": tenure, "decision": [True] * len(tenure), "prediction_id": [str(t) for t in tenure]}
        by_row = [dict(zip(answer, values, strict=True)) for values in zip(*answer.values(), strict=True)]
        return answer if sent[-1] == "columns" else by_row

    monkeypatch.setattr(client, "ask", ask)
    table.to_csv(file, index=False)
    ranked, _ = client.rank(file, "http://service")
    assert sent == ["columns" if offers else "rows"] * 3
    assert ranked["probability"].tolist() == sorted(table["tenure"], reverse=True)
    assert ranked["prediction_id"].tolist() == [str(p) for p in ranked["probability"]]
    table.assign(tenure=[1, 2, 3, 999, 5]).to_csv(file, index=False)
    with pytest.raises(ChurnError, match=r"five\.csv, row 4: column tenure is 999"):
        client.rank(file, "http://service")
