"""What the flow files share. Import it before metaflow: it sets the defaults of the environment first.

Every command takes ``--debug`` (or CHURNFLOW_DEBUG=1), which shows errors with their tracebacks and causes.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from churn.errors import ChurnError, os_error_message
from orchestration import fork_server, start_marker

DEBUG = "CHURNFLOW_DEBUG"
ARTIFACTS = 3  # raised with each change of artifacts' names or classes' modules, across which no run can be resumed
if "--debug" in sys.argv:  # removed here, as no command line knows it
    sys.argv.remove("--debug")
    os.environ[DEBUG] = "1"


@contextmanager
def stopping() -> Iterator[None]:
    """End the command with the message alone after a ChurnError or an error of the operating system with a remedy."""
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
with stopping():  # no such profile, or a mistake in deploy.toml
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
    """A ChurnError in the form in which Metaflow shows errors without a traceback."""

    headline = "Churnflow stopped"


def _shown(error: ChurnError) -> Exception:
    """The exception to raise instead of a ChurnError where Metaflow catches it."""
    return error if os.environ.get(DEBUG) else Stopped(str(error))


@user_step_decorator
def _reported(step_name: str, flow: Any, inputs: Any = None, attributes: Any = None) -> Iterator[None]:
    """Show a ChurnError as its message alone, and push how the run ended (``churn.telemetry.push``)."""
    if step_name == "start":
        flow.config_files, flow.artifacts_format = files(), ARTIFACTS  # which a resume compares with its own
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
    """Step decorator: do nothing if an earlier step set ``nothing_to_do``; a join then merges its inputs."""
    if not (next(iter(inputs)) if inputs is not None else flow).nothing_to_do:
        yield
        return
    if inputs is not None:
        flow.merge_artifacts(inputs)
    yield {}


class reported(FlowMutator):
    """Class decorator of a flow: ``_reported`` for every step."""

    def pre_mutate(self, mutable_flow: Any) -> None:
        """Add the decorator (Metaflow calls this)."""
        for _, step in mutable_flow.steps:
            step.add_decorator(_reported)


class _cluster_ready(FlowMutator):
    """Prepare a flow for a cluster.

    The S3 buckets are checked before a run, steps get the resources in config/deploy.toml, and the files that a pod needs besides
    the flows (profiles, deploy.toml, serve.toml, bento/) go into the code package.
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
    """Class decorator of a flow: its project, schedule and triggers from config/deploy.toml.

    Not a FlowMutator, which would run too late: these decorators add command-line options (--production).
    """
    for name, options in DEPLOY.starters(flow.__name__):
        flow = getattr(metaflow, name)(**options)(flow)
    return flow


_CONFIGS: dict[str, tuple[Path, type[settings.Strict]]] = {}  # the default file and model of each Config of this flow


def config(
    name: str, file: str, model: type[settings.Strict], check: Callable[[Any, str], None] | None = None
) -> Config:
    """A Metaflow Config, validated as ``model``, from ROOT/config/``file`` or the file given by ``--config NAME PATH``.

    Its value is the settings as a plain dictionary; an error stops the command before any work. ``check``, if given, may raise
    ChurnError too; it gets the settings and the name of the file.
    """
    default = ROOT / "config" / file
    _CONFIGS[name] = (default, model)
    if path := _given(name):
        os.environ[f"{GIVEN}{name}"] = str(Path(path).resolve())  # the command lines of the steps lack it
        with stopping():  # Metaflow says less about a file that it cannot read
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
    """The file that describes a data set, given by its name in config/datasets or as the .toml file itself."""
    return Path(dataset) if dataset.endswith(".toml") else ROOT / "config" / "datasets" / f"{dataset}.toml"


def read(model: type[settings.Model], value: Any) -> settings.Model:
    """The settings, in a step, from the ``value`` of a Config."""
    return settings.from_dict(model, value.to_dict(), "config")


@reported
@_cluster_ready
class Flow(FlowSpec):
    """Base class of the flows."""

    def tags(self) -> list[str]:
        """The tags by which later commands find a successful run."""
        return []


def _given(name: str) -> str | None:
    """The path after ``--config NAME`` on the command line, for error messages."""
    words = sys.argv
    for i, word in enumerate(words[:-2]):
        if word == "--config" and words[i + 1] == name:
            return str(Path(words[i + 2]))
    return None


def files() -> dict[str, str]:
    """The file of each Config of the flow, by name: the one given, else the default."""
    return {name: os.environ.get(f"{GIVEN}{name}", str(default)) for name, (default, _) in _CONFIGS.items()}


def on_disk(name: str, file: str = "") -> Any:
    """A Config as its file - or another - says now. Raises ChurnError."""
    return settings.load(_CONFIGS[name][1], file or files()[name])


OUTCOMES = {True: "succeeded", False: "failed"}


def _ended(well: bool, tags: list[str]) -> None:
    """Tag the run with its outcome and ``tags``, and push the flow's run totals, counted by outcome, and its times."""
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
        print(f"The runs are not counted: {error}")
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
    """The command that trains on the data version of the run again, with its settings file as it then is."""
    file = flow.config_files["settings"]
    settings = "" if file == str(_CONFIGS["settings"][0]) else commands.shown(Path(file))
    return commands.say("train", VERSION=flow.data_version, SETTINGS=settings, FORCE="1" if force else "")
