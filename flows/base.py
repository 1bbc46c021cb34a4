"""Shared by all flow files. Import it before metaflow: it sets environment defaults that metaflow reads.

Every command accepts ``--debug`` (or CHURNFLOW_DEBUG=1), which shows errors with their tracebacks and causes.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from churn.errors import ChurnError, os_error_message
from orchestration import fork_server, start_marker

DEBUG = "CHURNFLOW_DEBUG"
ARTIFACTS = 4  # raised with each change of artifacts' names or classes' modules, across which no run can be resumed
if "--debug" in sys.argv:  # removed here, since no parser accepts it
    sys.argv.remove("--debug")
    os.environ[DEBUG] = "1"


@contextmanager
def stopping() -> Iterator[None]:
    """Exit with only the message after a ChurnError, or after an operating system error that has a remedy."""
    try:
        yield
    except (ChurnError, OSError) as error:
        message = str(error) if isinstance(error, ChurnError) else os_error_message(error)
        if message is None or os.environ.get(DEBUG):
            raise
        start_marker.remove()
        sys.exit(message)


with stopping():
    start_marker.put()
fork_server.start()
with stopping():  # an unknown profile, or an error in deploy.toml
    from churn.settings import core as settings
    from churn.settings.commands import GIVEN
    from churn.settings.deploy import Deploy
    from churn.settings.environment import ROOT

    DEPLOY = settings.load(Deploy, ROOT / "config" / "deploy.toml")
import metaflow
from churn.settings import commands
from churn.storage import s3
from metaflow import Config, FlowMutator, FlowSpec, current, user_step_decorator
from metaflow.exception import MetaflowException
from metaflow.packaging_sys import ContentType
from orchestration import metaflow_patches, metaflow_version

metaflow_patches.apply()
if "argo-workflows" in sys.argv:
    with stopping():
        metaflow_patches.close_pods(DEPLOY)
if {"run", "resume"} & set(sys.argv) and metaflow_version.notice():
    print(metaflow_version.notice(), file=sys.stderr)
fork_server.use()


class Stopped(MetaflowException):
    """A ChurnError as an exception that Metaflow shows without a traceback."""

    headline = "Churnflow stopped"


def _shown(error: ChurnError) -> Exception:
    """The exception to raise in place of a ChurnError where Metaflow catches it."""
    return error if os.environ.get(DEBUG) else Stopped(str(error))


@user_step_decorator
def _reported(step_name: str, flow: Any, inputs: Any = None, attributes: Any = None) -> Iterator[None]:
    """Show only the message of a ChurnError, and push the run's outcome (``churn.telemetry.push``)."""
    if step_name == "start":
        flow.config_files, flow.artifacts_format = files(), ARTIFACTS  # a resume compares them with its own
    try:
        yield
    except Exception as error:
        if "METAFLOW_KUBERNETES_WORKLOAD" not in os.environ or DEPLOY.at(step_name).last(current.retry_count):
            _ended(False, [])
        if isinstance(error, ChurnError):
            raise _shown(error) from error.__cause__
        raise
    if step_name == "end":
        _ended(True, flow.tags())


@user_step_decorator
def skippable(step_name: str, flow: Any, inputs: Any = None, attributes: Any = None) -> Iterator[Any]:
    """Step decorator: skip the step if an earlier one set ``nothing_to_do``; a join still merges its inputs."""
    if not (next(iter(inputs)) if inputs is not None else flow).nothing_to_do:
        yield
        return
    if inputs is not None:
        flow.merge_artifacts(inputs)
    yield {}


class reported(FlowMutator):
    """Flow decorator that adds ``_reported`` to every step."""

    def pre_mutate(self, mutable_flow: Any) -> None:
        """Add the decorator (Metaflow calls this)."""
        for _, step in mutable_flow.steps:
            step.add_decorator(_reported)


class _cluster_ready(FlowMutator):
    """Prepare a flow for a cluster.

    Checks the S3 buckets before a run, gives steps the resources of config/deploy.toml, and adds the files that pods need besides
    the flows (profiles, deploy.toml, serve.toml, bento/) to the code package.
    """

    def pre_mutate(self, mutable_flow: Any) -> None:
        if not os.environ.get(DEBUG):
            metaflow_patches.say_refusals()
        try:
            if {"run", "resume"} & set(sys.argv):
                s3.check_state()
            if {"run", "resume", "argo-workflows"} & set(sys.argv):
                s3.check_access()
            s3.require_shared()
        except ChurnError as error:
            raise _shown(error) from error.__cause__
        for name, step in mutable_flow.steps:
            for decorator, options in DEPLOY.decorators(name, on_cluster="argo-workflows" in sys.argv):
                step.add_decorator(decorator, deco_kwargs=options)

    def add_to_package(self) -> Iterator[tuple[str, str, ContentType]]:
        settings = [ROOT / "config" / name for name in ("deploy.toml", "serve.toml")]
        for file in sorted((*settings, *ROOT.glob("config/profiles/*.toml"), *ROOT.glob("bento/**/*"))):
            if file.is_file() and "__pycache__" not in file.parts:
                yield str(file), str(file.relative_to(ROOT)), ContentType.USER_CONTENT


def deployed(flow: type[FlowSpec]) -> type[FlowSpec]:
    """Flow decorator that sets project, schedule and triggers from config/deploy.toml.

    Not a FlowMutator, which would run too late: these decorators add command-line options such as --production.
    """
    for name, options in DEPLOY.starters(flow.__name__):
        flow = getattr(metaflow, name)(**options)(flow)
    return flow


_CONFIGS: dict[str, tuple[Path, type[settings.Strict]]] = {}  # default file and model of each Config of this flow


def config(
    name: str, file: str, model: type[settings.Strict], check: Callable[[Any, str], None] | None = None
) -> Config:
    """A Metaflow Config, validated by ``model``, from ROOT/config/``file`` or the file in ``--config NAME PATH``.

    Its value is a plain dictionary; an error stops the command before any work. ``check``, if given, is called with the settings
    and the file name, and may raise ChurnError.
    """
    default = ROOT / "config" / file
    _CONFIGS[name] = (default, model)
    if path := _given(name):
        os.environ[f"{GIVEN}{name}"] = str(Path(path).resolve())  # the steps' command lines lack it
        with stopping():  # Metaflow's message for an unreadable file says less
            settings.read_text(Path(path))
    if f"{GIVEN}{name}" in os.environ:
        commands.INSTEAD[file] = os.environ[f"{GIVEN}{name}"]

    def parser(text: str) -> dict[str, Any]:
        source = _given(name) or str(default)
        try:
            values = settings.parse(model, text, source)
            if check is not None:
                check(values, source)
        except ChurnError as error:
            raise _shown(error) from error.__cause__
        return values.model_dump(mode="json")

    return Config(name, default=str(default), parser=parser)


def dataset_file(dataset: str) -> Path:
    """The description file of a data set, given its name in config/datasets or the path of a .toml file."""
    return Path(dataset) if dataset.endswith(".toml") else ROOT / "config" / "datasets" / f"{dataset}.toml"


def read(model: type[settings.Model], value: Any) -> settings.Model:
    """The settings in a step, from the ``value`` of a Config."""
    return settings.from_dict(model, value.to_dict(), "config")


@reported
@_cluster_ready
class Flow(FlowSpec):
    """Base class of the flows."""

    def tags(self) -> list[str]:
        """The tags that identify a successful run to later commands."""
        return []


def _given(name: str) -> str | None:
    """The path after ``--config NAME`` on the command line, for error messages."""
    words = sys.argv
    for i, word in enumerate(words[:-2]):
        if word == "--config" and words[i + 1] == name:
            return str(Path(words[i + 2]))
    return None


def files() -> dict[str, str]:
    """The file of each Config by name: the one on the command line, or the default."""
    return {name: os.environ.get(f"{GIVEN}{name}", str(default)) for name, (default, _) in _CONFIGS.items()}


def on_disk(name: str, file: str = "") -> Any:
    """Load a Config from its file, or from ``file``, as it is now on disk. Raises ChurnError."""
    return settings.load(_CONFIGS[name][1], file or files()[name])


OUTCOMES = {True: "succeeded", False: "failed"}


def _ended(well: bool, tags: list[str]) -> None:
    """Tag the run with its outcome and ``tags``, and push the flow's times and its number of runs by outcome."""
    import time
    from collections import Counter

    from churn.telemetry import prometheus_metrics, push

    now, name = time.time(), str(current.flow_name)
    samples = [prometheus_metrics.LAST_SUCCESS.of(now) if well else prometheus_metrics.LAST_FAILURE.of(now)]
    namespace = metaflow.get_namespace()
    metaflow.namespace(None)  # the runs of all users are counted
    try:
        run = metaflow.Run(f"{name}/{current.run_id}")
        run.add_tags([f"outcome:{OUTCOMES[well]}", *tags])
        if well:
            samples.append(prometheus_metrics.DURATION.of(now - run.created_at.timestamp()))
        ended = Counter(tag for run in metaflow.Flow(name) for tag in run.user_tags)
        samples += [
            prometheus_metrics.RUNS.of(ended[f"outcome:{outcome}"], status=outcome) for outcome in OUTCOMES.values()
        ]
    except (MetaflowException, OSError) as error:  # counting runs is best effort: it must not fail this run
        print(f"Cannot count the runs: {error}")
    finally:
        metaflow.namespace(namespace)
    for problem in push.send({"flow": name}, samples):
        print(problem)


def report(dataset: str, samples: list[Any]) -> None:
    """Push the ``prometheus_metrics.Sample``s of a step about ``dataset`` (see ``telemetry.push``)."""
    from churn.telemetry import push

    for problem in push.send({"flow": str(current.flow_name), "dataset": dataset}, samples):
        print(problem)


def say(notes: Iterable[str]) -> None:
    """Print notes, one per line."""
    for note in notes:
        print(note)


def keep(flow: FlowSpec, artifacts: Mapping[str, Any]) -> None:
    """Make each of the ``artifacts`` one of the step, by its name."""
    for name, value in artifacts.items():
        setattr(flow, name, value)


def render(on: Any, parts: list[Any]) -> None:
    """Append the parts that ``churn.cards`` returns to a Metaflow card."""
    from churn.cards import card_parts
    from metaflow.cards import Image, Markdown, Table, VegaChart

    for part in parts:
        if isinstance(part, str):
            on.append(Markdown(card_parts.inert(part)))
        elif isinstance(part, card_parts.Table):
            cells: list[list[Any]] = [list(map(card_parts.inert, row)) for row in (part.headers, *part.rows)]
            on.append(Table(cells[1:], headers=cells[0]))
        elif isinstance(part, card_parts.Chart):
            on.append(VegaChart(part.spec))
        else:
            on.append(Image.from_matplotlib(part))


def card(step: str) -> str:
    """The command that shows the card of a step of this run."""
    flow = str(current.flow_name).removesuffix("Flow").lower()
    return commands.say("card", FLOW=flow, RUN=f"{current.run_id}/{step}")


def again(flow: Any, force: bool = False) -> str:
    """The command that trains on the run's data version again, with the current content of its settings file."""
    file = flow.config_files["settings"]
    settings = "" if file == str(_CONFIGS["settings"][0]) else commands.shown(Path(file))
    return commands.say("train", VERSION=flow.data_version, SETTINGS=settings, FORCE="1" if force else "")
