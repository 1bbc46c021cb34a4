"""A step that the kernel kills says so."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

FLOW = """
import os, signal, sys
sys.path.insert(0, {flows!r})
import base
from metaflow import step

class KilledFlow(base.Flow):
    @step
    def start(self):
        os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.end)

    @step
    def end(self):
        pass

KilledFlow()
"""


def test_a_step_that_was_killed_names_memory_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "killed_flow.py"
    path.write_text(FLOW.format(flows=str(ROOT / "flows")), encoding="utf-8")
    environ = {**os.environ, "CHURNFLOW_HOME": str(tmp_path / "state")}
    done = subprocess.run([sys.executable, str(path), "run"], env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        "was killed (SIGKILL), as the kernel does when memory runs out: give it more memory"
        in done.stdout + done.stderr
    )
