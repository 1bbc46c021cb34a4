"""``make run``: two at once keep to their own data, synthetic customers are said to be so, and Ctrl-C ends it."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import alone
from other_data import narrow

pytestmark = pytest.mark.long

NAMED = r"Data version (\S+) \(stored\)"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Another company's customers, in a file that a shell would stumble over, and their description."""
    from churn.schema_inference import infer

    folder = tmp_path_factory.mktemp("other company")
    source, description = folder / "it's $HOME.csv", folder / "bank.toml"
    table = narrow(1200, seed=5)
    table.to_csv(source, index=False)
    description.write_text(infer.describe(table.astype("str"), "bank", "bank.csv").text)
    return source, description


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder of this module's own, empty at first."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def logs(bank: tuple[Path, Path], one_family: str, home: Path) -> dict[str, list[str]]:
    """What two runs in one state folder, a second apart, have printed: one types make and has synthetic customers of telco, the
    other types Python and brings ``bank``."""
    source, description = bank
    ours = alone(home)
    ours["args"] = ["make", "--silent", "--assume-old=.venv/.ready", "run", f"SETTINGS={one_family}"]
    words = ("--dataset", str(description), "--source", str(source), "--settings", one_family)
    running = {}
    for name, command in {"telco": ours, "bank": alone(home, "scripts/run.py", *words)}.items():
        running[name] = subprocess.Popen(**command)
        time.sleep(1)
    said = {name: run.communicate(timeout=300)[0] for name, run in running.items()}
    assert {name: run.returncode for name, run in running.items()} == dict.fromkeys(running, 0), "\n".join(
        said.values()
    )
    return {name: text.splitlines() for name, text in said.items()}


@pytest.mark.parametrize("name", ["telco", "bank"])
def test_each_trains_on_its_own_data_and_reports_its_own_model(logs: dict[str, list[str]], name: str) -> None:
    text = "\n".join(logs[name])
    (version,) = re.findall(NAMED, text)
    kind = r" \(synthetic customers\)" if name == "telco" else ""
    assert re.search(rf"Training on data set '{name}'{kind}, version {version}, as requested\n", text)
    assert re.search(rf"^Data       {version}  ", text, re.MULTILINE)
    assert re.search(r"^Champion   version 1 \(logistic_regression\)$", text, re.MULTILINE)
    other = "bank" if name == "telco" else "telco"
    (others,) = re.findall(NAMED, "\n".join(logs[other]))
    assert others not in text


def test_each_is_told_commands_in_its_own_language(logs: dict[str, list[str]], bank: tuple[Path, Path]) -> None:
    telco, other = "\n".join(logs["telco"]), "\n".join(logs["bank"])
    assert re.search(r"^Cards      make card FLOW=data RUN=\d+/validate$", telco, re.MULTILINE)
    assert "\nServe      make serve DATASET=telco " in telco
    assert "flows/data_flow.py card view" not in telco
    assert re.search(r"^Cards      \S+ flows/data_flow.py card view \d+/validate$", other, re.MULTILINE)
    assert "make " not in other


def test_synthetic_customers_are_said_to_be_so_first_and_last(logs: dict[str, list[str]]) -> None:
    line = (
        "Synthetic customers, none of yours: 10,000 rows from [synthetic] of data set 'telco'. "
        "For yours: make run DATASET=telco SOURCE=FILE"
    )
    assert logs["telco"][0] == logs["telco"][-1] == line
    assert "synthetic" not in "\n".join(logs["bank"]).lower()


def test_a_training_alone_says_what_it_takes_and_what_else_there_is(
    logs: dict[str, list[str]], bank: tuple[Path, Path], home: Path
) -> None:
    versions = {name: re.findall(NAMED, "\n".join(lines))[0] for name, lines in logs.items()}
    look = (
        "import sys; sys.path.insert(0, 'flows'); import base; from orchestration import launch, runs; "
        "print(*runs.upstream(''), *runs.others('bank'), *runs.others('telco'), runs.read_by(sys.argv[1]), launch.trained(), "
        "sep='\\n')"
    )
    done = subprocess.run(**alone(home, "-c", look, versions["bank"], "--data-version", versions["telco"]))
    newest, why, *others, source, first = done.stdout.splitlines()
    assert newest in versions.values()
    assert re.fullmatch(r"of DataFlow/\d+, the newest", why)
    for line, name in zip(others, ("telco", "bank"), strict=True):
        assert line.startswith(f"Newest of data set '{name}': ")
        assert line.endswith(f"flows/train_flow.py run --data-version {versions[name]}")
    assert source == str(bank[0])
    assert first.startswith(f"Synthetic customers, none of yours: data version {versions['telco']}. For yours: ")


def test_ctrl_c_ends_it_and_what_it_started(one_family: str, tmp_path: Path) -> None:
    command = alone(tmp_path, "scripts/run.py", "--settings", one_family)
    run = subprocess.Popen(**command, start_new_session=True)
    said = ""
    while "/validate/" not in said:
        assert run.stdout is not None
        said += run.stdout.readline()
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    said += run.communicate(timeout=60)[0]
    assert run.returncode == 130, said
    assert "TrainFlow" not in said
    with pytest.raises(ProcessLookupError):
        _wait_for_the_end(run.pid)


def _wait_for_the_end(group: int) -> None:
    """Raises ProcessLookupError once no process of the group is left."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        os.killpg(group, 0)
        time.sleep(0.1)


def test_settings_that_are_not_there_stop_it_before_any_work(tmp_path: Path) -> None:
    done = subprocess.run(**alone(tmp_path, "scripts/run.py", "--settings", str(tmp_path / "none.toml")))
    assert done.returncode == 1
    assert done.stdout == f"{tmp_path}/none.toml: no such config file; there are, in {tmp_path}: none\n"


ASKING = {
    "run": ("scripts/run.py", "--dataset", "{file}"),
    "data": ("flows/data_flow.py", "--config", "description", "{file}", "run"),
    "score": ("flows/score_flow.py", "--config", "description", "{file}", "run"),
    "monitor": ("flows/monitor_flow.py", "--config", "description", "{file}", "run", "--retrain"),
}


@pytest.mark.parametrize("target", ASKING)
def test_without_customers_one_line_asks_for_them_before_any_work(
    target: str, bank: tuple[Path, Path], tmp_path: Path
) -> None:
    words = [word.format(file=bank[1]) for word in ASKING[target]]
    # Elsewhere is what libraries keep for themselves, if they are imported before the refusal.
    caches = dict.fromkeys(("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(bank[0].parent / "caches"))
    done = subprocess.run(**alone(tmp_path, *words, **caches))
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert f"'{bank[1]}'" in line
    assert line.endswith("--source FILE")
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()], "not a file is left"
