"""`make predict` and the page read every file that `make run` reads, into the rows that training would have seen."""

import io
from typing import Any

import pandas as pd
import pytest
from churn.data import synthetic
from churn.data.casting import cast
from churn.errors import ChurnError
from churn.serving import customer_file, packaging
from churn.settings.dataset import Dataset


@pytest.fixture(scope="module")
def customers(telco: Dataset) -> pd.DataFrame:
    return synthetic.generate(telco, 20, seed=5)


def _bytes(frame: pd.DataFrame, **dress: Any) -> bytes:
    return frame.to_csv(index=False, **dress).encode()


def _workbook(frame: pd.DataFrame) -> bytes:
    packed = io.BytesIO()
    frame.to_excel(packed, index=False)
    return packed.getvalue()


def test_every_form_of_a_file_gives_the_same_rows(customers: pd.DataFrame, telco: Dataset) -> None:
    fields = list(telco.raw)
    expected = packaging.json_rows(telco, cast(customers, telco)[0])
    forms = {
        "comma": _bytes(customers),
        "tab": _bytes(customers, sep="\t"),
        "semicolon, UTF-16": _bytes(customers, sep=";").decode().encode("utf-16"),
        "comma at the end": _bytes(customers).replace(b"\n", b",\n"),
        "Excel": _workbook(customers),
        "Parquet": customers.to_parquet(),
    }
    for form, data in forms.items():
        found = customer_file.parse(data, "f", telco, fields)
        assert found.rows == expected, form
        assert found.header == list(customers), form
        assert found.cells[3][5] == str(customers.tenure[3]), form


def test_decimal_commas_and_words_for_missing_are_those_of_the_description(
    customers: pd.DataFrame, telco: Dataset
) -> None:
    dataset = telco.model_copy(update={"decimal": ",", "missing_values": ("?",)})
    frame = customers.assign(TotalCharges=["?", *customers.TotalCharges.astype("object")[1:]])
    found = customer_file.parse(_bytes(frame, sep=";", decimal=","), "f", dataset, list(telco.raw))
    assert found.rows[0]["TotalCharges"] is None
    assert [row["MonthlyCharges"] for row in found.rows] == customers.MonthlyCharges.tolist()


def test_repeated_header_lines_are_no_customers(customers: pd.DataFrame, telco: Dataset) -> None:
    lines = _bytes(customers).splitlines(keepends=True)
    found = customer_file.parse(b"".join([*lines[:5], lines[0], *lines[5:], lines[0]]), "f", telco, list(telco.raw))
    assert found.rows == customer_file.parse(_bytes(customers), "f", telco, list(telco.raw)).rows
    assert found.numbers == [1, 2, 3, 4, *range(6, 22)], "as the lines of the file"
    assert found.notes == ("f: left out: repeated header lines (2)",)


def test_what_is_not_of_its_type_stays_for_the_service_to_name(customers: pd.DataFrame, telco: Dataset) -> None:
    frame = customers.assign(tenure=["two", *customers.tenure.astype("object")[1:]])
    found = customer_file.parse(_bytes(frame), "f", telco, list(telco.raw))
    assert found.rows[0]["tenure"] == "two"
    assert [row["tenure"] for row in found.rows[1:]] == customers.tenure[1:].tolist()


def test_a_column_that_is_not_there_is_named_unless_it_may_be_missing(customers: pd.DataFrame, telco: Dataset) -> None:
    with pytest.raises(ChurnError, match="f: no column tenure; the service needs it for every customer"):
        customer_file.parse(_bytes(customers.drop(columns="tenure")), "f", telco, list(telco.raw))
    (optional,) = [name for name, column in telco.raw.items() if column.missing]
    found = customer_file.parse(_bytes(customers.drop(columns=optional)), "f", telco, list(telco.raw))
    assert optional not in found.rows[0]
