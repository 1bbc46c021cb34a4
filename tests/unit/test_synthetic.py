"""Synthetic customers look like customers: the documented churn rate and dependencies, and the seed decides."""

import pandas as pd
import pytest
from churn.data import synthetic
from churn.settings import core
from churn.settings.data import Quality
from churn.settings.dataset import Dataset
from churn.validation import validation

UNGUIDED = """
name = "bank"
[columns.Attrition]
role = "target"
values = ["Existing Customer", "Attrited Customer"]
positive = "Attrited Customer"
[columns.age]
type = "integer"
min = 18
max = 90
[columns."Total Amount"]
type = "number"
missing = true
[columns.card]
values = ["Blue", "Gold"]
"""


def test_telco_customers_are_realistic(telco: Dataset) -> None:
    frame = synthetic.generate(telco, 10_000, seed=42)
    churned = frame.Churn == "Yes"
    assert list(frame.columns) == list(telco.columns)
    assert churned.mean() == pytest.approx(0.26, abs=0.02)
    by_contract = churned.groupby(frame.Contract).mean()
    assert by_contract["Month-to-month"] > 2 * by_contract["One year"] > 4 * by_contract["Two year"]
    assert frame.tenure[churned].mean() < 0.7 * frame.tenure[~churned].mean()
    assert frame.MonthlyCharges[churned].mean() > frame.MonthlyCharges[~churned].mean()
    assert (frame.TotalCharges.isna() == (frame.tenure == 0)).all()


def test_the_seed_decides(telco: Dataset) -> None:
    one, same, other = (synthetic.generate(telco, 200, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)


def test_a_data_set_without_expressions_gets_valid_rows_with_both_outcomes() -> None:
    bank = core.parse(Dataset, UNGUIDED, "bank.toml")
    frame = synthetic.generate(bank, 1000, seed=0)
    report = validation.validate(frame, bank, Quality(), "generated").report
    assert not report.errors
    assert 0.2 < (frame.Attrition == "Attrited Customer").mean() < 0.3


def test_an_integer_id_is_numbered() -> None:
    numbered = core.parse(Dataset, UNGUIDED + '[columns.account]\nrole = "id"\ntype = "integer"\n', "bank.toml")
    assert synthetic.generate(numbered, 50, seed=0).account.tolist() == list(range(1, 51))
