"""Nobody gets synthetic customers unless their data set says how, and then a run says so."""

from pathlib import Path

import pytest
from churn.data import snapshots, sources
from churn.errors import ChurnError
from churn.registry import synthetic_notice
from churn.registry.model_registry import Registered
from churn.settings.core import parse
from churn.settings.data import DataConfig, File, Source, Synthetic
from churn.settings.dataset import Dataset, from_dump
from conftest import ROOT

SYNTHETIC = Synthetic(kind="synthetic", rows=1000)
REAL = File(kind="file", path="join.csv")


@pytest.mark.parametrize(("caller", "way"), [("make", "make run DATASET=telco SOURCE=FILE"), ("", "--source FILE")])
@pytest.mark.parametrize("configured", [(SYNTHETIC,), (REAL, SYNTHETIC)], ids=["alone", "beside a file"])
def test_without_a_table_to_generate_them_by_a_file_is_asked_for(
    telco: Dataset,
    configured: tuple[Source, ...],
    caller: str,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("CHURNFLOW_CALLER", caller)
    bare = telco.model_copy(update={"synthetic": {}})
    with pytest.raises(ChurnError, match=r"data set 'telco': .*no \[synthetic\] table") as error:
        sources.choose(configured, "", bare, "run")
    assert str(error.value).endswith(way)
    assert "\n" not in str(error.value)
    own = str(tmp_path / "own.csv")
    with pytest.raises(ChurnError, match="no such file"):
        sources.choose(configured, own, bare, "run")
    Path(own).touch()
    assert sources.choose(configured, own, bare, "run") == [File(kind="file", path=own)]
    assert sources.choose([REAL], "", bare, "run") == [REAL]
    assert sources.choose(configured, "", telco, "run") == list(configured)


def test_the_line_says_what_is_synthetic_and_how_to_use_ones_own(
    telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURNFLOW_CALLER", "make")
    lines = [
        synthetic_notice.sources([SYNTHETIC], "telco", "run"),
        synthetic_notice.data_version("v", "telco", True),
        synthetic_notice.model(Registered("m", "3", "run", {"synthetic": "True"}), "telco"),
    ]
    for line in lines:
        assert line.startswith("Synthetic customers, none of yours: ")
        assert line.endswith("For yours: make run DATASET=telco SOURCE=FILE")
    assert not synthetic_notice.sources([REAL], "telco", "run")
    assert not synthetic_notice.data_version("v", "telco", False)
    assert not synthetic_notice.model(Registered("m", "3", "run", {"synthetic": "False"}), "telco")


def test_the_services_examples_need_no_table(telco: Dataset) -> None:
    from churn.data import synthetic
    from churn.serving import packaging

    bare = telco.model_copy(update={"synthetic": {}})
    assert (
        len(packaging.json_rows(bare, synthetic.generate(bare, packaging.EXAMPLES, packaging.SEED)))
        == packaging.EXAMPLES
    )


def test_what_earlier_releases_called_it_is_still_read(telco: Dataset) -> None:
    text = (ROOT / "config" / "datasets" / "telco.toml").read_text()
    assert parse(Dataset, text.replace("[synthetic]", "[generate]"), "telco.toml") == telco
    (source,) = parse(DataConfig, '[[source]]\nkind = "generate"\nrows = 1000', "data.toml").source
    assert source == SYNTHETIC
    old = (ROOT / "tests/fixtures/old_store/dvc-remote/files/md5/bb/e271542405646921f81c2118887dc9").read_bytes()
    described = snapshots.read_description(old, "v")
    assert described["synthetic"] is False
    assert from_dump(described["dataset"]).synthetic.keys() == telco.synthetic.keys()
    assert synthetic_notice.learned_from_synthetic(Registered("m", "3", "run", {"made_up": "True"}))
    assert not synthetic_notice.learned_from_synthetic(Registered("m", "3", "run", {"made_up": "False"}))
