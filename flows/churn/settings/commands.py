"""The commands and files that messages name: commands as their reader types them - make's for who typed make, else Python's,
quoted - and files as they were given, with their paths from the working directory. Makefile says so in CALLER.
"""

import os
import shlex
import sys
from pathlib import Path

from churn.settings.environment import ROOT

CALLER = "CHURNFLOW_CALLER"
GIVEN = "CHURNFLOW_GIVEN_"  # and a Config's name: the file that ``--config NAME`` named, told to a run's steps
FILE, NAME, NUMBER = "FILE", "NAME", "NUMBER"  # in the place of what only the reader knows

_DATASETS = ROOT / "config" / "datasets"
_DESCRIPTION = ("DATASET", "--config", "description", "{description}")
_OF_DATASET = ("DATASET", "--dataset", "{DATASET}")
_LISTEN = (("HOST", "--host", "{HOST}"), ("PORT", "--port", "{PORT}"))
# Target: the script, then what its variables become. A part whose variable (its first word) is not given is left out.
TARGETS: dict[str, tuple[str, *tuple[tuple[str, ...], ...]]] = {
    "run": (
        "scripts/run.py",
        _OF_DATASET,
        ("SOURCE", "--source", "{SOURCE}"),
        ("SETTINGS", "--settings", "{SETTINGS}"),
    ),
    "data": ("flows/data_flow.py", _DESCRIPTION, ("", "run"), ("SOURCE", "--source", "{SOURCE}")),
    "train": (
        "flows/train_flow.py",
        ("SETTINGS", "--config", "settings", "{SETTINGS}"),
        ("", "run"),
        ("VERSION", "--data-version", "{VERSION}"),
        ("FORCE", "--force"),
    ),
    "dataset": (
        "scripts/data.py",
        ("", "describe", "{SOURCE}", "{NAME}"),
        ("TARGET", "--target", "{TARGET}"),
        ("POSITIVE", "--positive", "{POSITIVE}"),
        ("LEAVE_OUT", "--leave-out", "{LEAVE_OUT}"),
    ),
    "data-pull": ("scripts/data.py", ("", "pull", "{VERSION}"), ("TO", "--to", "{TO}")),
    "data-diff": ("scripts/data.py", ("", "diff", "{A}", "{B}")),
    "serve": ("scripts/serve.py", *_LISTEN, _OF_DATASET),
    "mlflow": ("scripts/serve.py", ("", "--mlflow"), *_LISTEN),
    "bento": ("scripts/serve.py", ("", "--build"), _OF_DATASET),
    "promote": (
        "scripts/models.py",
        _OF_DATASET,
        ("", "promote", "{VERSION}"),
        ("TO", "--to", "{TO}"),
        ("REASON", "--reason", "{REASON}"),
    ),
    "rollback": ("scripts/models.py", _OF_DATASET, ("", "rollback", "--reason", "{REASON}")),
    "compare": ("scripts/models.py", _OF_DATASET, ("", "compare", "{A}", "{B}")),
    "lineage": ("scripts/models.py", _OF_DATASET, ("", "lineage", "{VERSION}")),
    "score": ("flows/score_flow.py", _DESCRIPTION, ("", "run"), ("SOURCE", "--source", "{SOURCE}")),
    "monitor": (
        "flows/monitor_flow.py",
        _DESCRIPTION,
        ("", "run"),
        ("ANALYSIS", "--analysis", "{ANALYSIS}"),
        ("LABELS", "--labels", "{LABELS}"),
        ("ROWS", "--rows", "{ROWS}"),
        ("RETRAIN", "--retrain"),
        ("SOURCE", "--source", "{SOURCE}"),
    ),
    "predict": ("scripts/predict.py", ("", "{FILE}"), ("URL", "--url", "{URL}")),
    "drift-demo": ("scripts/drift_demo.py", ("RETRAIN", "--retrain")),
    "card": ("flows/{FLOW}_flow.py", ("", "card", "view", "{RUN}")),
}


def option(name: str) -> str:
    """A variable of make, or the option of the same name."""
    return name.upper().replace("-", "_") if _make() else f"--{name}"


INSTEAD: dict[str, str] = {}  # files below config/, and those that this process was given in their place


def settings(file: str) -> str:
    """Where the reader changes what is in config/``file``."""
    return shown(Path(INSTEAD.get(file, ROOT / "config" / file)))


def description(name: str) -> str:
    """Where the reader describes the data set of that name."""
    return shown(_description_of(name))


def _make() -> bool:
    return os.environ.get(CALLER) == "make"


def say(target: str, **variables: str) -> str:
    """The command of make's ``target`` with its ``variables``, those that are empty left out.

    ``DATASET`` is a data set's name. It stands for the description that this run was given, if it was given one.
    """
    given = {name: value for name, value in variables.items() if value}
    if _make():
        given |= {"DATASET": _described(given["DATASET"])["DATASET"]} if "DATASET" in given else {}
        return " ".join(["make", target, *(f"{name}={shlex.quote(value)}" for name, value in given.items())])
    return shlex.join(words(target, **given))


def words(target: str, **given: str) -> list[str]:
    """The same without make: what ``say`` prints, word for word."""
    script, *parts = TARGETS[target]
    if "DATASET" in given:
        given |= _described(given["DATASET"])
    chosen = [word.format(**given) for needs, *rest in parts if not needs or needs in given for word in rest]
    return [python(), shown(ROOT / script.format(**given)), *chosen]


def _described(name: str) -> dict[str, str]:
    """The data set's ``DATASET`` - a file where it is not one of config/datasets - and the file of its ``description``."""
    path = _description_of(name)
    return {"DATASET": path.stem if path.parent == _DATASETS else str(path), "description": shown(path)}


def _description_of(name: str) -> Path:
    return Path(os.environ.get(f"{GIVEN}description") or _DATASETS / f"{name}.toml")


def python() -> str:
    """The interpreter as a person types it."""
    return shown(Path(sys.executable))


def shown(path: Path) -> str:
    """``path`` from the working directory, if both are below the root."""
    here = Path.cwd()
    near = path.is_relative_to(ROOT) and here.is_relative_to(ROOT)
    return os.path.relpath(path, here) if near else str(path)
