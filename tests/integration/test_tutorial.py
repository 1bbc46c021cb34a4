"""docs/tutorial.md from its first command to its last, as a newcomer types them."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

TEXT = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_command_of_the_tutorial_runs(tmp_path: Path) -> None:
    lines = [
        line for block in BLOCKS for line in block.splitlines() if not line.startswith("make cards")
    ]  # that one serves until it is stopped
    script = "\n".join(["set -e", *lines]).replace(".churnflow/customers.csv", f"{tmp_path}/customers.csv")
    script = script.replace("../churnflow.key", f"{tmp_path}/churnflow.key")
    environ = {**os.environ, "CHURNFLOW_HOME": str(tmp_path / "home")}
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "Champion" in done.stdout
    assert re.search(r"customers have Churn = Yes, so they have left already; remove them", done.stdout)


def test_the_tutorials_first_command_writes_its_customers(tmp_path: Path) -> None:
    script = BLOCKS[0].replace(".churnflow", str(tmp_path))
    subprocess.run(["bash", "-c", script], cwd=ROOT, check=True)
    table = (tmp_path / "customers.csv").read_text().splitlines()
    assert len(table) == 3001
    assert "Churn" in table[0]
