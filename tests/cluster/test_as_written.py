"""docs/deployment.md from an empty cluster to an answer of the service, command by command as it is written there.

CHURNFLOW_TEST_STEPS names the numbered steps to follow, "1 2 3 4 5" where Docker and GitHub are reached; without it the cluster
has been deployed already, and this is skipped. What a person fills in is read from the environment, under the same names.
"""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from clone import clone
from on_cluster import ROOT, Cluster, kubectl

STEPS = os.environ.get("CHURNFLOW_TEST_STEPS", "").split()
CASCADE = ("dataflow", "trainflow", "deployflow")


def written(text: str) -> dict[str, list[str]]:
    """The commands of each numbered step."""
    section = text.partition("## From an empty cluster")[2].partition("\n## ")[0]
    steps = re.findall(r"(?ms)^(\d)\. (.*?)(?=^\d\. |\Z)", section)
    blocks = {number: re.findall(r"(?ms)^   ```\n(.*?)^   ```", body) for number, body in steps}
    return {
        number: [line.strip() for block in found for line in block.splitlines()] for number, found in blocks.items()
    }


def filled(name: str) -> str:
    """The file as a person fills it in: what the environment has for each of its names."""
    names = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    return "".join(f"{one}={os.environ[one]}\n" for one in names if os.environ.get(one))


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Every command of the steps has run in a copy of the repository: when the last one ended."""
    if not STEPS:
        pytest.skip("CHURNFLOW_TEST_STEPS names no step: the cluster has been deployed")
    copy = clone(tmp_path_factory.mktemp("deployment") / "churnflow").root
    for name in ("argo", "terraform"):
        (copy / name).symlink_to(ROOT / name)
    (copy / ".env").write_text(filled(".env.example"), encoding="utf-8")
    script = ["set -eo pipefail"]
    for number in STEPS:
        for command in written((ROOT / "docs" / "deployment.md").read_text(encoding="utf-8"))[number]:
            script.append(command.replace(" --watch", ""))  # ends when a person ends it
            if file := re.match(r"cp (argo/secrets/\S+) (\S+)", command):
                (copy.parent / "given").mkdir(exist_ok=True)
                given = copy.parent / "given" / Path(file[2]).name
                given.write_text(filled(file[1]), encoding="utf-8")
                script.append(f"cp {given} {file[2]}")
    environ = {**os.environ, "PATH": f"{copy / '.venv' / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", "\n".join(script)], cwd=copy, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return time.time()


def test_the_first_run_ends_in_a_served_model_without_a_person(followed: float) -> None:
    """DataFlow by hand; TrainFlow and DeployFlow begin by its event and the next one's."""
    until = time.monotonic() + 3600
    while (phases := _cascade(followed)) != dict.fromkeys(CASCADE, "Succeeded"):
        assert time.monotonic() < until, (phases, kubectl("get", "workflows,pods"))
        assert not {"Failed", "Error"} & set(phases.values()), (phases, kubectl("get", "workflows,pods"))
        time.sleep(2)
    cluster = Cluster()
    assert cluster.inside("traffic", "2", "10")["lost"] == []
    kubectl("delete", "pod", "churnflow-tests", "--now")


def _cascade(followed: float) -> dict[str, str]:
    """The phase of the newest workflow of each flow that began since, less a minute for DataFlow, which the steps start."""
    phases = {}
    for one in json.loads(kubectl("get", "workflows", "-o", "json"))["items"]:
        flow = one["metadata"]["name"].removeprefix("churnflow.prod.").partition("-")[0]
        begun = time.mktime(time.strptime(one["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        if flow in CASCADE and begun > followed - 60:
            phases[flow] = one["status"].get("phase", "")
    return phases
