"""The target: found by its name and values, in any spelling; what it leaves open is refused with commands that work."""

import shlex
from typing import Any

import numpy as np
import pytest
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.data import Quality
from churn.validation import validation
from described import LEFT, ROWS, customers, decision, of

STATUS = np.where(LEFT, "Churned", np.where(np.arange(ROWS) % 10 == 1, "Joined", "Stayed"))


@pytest.fixture(autouse=True)
def typed_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of these messages typed make."""
    monkeypatch.setenv(commands.CALLER, "make")


def test_a_target_of_several_values_is_refused_with_commands_that_work() -> None:
    frame = customers().drop(columns="Churn").assign(**{"Customer's Status": STATUS})
    with pytest.raises(ChurnError) as refusal:
        of(frame)
    said = str(refusal.value)
    assert "column 'Customer's Status'" in said
    assert "'Stayed' (260), 'Churned' (100), 'Joined' (40)" in said
    typed = [shlex.split(line, comments=True) for line in said.splitlines()[1:]]
    assert [command[:4] for command in typed] == [["make", "dataset", "SOURCE=bank.csv", "NAME=bank"]] * 2
    for command, stayed in zip(typed, ({"Joined", "Stayed"}, {"Stayed"}), strict=True):
        given = dict(word.split("=", 1) for word in command[4:])
        dataset = of(frame, given["TARGET"], given["POSITIVE"], given.get("LEAVE_OUT", "")).dataset
        table = validation.validate(frame, dataset, Quality(), "x.csv").table
        assert dataset.positive == "Churned"
        assert set(dataset.columns["Customer's Status"].values) - {"Churned"} == stayed
        assert (table["Customer's Status"] == "Churned").sum() == LEFT.sum()
        assert len(table) == (ROWS if "Joined" in stayed else ROWS - 40)


@pytest.mark.parametrize(
    ("said", "left", "out"),
    [
        (("status", "churned", "JOINED"), "Churned", ("Joined",)),
        (("  Status ", "Churned,joined", ""), ("Churned", "Joined"), ()),
        (("Status", "", "Joined"), "Churned", ("Joined",)),  # two are left, one of which says so
    ],
)
def test_names_and_values_are_found_in_any_spelling(said: tuple, left: Any, out: tuple) -> None:
    column = of(customers(Churn="Yes").drop(columns="Churn").assign(Status=STATUS), *said).dataset.columns["Status"]
    assert (column.positive, column.leave_out) == (left, out)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (("Statsu",), "there is no column 'Statsu'; did you mean 'Status'?"),
        (("Status", "Gone"), r"holds no 'Gone'; it holds 'Stayed' \(260\)"),
        (("Status", "Churned", "Joined,Stayed"), "holds 3 values"),
        (("Status", "Churned,Joined,Stayed"), "leave no value for customers who stayed"),
        (("Status",), "POSITIVE=Churned LEAVE_OUT=Joined"),
    ],
)
def test_what_cannot_be_the_target_is_said(said: tuple, reason: str) -> None:
    with pytest.raises(ChurnError, match=reason):
        of(customers(Churn="Yes").drop(columns="Churn").assign(Status=STATUS), *said)


def test_a_column_named_for_staying_is_read_so_and_what_was_said_is_noted() -> None:
    left = np.where(LEFT, "0", "1")
    frame = customers(Churn="Yes").drop(columns="Churn").assign(IsActiveMember=left)
    found = of(frame, "IsActiveMember")
    assert found.dataset.positive == "0"
    assert "does '0' mean that the customer left (25.0% of the rows)?" in decision(found, "IsActiveMember")
    assert (
        of(frame.assign(IsActiveMember=np.where(LEFT, "inactive", "active")), "IsActiveMember").dataset.positive
        == "inactive"
    )
    said = of(frame, "IsActiveMember", "1").text
    assert "# as it was said, the customer left where it is '1' (75.0% of the rows)" in said


def test_a_target_of_one_value_is_named() -> None:
    with pytest.raises(ChurnError, match=r"Name one with TARGET=.*; 'Churn' holds 'No' \(400\) only"):
        of(customers(Churn="No"))


@pytest.mark.parametrize("word", ["", "NA", "null"])
def test_rows_without_an_outcome_are_said_and_left_out(word: str) -> None:
    frame = customers(Churn=np.where(np.arange(ROWS) % 10 == 1, word, np.where(LEFT, "1", "0")))
    found = of(frame)
    assert found.left_out == ("rows without an outcome (40)",)
    assert not found.dataset.columns["Churn"].missing
    assert "27.8% of the rows with an outcome" in decision(found, "Churn")
    report = validation.validate(frame, found.dataset, Quality(), "x.csv").report
    assert (report.rows, report.left_out, report.errors) == (360, ("rows without an outcome (40)",), ())
