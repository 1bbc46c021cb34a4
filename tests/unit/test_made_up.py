"""Nobody's customers are made up unless their data set says how, and where they are, it is said."""

from pathlib import Path

import pytest
from churn.data import sources
from churn.errors import ChurnError
from churn.registry import made_up
from churn.registry.model_registry import Registered
from churn.settings.data import File, Generate, Source
from churn.settings.dataset import Dataset

GENERATED = Generate(kind="generate", rows=1000)
REAL = File(kind="file", path="join.csv")


@pytest.mark.parametrize(("caller", "way"), [("make", "make run DATASET=telco SOURCE=FILE"), ("", "--source FILE")])
@pytest.mark.parametrize("configured", [(GENERATED,), (REAL, GENERATED)], ids=["alone", "beside a file"])
def test_without_a_table_to_make_them_up_by_a_file_is_asked_for(
    telco: Dataset,
    configured: tuple[Source, ...],
    caller: str,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("CHURNFLOW_CALLER", caller)
    bare = telco.model_copy(update={"generate": {}})
    with pytest.raises(ChurnError, match=r"data set 'telco': .*no \[generate\] table") as error:
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


def test_the_line_says_what_is_made_up_and_how_to_use_ones_own(telco: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_CALLER", "make")
    lines = [
        made_up.sources([GENERATED], "telco", "run"),
        made_up.data_version("v", "telco", True),
        made_up.model(Registered("m", "3", "run", {"made_up": "True"}), "telco"),
    ]
    for line in lines:
        assert line.startswith("Made-up customers, none of yours: ")
        assert line.endswith("For yours: make run DATASET=telco SOURCE=FILE")
    assert not made_up.sources([REAL], "telco", "run")
    assert not made_up.data_version("v", "telco", False)
    assert not made_up.model(Registered("m", "3", "run", {"made_up": "False"}), "telco")


def test_the_services_examples_need_no_table(telco: Dataset) -> None:
    from churn.data import synthetic
    from churn.serving import packaging

    bare = telco.model_copy(update={"generate": {}})
    assert (
        len(packaging.json_rows(bare, synthetic.generate(bare, packaging.EXAMPLES, packaging.SEED)))
        == packaging.EXAMPLES
    )
