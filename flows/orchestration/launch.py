"""The command line of a flow: checks and output before and after Metaflow's, and running two flows in sequence."""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import base
from churn.data import sources
from churn.errors import ChurnError
from churn.registry import synthetic_notice
from churn.settings import commands
from churn.settings.core import Strict, load
from churn.settings.dataset import Dataset
from churn.settings.environment import FLOWS
from churn.storage import s3
from metaflow import Flow, FlowSpec, current
from metaflow.exception import MetaflowException, MetaflowNotFound
from metaflow.plugins.datastores.local_storage import LocalStorage
from metaflow.util import get_latest_run_id
from orchestration import deploying, runs, start_marker

PART = "CHURNFLOW_PART"  # set if a flow is part of a command that prints its own first and last lines


def flow(kind: type[FlowSpec], before: Callable[[], str] = str) -> None:
    """Become the command line of a flow.

    A run prints the line that ``before`` returns, which may raise ChurnError to refuse the run; a resume prints the settings that
    it keeps; a successful run ends with the ``notice`` from its start.
    """
    command = next((word for word in ("run", "resume") if word in sys.argv[1:]), "")
    outermost = PART not in os.environ
    try:
        with base.stopping():
            first = {"run": before, "resume": lambda: "\n".join(_kept(kind))}.get(command, str)()
        if first and outermost:
            print(first, flush=True)
        kind()
    except SystemExit as end:
        start_marker.remove()
        if command and outermost and not end.code:
            _last(kind.__name__)
        raise


def _last(name: str) -> None:
    try:
        start = runs.one(name, current.run_id)["start"].task.data
        notice = start.notice if "notice" in start else ""
    except (MetaflowException, ChurnError, OSError) as error:  # the run itself has succeeded
        notice = f"Cannot determine whether the customers are synthetic: {error}"
    begin(notice)


def begin(notice: str) -> str:
    """Print the notice, if any, that the command will also end with."""
    if notice:
        print(notice, flush=True)
    return notice


def customers(target: str) -> str:
    """``before`` of a flow that reads customers: check that there are any, and announce synthetic ones."""
    if "--config-value" in sys.argv or any(name.startswith("METAFLOW_FLOW_CONFIG") for name in os.environ):
        return ""  # the settings are not in a file: the start step checks them
    described = base.on_disk("description")
    chosen = sources.choose(base.on_disk("settings").source, option("source"), described, target)
    return synthetic_notice.sources(chosen, described.name, target)


def trained() -> str:
    """``before`` of TrainFlow: announce a synthetic data version, as far as DataFlow's runs know it."""
    s3.check_access()
    try:
        run = None if "--trigger" in sys.argv else runs.newest(option("data-version"))
    except MetaflowException as error:
        raise ChurnError(f"the runs of DataFlow cannot be read: {error}") from None
    if run is None:
        return ""  # the start step reports it, or stops
    return synthetic_notice.data_version(run.data.data_version, run.data.description["name"], runs.on_synthetic(run))


def both(start: Callable[[list[str]], None], description: str = "", source: str = "", settings: str = "") -> list[str]:
    """Run DataFlow, TrainFlow on its version and, if the data set is served, DeployFlow.

    Concurrent runs make no difference. ``start`` runs a command and raises if it fails. An empty ``description``, ``source`` or
    ``settings`` means the default: the usual data set, the sources in config/data.toml, config/train.toml.

    Returns:
        The ids of the first two runs.
    """
    with tempfile.TemporaryDirectory() as folder:
        run_id_files = {name: Path(folder, name) for name in ("data", "train")}
        described = ["--config", "description", description] if description else []
        start(_run("data", described, ["--source", source] if source else [], run_id_files["data"]))
        version = runs.one("DataFlow", run_id_files["data"].read_text()).data.data_version
        trained = ["--config", "settings", settings] if settings else []
        start(_run("train", trained, ["--data-version", version], run_id_files["train"]))
        deploying.champion(load(Dataset, base.dataset_file(description or "telco")), start)
        return [path.read_text() for path in run_id_files.values()]


def _run(name: str, options: list[str], parameters: list[str], number: Path) -> list[str]:
    script = str(FLOWS / f"{name}_flow.py")
    return [sys.executable, script, *options, "run", *parameters, "--run-id-file", str(number)]


def option(name: str) -> str:
    """The value of ``--name`` on the command line, or in Metaflow's environment variable."""
    for word, value in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        if word == f"--{name}":
            return value
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return os.environ.get(f"METAFLOW_RUN_{name.upper().replace('-', '_')}", "")


def _kept(kind: type[FlowSpec]) -> Iterator[str]:
    """The settings that a resume keeps although their files have changed, and how to use the new ones."""
    name, requested = kind.__name__, option("origin-run-id")
    number = requested or get_latest_run_id(lambda *_, **__: None, name)
    if not number:
        return  # Metaflow says that there is no run yet
    if not requested:
        _require_newest(name, number)
    try:
        run = runs.one(name, number)
    except MetaflowNotFound:
        newest = next(iter(Flow(name))).id
        raise ChurnError(f"there is no run {name}/{number} to resume; the newest is {newest}") from None
    if "_parameters" not in run:
        raise ChurnError(f"{name}/{number} was killed before its first step; start it again with {_typed('run')}")
    given_then, start = run["_parameters"].task.data, run["start"].task if "start" in run else None
    artifacts = start.data if start is not None and start.successful else None
    files = base.files() | (getattr(artifacts, "config_files", None) or {})
    anew = _anew(kind, given_then, artifacts, files)
    if artifacts is not None and getattr(artifacts, "artifacts_format", 1) != base.ARTIFACTS:
        raise ChurnError(
            f"run {number} was started by another release, whose steps this one cannot resume; start it again: {anew}"
        )
    for name, file in files.items():
        try:
            keys = _changed(getattr(given_then, name), base.on_disk(name, file))
        except ChurnError as error:  # nothing that the resume needs
            yield f"Run {number} continues with the settings it started with. The current ones are not valid: {error}"
            continue
        if keys:
            yield (
                f"Run {number} continues with the settings it started with, but {', '.join(keys)} in "
                f"{commands.shown(Path(file))} changed since. To use the new ones: {anew}"
            )
    yield f"Resuming run {kind.__name__}/{number}, which began {run.created_at:%Y-%m-%d %H:%M:%S}"


def _require_newest(name: str, number: str) -> None:
    """Raise ChurnError if a later run was killed before Metaflow recorded it: Metaflow would resume the wrong one."""
    root = LocalStorage.get_datastore_root_from_config(lambda *_, **__: None)
    if start_marker.newer_than(Path(root, name, "latest_run")):
        raise ChurnError(
            f"{name}/{number} is not the newest run to resume: another one was started after it and killed before its first "
            f"step; start that one again with {_typed('run')}, or resume the older one: "
            f"{_typed('resume', '--origin-run-id', number)}"
        )


def _typed(*words: str) -> str:
    return shlex.join([commands.python(), commands.shown(Path(sys.argv[0]).resolve()), *words])


def _changed(begun: dict[str, Any], now: Strict) -> list[str]:
    """The keys, including [tables], whose values have changed."""
    settings = now.model_dump(mode="json")
    return [
        f"[{key}]" if isinstance(settings[key], dict) else key for key in settings if settings[key] != begun.get(key)
    ]


def _anew(kind: type[FlowSpec], begun: Any, artifacts: Any, files: dict[str, str]) -> str:
    """The command that repeats the run: its files, its parameters, and the data version that it selected."""
    usual = base.files()
    words: list[str] = []
    for name, file in files.items():
        words += ["--config", name, file] if file != usual[name] else []
    words.append("run")
    for attribute, parameter in kind._get_parameters():
        if parameter.IS_CONFIG_PARAMETER:
            continue
        kept = parameter.name.replace("-", "_")
        value = getattr(artifacts, kept) if artifacts is not None and kept in artifacts else getattr(begun, attribute)
        words += [f"--{parameter.name}", *([] if value is True else [str(value)])] if value else []
    return _typed(*words)
