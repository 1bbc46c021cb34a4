"""A command in a message is what its reader can type: make's targets or Python's files, with every word quoted."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from churn.settings import commands
from conftest import ROOT

AWKWARD = """a "b" it's $HOME $(x) `y` \\ #1 é.csv"""


def _made(command: str) -> list[str]:
    """The words that make hands to Python for ``command``, which a shell reads."""
    done = subprocess.run(
        ["bash", "-c", f"{command} --dry-run --assume-old=.venv/.ready"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("target", commands.TARGETS)
def test_make_and_python_say_the_same(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set(re.findall(r"\{([A-Z]+)\}", str(commands.TARGETS[target])))
    names |= {part[0] for part in commands.TARGETS[target][1:] if part[0]}
    given = {name: f"{name} {AWKWARD}" for name in sorted(names)}
    assert shlex.split(commands.say(target, **given)) == commands.words(target, **given)
    monkeypatch.setenv(commands.CALLER, "make")
    typed = commands.say(target, **given)
    assert typed.startswith(f"make {target} ")
    assert _made(typed)[1:] == commands.words(target, **given)[1:]


def test_only_what_is_given_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shlex.split(commands.say("run", DATASET="bank", SOURCE=""))[1:] == ["scripts/run.py", "--dataset", "bank"]
    assert commands.option("source") == "--source"
    monkeypatch.setenv(commands.CALLER, "make")
    assert commands.say("run", DATASET="bank", SOURCE="") == "make run DATASET=bank"
    assert commands.say("run", SOURCE="a b.csv") == "make run SOURCE='a b.csv'"
    assert commands.option("source") == "SOURCE"


def test_a_description_of_ones_own_is_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_GIVEN_description", "/my files/bank.toml")
    assert "--config description '/my files/bank.toml' run" in commands.say("score", DATASET="bank")
    assert commands.say("run", DATASET="bank").endswith("scripts/run.py --dataset '/my files/bank.toml'")
    monkeypatch.setenv(commands.CALLER, "make")
    assert commands.say("score", DATASET="bank") == "make score DATASET='/my files/bank.toml'"
    assert _made(commands.say("score", DATASET="bank"))[-4:-1] == ["--config", "description", "/my files/bank.toml"]
    monkeypatch.delenv(commands.CALLER)
    monkeypatch.setenv("CHURNFLOW_GIVEN_description", str(ROOT / "config" / "datasets" / "bank.toml"))
    assert commands.say("run", DATASET="other").endswith("scripts/run.py --dataset bank")


def test_paths_are_shown_from_where_the_reader_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "scripts")
    assert " run.py --dataset" in commands.say("run", DATASET="bank")
    assert "--config description ../config/datasets/bank.toml" in commands.say("score", DATASET="bank")
    monkeypatch.chdir(tmp_path)
    assert f" {ROOT}/scripts/run.py --dataset" in commands.say("run", DATASET="bank")


def test_files_are_named_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commands.settings("train.toml") == "config/train.toml"
    assert commands.description("bank") == "config/datasets/bank.toml"
    mine = tmp_path / "mine.toml"
    mine.write_text("")
    monkeypatch.setitem(commands.INSTEAD, "train.toml", str(mine))
    monkeypatch.setenv("CHURNFLOW_GIVEN_description", str(mine))
    assert commands.settings("train.toml") == commands.description("bank") == str(mine)
    assert commands.settings("data.toml") == "config/data.toml"


@pytest.mark.parametrize(
    ("target", "name"), [("dataset", "SOURCE"), ("predict", "FILE"), ("compare", "A"), ("card", "FLOW")]
)
def test_what_a_target_cannot_do_without_is_asked_for(target: str, name: str) -> None:
    done = subprocess.run(["make", target, "--assume-old=.venv/.ready"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"make {target} needs {name}=...; make help shows how" in done.stderr
