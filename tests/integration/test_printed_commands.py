"""The commands that messages print, typed: each refusal on the way from an unknown file to a ranked list is followed to the
letter, and the next command goes on. What is written into settings is tried in tests/unit/test_remedies.py."""

import os
import re
import socket
from pathlib import Path

import pandas as pd
import pytest
from churn.settings import commands
from clone import Clone, clone
from conftest import flow
from other_data import narrow

pytestmark = pytest.mark.long


@pytest.mark.parametrize("target", commands.TARGETS)
def test_every_option_of_a_printed_command_is_one_of_its_command_line(target: str) -> None:
    script, *parts = commands.TARGETS[target]
    name = Path(script.format(FLOW="data")).stem
    below = [word for needs, *words in parts if not needs for word in words if not word.startswith(("--", "{"))]
    said = flow(name, "--help").stdout + (flow(name, *below, "--help").stdout if below else "")
    options = {word for _, *words in parts for word in words if word.startswith("--")}
    assert options <= set(re.findall(r"--[a-z][a-z-]*", said)), said


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, one_family: str) -> Clone:
    """A copy whose training is short, and whose gate no model passes."""
    copy = clone(tmp_path_factory.mktemp("clone"))
    settings = Path(one_family).read_text()
    assert "\nroc_auc = 0.6\n" in settings
    (copy.root / "config" / "train.toml").write_text(settings.replace("\nroc_auc = 0.6\n", "\nroc_auc = 1.0\n"))
    return copy


@pytest.fixture(scope="module")
def source(here: Clone) -> Path:
    """Customers in a file whose name a shell would take apart."""
    file = here.root / "it's a $HOME.csv"
    narrow(900, seed=3).to_csv(file, index=False)
    return file


def printed(said: str, before: str, file: Path | None = None) -> str:
    """The command that a message names after the words ``before``, with the reader's own file in the place of FILE."""
    (command,) = re.findall(rf"{before} (make [^\n]*)", said)
    quoted = str(file).replace("'", "'\\''")
    return str(command).replace("=FILE", f"='{quoted}'")


def test_from_an_unknown_data_set_to_a_ranked_list_by_what_is_printed(here: Clone, source: Path) -> None:
    said = here.refused("run", DATASET="boutique")
    said = here.typed(printed(said, "Describe a new one with:", source))
    first = printed(said, "Then:")
    assert "SOURCE=" in first

    said = here.refused("data", DATASET="boutique")
    said = here.typed(printed(said, "give a file:", source))
    (version,) = re.findall(r"Data version (\S+) ", said)

    for stored in (here.root / "state").rglob(f"files/md5/{version[:2]}/*"):
        stored.write_bytes(b"[]")
    said = here.refused("train", VERSION=version)
    assert "is damaged" in said
    again = printed(said, "which stores that anew:", source)
    said = here.typed(again.replace("DATASET=NAME", "DATASET=boutique"))
    assert f"Data version {version} (stored again: " in said

    said = here.refused("score", DATASET="boutique", SOURCE=source)
    said = here.typed(printed(said, "train one with:", source), works=False)
    assert re.search(r"Its card shows more: make card FLOW=train RUN=\d+/gate; ", said)
    assert "change roc_auc in [gate] of config/train.toml" in said
    train = here.root / "config" / "train.toml"
    train.write_text(train.read_text().replace("\nroc_auc = 1.0\n", "\nroc_auc = 0.6\n"))
    said = here.typed(printed(said, "and then:"))
    assert "Champion: version 1 as " in said

    said = here.make("score", DATASET="boutique", SOURCE=source)
    listed = pd.read_csv(re.findall(r"customers are likely to leave: (\S+)", said)[0])
    assert len(listed) == 900


def test_a_port_that_is_taken_comes_with_one_that_is_free(here: Clone) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        said = here.refused("serve", DATASET="telco", PORT=str(port))
        assert f"port {port} is taken by process {os.getpid()} " in said
        again = printed(said, "or use another port:")
        assert re.fullmatch(r"make serve DATASET=telco PORT=\d+", again)
        said = here.typed(again, works=False)
    assert "has no champion yet" in said, "the port is free, and what is next is looked at"
