"""Strict settings: what is wrong is named with file, key and reason; what ships is right."""

import pytest
from churn.errors import ChurnError
from churn.settings import core
from churn.settings.data import DataConfig
from churn.settings.dataset import Dataset, from_dump, require_name
from churn.settings.train import TrainConfig
from churn.training import estimators
from conftest import ROOT

COLUMNS = """
name = "small"
[columns.left]
role = "target"
values = ["no", "yes"]
positive = "yes"
[columns.age]
type = "integer"
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[source]]\nkind = 'synthetic'\nrowz = 3", "f.toml: unknown key 'source.0.rowz'"),
        ("[[source]]\nkind = 'ftp'", "f.toml: source.0: Input tag 'ftp' found using 'kind'"),
        (
            "[[source]]\nkind = 'synthetic'\nrows = '3'",
            "f.toml: source.0.rows: Input should be a valid integer (got '3')",
        ),
        (
            "[[source]]\nkind = 'synthetic'\n[split]\nholdout = 1.5",
            "f.toml: split.holdout: Input should be less than 1 (got 1.5)",
        ),
        ("", "f.toml: key 'source' is missing"),
        ("rows = = 3", "f.toml: not valid TOML"),
    ],
)
def test_a_bad_data_config_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ChurnError) as error:
        core.parse(DataConfig, text, "f.toml")
    assert reason in str(error.value)


SEARCHED = """
[[model]]
name = "forest"
estimator = "sklearn.ensemble.RandomForestClassifier"
search = { max_depth = { low = 2, high = 5, integer = true }, max_features = ["sqrt", 0.3], ccp_alpha = { low = 0, high = 1 } }
start = [{ %s }]
"""


@pytest.mark.parametrize("start", ["max_depth = 2", "max_depth = 5, max_features = 'sqrt', ccp_alpha = 1"])
def test_a_start_that_the_search_may_try_is_taken(start: str) -> None:
    assert core.parse(TrainConfig, SEARCHED % start, "f.toml").model[0].start


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ("max_deepth = 3", "max_deepth = 3, but [model.search] has only max_depth, max_features, ccp_alpha"),
        ("max_depth = 6", "forest: start has max_depth = 6, but [model.search] has low=2.0 high=5.0"),
        ("max_depth = 2.5", "start has max_depth = 2.5"),
        ("max_depth = true", "start has max_depth = True"),
        ("ccp_alpha = 'small'", "start has ccp_alpha = 'small'"),
        ("max_features = 'log2'", "start has max_features = 'log2', but [model.search] has ('sqrt', 0.3)"),
    ],
)
def test_a_start_that_the_search_would_never_try_is_refused(start: str, reason: str) -> None:
    with pytest.raises(ChurnError) as error:
        core.parse(TrainConfig, SEARCHED % start, "f.toml")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[columns.x]\ntype = 'number'\nvalues = ['a']", "'values' goes with type 'category'"),
        ("[columns.x]\ntype = 'number'\nmin = 3\nmax = 2", "min 3 is above max 2"),
        ("[columns.x]\nmin = 3", "'min' and 'max' go with"),
        (
            "[columns.x]\nrole = 'target'\nvalues = ['a', 'b']\npositive = 'a'",
            "one column may have the role 'target', not 2",
        ),
        ("[columns.x]\nrole = 'target'", "'positive' must be given for the target"),
        ("[columns.x]\nrole = 'id'\nmissing = true", "missing = true does not go with the role 'id'"),
        (
            "[columns.x]\nrole = 'time'\ntype = 'timestamp'\nmissing = true",
            "missing = true does not go with the role 'time'",
        ),
        ("[columns.x]\nleave_out = ['a']", "'leave_out' goes with the target"),
        ("[columns.x]\nunit = '$'", "'unit' and 'negative' go with type 'integer' or 'number'"),
        ("[columns.x]\ntype = 'number'\nformat = '%d.%m.%Y'", "'format' goes with type 'timestamp'"),
        (
            "[columns.x]\nrole = 'time'\ntype = 'timestamp'\nformat = 'DD.MM.YYYY'",
            "columns.x.format: String should match",
        ),
        ("[columns.x]\ntype = 'number'\nthousands = '.'", "'decimal' and 'thousands' are the same mark"),
        ("[columns.x]\nrole = 'id'\naliases = {a = 'b'}", "'aliases' goes with type 'category'"),
        (
            "[columns.x]\nvalues = ['a', 'b']\naliases = {c = 'd'}",
            "'aliases': 'd', for 'c', is not one of the 'values'",
        ),
        ("[columns.x]\nvalues = ['a', 'b']\naliases = {A = 'b'}", "'aliases': a spelling, or one that differs only in"),
        ("[columns.x]\naliases = {a = 'b', A = 'c'}", "'aliases': a spelling, or one that differs only in"),
        ("[features.y]\nexpression = 'agge + 1'", "features.y: 'agge + 1': unknown column 'agge'"),
        ("[features.y]\nexpression = 'left + 1'", "unknown column 'left'"),
        ("[synthetic]\nage = 'open(3)'", "synthetic.age: 'open(3)': unknown function 'open'"),
    ],
)
def test_a_bad_data_set_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ChurnError) as error:
        core.parse(Dataset, COLUMNS + text, "f.toml")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (
            "values = ['no', 'yes']\npositive = 'yes'\nmissing = true",
            "rows without an outcome are left out of training",
        ),
        ("values = ['no']\npositive = 'no'", "the target needs two 'values' or more"),
        (
            "values = ['no', 'yes']\npositive = ['no', 'yes']",
            "'positive' must be one of them, or a list of some of them",
        ),
        ("values = ['no', 'yes']\npositive = 'maybe'", "'positive' must be one of them, or a list of some of them"),
        (
            "values = ['no', 'yes']\npositive = 'yes'\nleave_out = ['YES']",
            "'leave_out': 'YES' is one of the 'values' too",
        ),
    ],
)
def test_a_bad_target_is_refused(keys: str, reason: str) -> None:
    with pytest.raises(ChurnError) as error:
        core.parse(
            Dataset, f"name = 'small'\n[columns.x]\ntype = 'number'\n[columns.y]\nrole = 'target'\n{keys}", "f.toml"
        )
    assert reason in str(error.value)


def test_a_description_of_an_earlier_release_is_still_read() -> None:
    """Its keys mean what they meant; and what it recommended wrongly, a target that may be missing, stops no old model."""
    columns = {
        "x": {"type": "category"},
        "y": {"role": "target", "values": ["no", "yes"], "positive": "yes", "missing": True},
    }
    found = from_dump({"name": "old", "decimal": ",", "missing_values": ["NA"], "columns": columns})
    assert (found.positive, found.negative, found.columns["y"].missing, found.fold_case) == ("yes", "no", False, False)
    assert found.spellings("x").level("Vienna") == "Vienna"
    assert from_dump(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(("name", "better"), [("My-Bank", "my_bank"), ("2 banks ", "banks"), ("", "customers")])
def test_what_cannot_be_a_name_comes_with_one_that_can(name: str, better: str) -> None:
    with pytest.raises(ChurnError, match=f"'{name}' cannot be a data set's name: .*; for example {better}$"):
        require_name(name)
    require_name(better)


def test_a_missing_config_file_is_named() -> None:
    with pytest.raises(ChurnError, match=r"nowhere\.toml: no such config file"):
        core.load(DataConfig, "nowhere.toml")


def test_what_ships_is_valid() -> None:
    core.load(DataConfig, ROOT / "config" / "data.toml")
    estimators.check(core.load(TrainConfig, ROOT / "config" / "train.toml"), "train.toml")
    estimators.check(core.load(TrainConfig, ROOT / "tests" / "quick_train.toml"), "quick_train.toml")


def test_what_the_comments_offer_is_valid() -> None:
    text = (ROOT / "config" / "train.toml").read_text(encoding="utf-8")
    head, block = text.split("# [value]\n")
    offered = "".join(line.removeprefix("# ") for line in block.partition("\n\n")[0].splitlines(keepends=True))
    settings = core.parse(TrainConfig, head.replace("# seconds", "seconds") + "[value]\n" + offered + "\n"
                            + block.partition("\n\n")[2], "train.toml")  # fmt: skip
    assert settings.value is not None
    assert settings.value.margin_column == "MonthlyCharges"
    assert settings.search.seconds == 600
