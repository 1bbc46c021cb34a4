"""README's commands exist, and its curl line gets a probability from the served champion."""

import json
import re
import subprocess
from types import SimpleNamespace

from churn.serving import bento_server
from conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_every_make_target_in_the_readme_exists() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named - targets == set()
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"make {target} " in listed for target in targets)


def test_the_curl_line_returns_a_probability(trained: SimpleNamespace) -> None:
    (command,) = re.findall(r"^curl .*?\}'$", README, re.MULTILINE | re.DOTALL)
    with bento_server.served(trained.train.bento) as url:
        said = subprocess.run(
            ["bash", "-c", command.replace("http://127.0.0.1:3000", url)], capture_output=True, text=True, check=True
        ).stdout
    answer = json.loads(said)
    assert 0 < answer["probability"] < 1
    assert answer["model_version"] == trained.train.champion.version
