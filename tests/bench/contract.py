"""``make contract``: schemathesis against the champion's service and its own OpenAPI document, all of its checks."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import common

COVERED = 700  # cases that schemathesis derives from the document alone, on four endpoints that take a body


def contract(url: str, cases: int, folder: str, *words: str) -> tuple[int, str]:
    """Send about ``cases`` generated requests: how many there were, and schemathesis' report if any check failed, else "".

    ``folder`` takes what Hypothesis keeps. ``words`` are further options, headers for instance.
    """
    each = max(1, (cases - COVERED) // 4)
    tool = str(Path(sys.executable).with_name("schemathesis"))
    command = [tool, "--no-color", "run", f"{url}/docs.json", "--phases", "examples,coverage,fuzzing", "--seed", "1"]
    command += ["--exclude-path", "/read"]  # takes files, which no schema describes (see test_customer_file)
    command += ["--continue-on-failure", "-n", str(each), *words]
    environ = {**os.environ, "PYTHONPATH": str(common.ROOT), "SCHEMATHESIS_HOOKS": "tests.bench.contract_hooks"}
    done = subprocess.run(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    found = re.search(r"(\d+) generated", done.stdout)
    return int(found[1]) if found else 0, done.stdout if done.returncode else ""


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as log,
        common.bento_server.served(common.champion_tag(), CHURNFLOW_PREDICTIONS=log) as url,
    ):
        cases, report = contract(url, int(sys.argv[1]), log)
    sys.exit(report or print(f"{cases} cases, every answer as the OpenAPI document says"))


if __name__ == "__main__":
    main()
