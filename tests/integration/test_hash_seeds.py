"""Every flow with a join runs where no two processes share a hash seed, as in pods."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import flow

APART = {"CHURNFLOW_WARM": "0", "PYTHONHASHSEED": "random"}  # an interpreter of its own for every step


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data", "score", "monitor", "train"])
def test_branches_in_processes_of_their_own_are_joined(
    name: str, trained: SimpleNamespace, customers_csv: Path, quick_settings: str, tmp_path: Path
) -> None:
    words = {
        "data": ["run", "--source", str(customers_csv)],
        "score": ["run", "--source", str(customers_csv)],
        "monitor": ["run", "--analysis", str(customers_csv)],
        "train": ["--config", "settings", quick_settings, "run", "--data-version", trained.data.data_version],
    }[name]
    if name == "score":
        settings = tmp_path / "score.toml"
        settings.write_text('[[source]]\nkind = "synthetic"\nrows = 50\n[score]\nshard_rows = 500\n')
        words = ["--config", "settings", str(settings), *words]
    done = flow(f"{name}_flow", *words, **APART)
    assert done.returncode == 0, done.stdout
    assert "conflict" not in done.stdout
