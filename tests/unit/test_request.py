"""What the service lets in: exactly what the JSON Schema says, and every refusal names field, value and what is allowed."""

import json
import time
from typing import Any

import pandas as pd
import pytest
from churn.data import casting, synthetic
from churn.serving import packaging, request
from churn.serving.request import InputSettings, Problem, Reader, Rejected
from churn.settings.dataset import Dataset, from_dump


@pytest.fixture(scope="module")
def reader(telco: Dataset) -> Reader:
    return Reader(telco, InputSettings(), most_rows=3)


@pytest.fixture
def customer(telco: Dataset) -> dict[str, Any]:
    return request.example(telco)


def refusal(reader: Reader, body: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        reader.customer(body)
    json.dumps([problem.as_json() for problem in caught.value.problems], allow_nan=False)
    return caught.value


def warnings(reader: Reader, row: dict[str, Any]) -> list[Problem]:
    return reader.warnings({name: [value] for name, value in row.items()})


def test_generated_customers_are_accepted(telco: Dataset) -> None:
    rows = packaging.json_rows(telco, synthetic.generate(telco, 500, seed=1))
    found = Reader(telco, InputSettings(), most_rows=500).customers(json.dumps({"rows": rows}).encode())
    assert found == rows


@pytest.mark.parametrize(
    ("change", "field", "reason", "allowed"),
    [
        ({"tenure": -1}, "tenure", "range", "a whole number at least 0 and at most 240"),
        ({"tenure": 1.5}, "tenure", "type", "a whole number at least 0 and at most 240"),
        ({"tenure": 12.000000001}, "tenure", "type", "a whole number at least 0 and at most 240"),
        ({"tenure": 2.6e-42}, "tenure", "type", "a whole number at least 0 and at most 240"),
        ({"tenure": "12"}, "tenure", "type", "a whole number at least 0 and at most 240"),
        ({"tenure": True}, "tenure", "type", "a whole number at least 0 and at most 240"),
        ({"tenure": None}, "tenure", "type", "a whole number at least 0 and at most 240"),
        ({"tenure": [1]}, "tenure", "type", "a whole number at least 0 and at most 240"),
        ({"tenure": float("nan")}, "tenure", "range", "a whole number at least 0 and at most 240"),
        ({"MonthlyCharges": float("inf")}, "MonthlyCharges", "range", "a number at least 0 and at most 1000"),
        ({"MonthlyCharges": 10**400}, "MonthlyCharges", "range", "a number at least 0 and at most 1000"),
        ({"TotalCharges": "x"}, "TotalCharges", "type", "a number at least 0 and at most 100000, or null"),
        ({"Contract": "Weekly"}, "Contract", "category", "one of: Month-to-month, One year, Two year"),
        ({"Contract": ""}, "Contract", "category", "one of: Month-to-month, One year, Two year"),
        ({"Contract": 5}, "Contract", "category", "one of: Month-to-month, One year, Two year"),
        ({"colour": "red"}, "colour", "unknown_field", "the fields are: gender, "),
    ],
)
def test_a_bad_value_is_named(
    reader: Reader, customer: dict[str, Any], change: dict[str, Any], field: str, reason: str, allowed: str
) -> None:
    error = refusal(reader, json.dumps({**customer, **change}).encode())
    (problem,) = error.problems
    assert (error.status, problem.field, problem.reason) == (422, field, reason)
    assert problem.allowed.startswith(allowed)


def test_missing_misspelt_and_wrong_fields_are_named_together(reader: Reader, customer: dict[str, Any]) -> None:
    customer["tenur"] = customer.pop("tenure")
    customer["gender"] = "x" * 1000
    problems = {p.field: p for p in refusal(reader, json.dumps(customer).encode()).problems}
    assert {name: p.reason for name, p in problems.items()} == {
        "tenure": "missing", "tenur": "unknown_field", "gender": "category",
    }  # fmt: skip
    assert len(problems["gender"].as_json()["value"]) < 300


def test_a_column_that_may_be_missing_may_be_left_out(reader: Reader, customer: dict[str, Any]) -> None:
    del customer["TotalCharges"]
    assert reader.customer(json.dumps(customer).encode())["TotalCharges"] is None


def test_whole_numbers_may_have_a_point(reader: Reader, customer: dict[str, Any]) -> None:
    assert reader.customer(json.dumps({**customer, "tenure": 12.0}).encode())["tenure"] == 12


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"tenure": 1' + b"0" * 10_000 + b"}",
        b"[" * 100_000,
        b'{"gender": "\xc3"}',
        b'"\\ud800"',
    ],
)
def test_what_is_not_json_is_a_400(reader: Reader, body: bytes) -> None:
    assert refusal(reader, body).status == 400


@pytest.mark.parametrize("body", [b"null", b"[]", b"3", b'"text"', b"{}"])
def test_other_json_is_a_422(reader: Reader, body: bytes) -> None:
    assert refusal(reader, body).status == 422


@pytest.mark.parametrize(
    ("rows", "reason"), [([], "rows"), (None, "type"), ([1], "type"), ({"a": 1}, "type"), ("x", "type")]
)
def test_a_batch_needs_a_list_of_customers(reader: Reader, rows: Any, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        reader.customers(json.dumps({"rows": rows}).encode())
    assert (caught.value.status, caught.value.problems[0].reason) == (422, reason)


def test_a_batch_has_a_limit_and_names_the_bad_row(reader: Reader, customer: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        reader.customers(json.dumps({"rows": [customer] * 4}).encode())
    assert (caught.value.problems[0].reason, caught.value.problems[0].allowed) == ("rows", "1 to 3 rows")
    for bad, field in (({**customer, "tenure": 999}, "tenure"), ({**customer, "colour": 1}, "colour")):
        with pytest.raises(Rejected) as caught:
            reader.customers(json.dumps({"rows": [customer, bad, bad]}).encode())
        (problem,) = caught.value.problems
        assert (problem.field, problem.row) == (field, 1)


def test_a_row_of_400_000_fields_is_refused_unread(reader: Reader, customer: dict[str, Any]) -> None:
    wide = {**customer, **{f"k{i}": 1 for i in range(400_000)}}
    del wide["tenure"]
    large = Reader(reader.dataset, InputSettings(), most_rows=10_000)
    body = json.dumps({"rows": [customer, wide]}).encode()
    begun = time.process_time()
    with pytest.raises(Rejected) as caught:
        large.customers(body)
    assert time.process_time() - begun < 0.2
    (problem,) = caught.value.problems
    assert (caught.value.status, problem.reason, problem.row, problem.value) == (413, "size", 1, None)


def test_millions_of_values_are_refused_uncounted(reader: Reader) -> None:
    with pytest.raises(Rejected) as caught:
        reader.customers(b'{"rows":[' + b"[]," * 5_000_000 + b"[]]}")
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[]", 422),
        (b"{}", 422),
        (b'{"rows": [{}], "more": 1}', 422),
        (b'{"rows": [{]}', 400),
        (b'{"rows": [nul]}', 400),
        (b'{"rows": [{"a": "\xff"}]}', 400),
        (b'{"rows": [' + b"[" * 100_000, 400),
        (b'{"rows": [{}]} {}', 400),
        (b"\xff\xfe", 400),
        (b'{"r\xefws": []}', 400),
        (b'{"' + b"x" * 1_000_000 + b'": []}', 422),
    ],
)
def test_what_is_no_batch_is_refused(reader: Reader, body: bytes, status: int) -> None:
    with pytest.raises(Rejected) as caught:
        reader.customers(body)
    assert caught.value.status == status
    assert caught.value.problems
    assert len(caught.value.message) < 300


def test_of_many_problems_the_first_are_named() -> None:
    columns: dict[str, Any] = {f"x{i}": {"type": "number"} for i in range(500)}
    target = {"left": {"role": "target", "values": ["no", "yes"], "positive": "yes"}}
    many = Reader(from_dump({"name": "many", "columns": columns | target}), InputSettings(), most_rows=3)
    error = refusal(many, b"{}")
    assert len(error.problems) == request.MOST_PROBLEMS
    assert error.message == f"the request has 500 problems; the first {request.MOST_PROBLEMS}"


def test_unseen_values_pass_with_a_warning_if_the_settings_say_so(telco: Dataset, customer: dict[str, Any]) -> None:
    lenient = Reader(telco, InputSettings(unknown_category="unseen", out_of_range="flag"), most_rows=3)
    row = lenient.customer(json.dumps({**customer, "Contract": "Weekly", "tenure": 999}).encode())
    assert [(p.field, p.reason, p.value) for p in warnings(lenient, row)] == [
        ("tenure", "range", 999), ("Contract", "category", "Weekly"),
    ]  # fmt: skip
    assert warnings(lenient, lenient.customer(json.dumps(customer).encode())) == []
    with pytest.raises(Rejected):
        lenient.customer(json.dumps({**customer, "tenure": 1e39}).encode())


TOWNS = {
    "name": "towns", "fold_case": True, "missing_values": ["NA"],
    "columns": {
        "plan": {"values": ["One year", "Monthly"], "aliases": {"12 months": "One year"}, "missing": True},
        "town": {"aliases": {"NYC": "New York"}},
        "left": {"role": "target", "values": ["no", "yes"], "positive": "yes"},
    },
}  # fmt: skip


@pytest.mark.parametrize("unknown", ["reject", "unseen"])
@pytest.mark.parametrize(
    ("given", "level"),
    [
        ({"plan": "One year"}, {"plan": "One year"}),
        ({"plan": " ONE\u00a0 year "}, {"plan": "One year"}),
        ({"plan": "12 Months"}, {"plan": "One year"}),
        ({"plan": "NA"}, {"plan": None}),
        ({"town": " Sankt  PÖLTEN"}, {"town": "sankt pölten"}),
        ({"town": "nyc"}, {"town": "New York"}),
    ],
)
def test_a_level_is_read_in_the_spellings_of_training(
    unknown: Any, given: dict[str, str], level: dict[str, Any]
) -> None:
    towns = from_dump(TOWNS)
    row = {"plan": "Monthly", "town": "rome", **given}
    expected = {"plan": "Monthly", "town": "rome", **level}
    reader = Reader(towns, InputSettings(unknown_category=unknown), most_rows=3)
    assert reader.customer(json.dumps(row).encode()) == expected
    assert reader.customers(json.dumps({"rows": [row]}).encode()) == [expected]
    assert warnings(reader, expected) == []
    table = casting.cast(pd.DataFrame([row]), towns)[0].astype("object")
    assert table.where(table.notna(), None).iloc[0].to_dict() == expected


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"plan": "Weekly"}, "plan", "category"),
        ({"plan": 5}, "plan", "category"),
        ({"plan": "x" * 500}, "plan", "category"),
        ({"town": "NA"}, "town", "category"),  # this column is never missing
        ({"town": " \u00a0 "}, "town", "size"),
        ({"town": "x" * 500}, "town", "size"),
        ({"town": 5}, "town", "type"),
    ],
)
def test_what_is_no_level_is_refused(given: dict[str, Any], field: str, reason: str) -> None:
    row = json.dumps({"plan": "Monthly", "town": "rome", **given}).encode()
    (problem,) = refusal(Reader(from_dump(TOWNS), InputSettings(), most_rows=3), row).problems
    assert (problem.field, problem.reason) == (field, reason)


def test_feedback_is_an_id_and_a_boolean(reader: Reader) -> None:
    good = {"prediction_id": "0" * 32, "outcome": True}
    assert reader.feedback(json.dumps(good).encode()) == good
    for bad in ({**good, "outcome": "yes"}, {**good, "prediction_id": "x"}, {**good, "more": 1}, {"outcome": True}, []):
        with pytest.raises(Rejected):
            reader.feedback(json.dumps(bad).encode())


def test_the_customers_id_is_refused_unless_it_is_configured(telco: Dataset, customer: dict[str, Any]) -> None:
    body = json.dumps({**customer, "customerID": "7590-VHVEG"}).encode()
    refusal(Reader(telco, InputSettings(), most_rows=3), body)
    assert Reader(telco, InputSettings(), most_rows=3, with_id=True).customer(body)["customerID"] == "7590-VHVEG"
