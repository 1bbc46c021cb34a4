"""The commands and files that messages name.

Commands are quoted as the reader would type them: ``make ...`` if make started the process (the Makefile sets CALLER), else
``python ...``. Paths are relative to the working directory.
"""

import os
import shlex
import sys
from pathlib import Path

from churn.settings.environment import IN_POD, ROOT

CALLER = "CHURNFLOW_CALLER"
GIVEN = "CHURNFLOW_GIVEN_"  # prefix of a Config's name: the file given by ``--config NAME``, passed to the run's steps
FILE, NAME, NUMBER = "FILE", "NAME", "NUMBER"  # placeholders for what only the reader knows

_DATASETS = ROOT / "config" / "datasets"
_DESCRIPTION = ("DATASET", "--config", "description", "{description}")
_OF_DATASET = ("DATASET", "--dataset", "{DATASET}")
_LISTEN = (("HOST", "--host", "{HOST}"), ("PORT", "--port", "{PORT}"))
# Target: its script, then the option for each make variable. A part is skipped if its variable (its first word) is not given.
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
    "cards": ("scripts/cards.py", ("PORT", "--port", "{PORT}")),
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
    "campaign": (
        "flows/campaign_flow.py",
        ("SETTINGS", "--config", "settings", "{SETTINGS}"),
        _DESCRIPTION,
        ("", "run", "--name", "{NAME}"),
        ("SOURCE", "--source", "{SOURCE}"),
        ("DRY", "--dry"),
    ),
    "campaign-report": (
        "flows/effect_flow.py",
        ("SETTINGS", "--config", "settings", "{SETTINGS}"),
        _DESCRIPTION,
        ("", "run", "--name", "{NAME}"),
        ("OUTCOMES", "--outcomes", "{OUTCOMES}"),
        ("VERSION", "--data-version", "{VERSION}"),
        ("UNTIL", "--until", "{UNTIL}"),
    ),
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
    "find": ("scripts/privacy.py", ("DATASET", "--dataset", "{DATASET}"), ("", "find", "{ID}")),
    "erase": ("scripts/privacy.py", ("DATASET", "--dataset", "{DATASET}"), ("", "erase", "{ID}")),
    "prune": (
        "scripts/privacy.py",
        ("", "prune"),
        ("KEEP", "--keep", "{KEEP}"),
        ("DAYS", "--days", "{DAYS}"),
        ("CONFIRM", "--confirm"),
    ),
    "predict": ("scripts/predict.py", ("", "{FILE}"), ("URL", "--url", "{URL}")),
    "drift-demo": ("scripts/drift_demo.py", ("RETRAIN", "--retrain")),
    "approve": ("scripts/models.py", _OF_DATASET, ("", "approve", "{VERSION}")),
    "deploy": (
        "flows/deploy_flow.py",
        _DESCRIPTION,
        ("", "run"),
        ("VERSION", "--model-version", "{VERSION}"),
        ("BENTO", "--bento", "{BENTO}"),
        ("BREAKING", "--breaking"),
        ("PORT", "--port", "{PORT}"),
        ("IMAGE", "--image", "{IMAGE}"),
    ),
    "card": ("flows/{FLOW}_flow.py", ("", "card", "view", "{RUN}")),
}


def option(name: str) -> str:
    """``name`` as a make variable, or as the option of the same name."""
    return name.upper().replace("-", "_") if _make() else f"--{name}"


INSTEAD: dict[str, str] = {}  # files below config/, and the files this process uses in their place


def settings(file: str) -> str:
    """The path of the file used for config/``file``, for a reader who wants to edit it."""
    return shown(Path(INSTEAD.get(file, ROOT / "config" / file)))


def description(name: str) -> str:
    """The path of the file that describes the data set ``name``."""
    return shown(_description_of(name))


def _make() -> bool:
    return IN_POD or os.environ.get(CALLER) == "make"  # a reader of a pod's log has the checkout, not the pod's Python


def say(target: str, **variables: str) -> str:
    """The command that runs make's ``target`` with its ``variables``, without empty ones.

    ``DATASET`` is the name of a data set; if this run was given a description file, that file replaces it.
    """
    values = {name: value for name, value in variables.items() if value}
    if _make():
        values |= {"DATASET": _described(values["DATASET"])["DATASET"]} if "DATASET" in values else {}
        return " ".join(["make", target, *(f"{name}={shlex.quote(value)}" for name, value in values.items())])
    return shlex.join(words(target, **values))


def words(target: str, **values: str) -> list[str]:
    """The command without make, as a list of words, as ``say`` prints it when make is not the caller."""
    script, *parts = TARGETS[target]
    if "DATASET" in values:
        values |= _described(values["DATASET"])
    chosen = [word.format(**values) for needs, *rest in parts if not needs or needs in values for word in rest]
    return [python(), shown(ROOT / script.format(**values)), *chosen]


def _described(name: str) -> dict[str, str]:
    """The data set's ``DATASET`` (a file if it is outside config/datasets) and the file of its ``description``."""
    path = _description_of(name)
    return {"DATASET": path.stem if path.parent == _DATASETS else str(path), "description": shown(path)}


def _description_of(name: str) -> Path:
    return Path(os.environ.get(f"{GIVEN}description") or _DATASETS / f"{name}.toml")


def python() -> str:
    """The interpreter's path, as ``shown``."""
    return shown(Path(sys.executable))


def shown(path: Path) -> str:
    """``path`` relative to the working directory if both are inside the repository, else as it is."""
    here = Path.cwd()
    near = path.is_relative_to(ROOT) and here.is_relative_to(ROOT)
    return os.path.relpath(path, here) if near else str(path)
