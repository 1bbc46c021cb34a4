"""What a message tells its reader to type or to change is there: commands, options, keys, tables, files and variables.

Found by reading the code, so that a message written tomorrow is looked at too; ``WRONG`` shows what would be.
"""

import ast
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from churn.settings import commands
from churn.settings.core import Strict
from churn.settings.description.column import Kind, Role
from churn.settings.train import METRICS
from conftest import ROOT
from reference import FILES

CODE = sorted(path for folder in ("flows", "scripts", "bento") for path in (ROOT / folder).rglob("*.py"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE))
# In a pod, for a person who has the code elsewhere (docs/deployment.md).
ELSEWHERE = "python flows/data_flow.py {…} argo-workflows trigger"
# What may stand before "in config/...", besides a key.
WORDS = {"or", "it", "them", "there", "value", "sources", *typing.get_args(Role), *typing.get_args(Kind)}
# Read by Python, boto3, MLflow and Metaflow, or options of MLflow's server and Metaflow's flows.
LIBRARIES = {
    *("TMPDIR", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "MLFLOW_TRACKING_USERNAME"),
    *("MLFLOW_TRACKING_PASSWORD", "METAFLOW_SERVICE_URL", "--allowed-hosts", "--config", "--branch"),
}


class Message(NamedTuple):
    """A text of the code, with what is only known later as {…}."""

    place: str
    text: str


@cache
def _nodes() -> dict[Path, list[ast.AST]]:
    return {path: list(ast.walk(ast.parse(path.read_text()))) for path in CODE}


def _messages() -> Iterator[Message]:
    for path, nodes in _nodes().items():
        skipped = set(_no_messages(nodes))
        for node in nodes:
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in skipped:
                text = _text(node)
                if " " in text:
                    yield Message(f"{path.relative_to(ROOT)}:{node.lineno}", text)


def _no_messages(nodes: list[ast.AST]) -> Iterator[int]:
    """Docstrings, annotations, patterns, SQL, and the parts of f-strings, which are read whole."""
    for node in nodes:
        found: list[Any] = []
        if isinstance(node, ast.Expr | ast.AnnAssign | ast.arg | ast.FunctionDef):
            found = [getattr(node, name, None) for name in ("annotation", "returns")]
            found += [node.value] if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else []
        elif isinstance(node, ast.Call) and re.search(r"^re\.|\.execute$", _name(node.func)):
            found = node.args[:1]
        elif isinstance(node, ast.JoinedStr):
            found = [part for part in node.values if isinstance(part, ast.Constant)]
        for part in filter(None, found):
            yield from map(id, ast.walk(part))


def _name(called: ast.expr) -> str:
    """As it is written, with … for what is no name."""
    if isinstance(called, ast.Attribute):
        return f"{_name(called.value)}.{called.attr}"
    return called.id if isinstance(called, ast.Name) else "…"


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return _known(node.value)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _known(value: ast.expr) -> str:
    """What a {...} stands for, where it is a file of config/ or a key."""
    if not isinstance(value, ast.Call):
        return "{…}"
    given = value.args[0].value if value.args and isinstance(value.args[0], ast.Constant) else ""
    return {
        "settings": f"config/{given}",
        "description": "config/datasets/NAME.toml",
        "file_of": "config/datasets/NAME.toml [columns.NAME]",
        "line": f"{given or 'type'} = 0",
    }.get(_name(value.func).split(".")[-1], "{…}")


@cache
def _tables(model: type[Strict], path: str = "") -> dict[str, frozenset[str]]:
    """The keys of each table of a file that ``model`` reads; of [columns.x] under columns.NAME."""
    found = {path: frozenset(model.model_fields)}
    for name, field in model.model_fields.items():
        place, whole = f"{path}.{name}".strip("."), str(field.annotation)
        place += ".NAME" if typing.get_origin(field.annotation) is dict and "churn" in whole else ""
        for inner in _models(field.annotation):
            for table, keys in _tables(inner, place).items():
                found[table] = found.get(table, frozenset()) | keys
        if whole in ("dict[str, float]", "dict[str, str]"):
            found[place] = frozenset(METRICS if "float" in whole else ())
    return found


def _models(annotation: Any) -> Iterator[type[Strict]]:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models(inner)


@cache
def _variables() -> frozenset[str]:
    """The variables of the environment that something reads: code, Makefile, or a library that a profile sets it for."""
    read = {node.value for nodes in _nodes().values() for node in nodes if isinstance(node, ast.Constant)}
    profiles = "\n".join(path.read_text() for path in (ROOT / "config" / "profiles").glob("*.toml"))
    named = re.findall(r"^([A-Z][A-Z0-9_]+) =", profiles, re.MULTILINE) + re.findall(r"\b[A-Z][A-Z0-9_]+\b", MAKEFILE)
    return frozenset({text for text in read if isinstance(text, str)} | set(named) | LIBRARIES)


@cache
def _options() -> frozenset[str]:
    """The options of the command lines, and of MLflow's for experiments."""
    from mlflow.experiments import commands as experiments

    own = set(LIBRARIES)
    own |= {word for command in experiments.commands.values() for given in command.params for word in given.opts}
    for nodes in _nodes().values():
        for node in nodes:
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name, kind = node.args[0].value, _name(node.func).split(".")[-1]
                own |= {name} if kind == "add_argument" else {f"--{name}"} if kind == "Parameter" else set()
    return frozenset(own)


def _wrong(text: str) -> Iterator[str]:
    """What the text names and is not there."""
    yield from _wrong_commands(text.replace(ELSEWHERE, ""))
    files = re.findall(r"\bconfig/[\w./-]+\.toml", text)
    yield from (name for name in files if "NAME" not in name and not (ROOT / name).is_file())
    yield from (name for name in re.findall(r"\b(?:docs|argo)/[\w./-]+\.\w+", text) if not (ROOT / name).is_file())
    named = re.findall(r"\b(?:(?:CHURNFLOW|AWS|MLFLOW|METAFLOW|BENTOML)_[A-Z0-9_]+|TMPDIR)\b(?!\*)", text)
    yield from (name for name in named if name not in _variables() and not name.endswith("_"))
    yield from (name for name in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text) if name not in _options())
    if not re.search(r"^[A-Z_]+=", text, re.MULTILINE):  # else it is a file of variables
        yield from _wrong_keys(text, [name.removeprefix("config/") for name in files])


def _of_any(name: str) -> Iterator[str]:
    """What [columns.x], [tables.x.columns.y] and [tables], the tables below it, are called in ``_tables``."""
    yield (
        re.sub(r"\..*", ".NAME", name)
        if name.count(".") < 2
        else re.sub(r"\.[^.]+(\.columns)?", r".NAME\1", name, count=2)
    )
    yield f"{name}.NAME"


def _wrong_commands(text: str) -> Iterator[str]:
    for target, more in re.findall(r"\bmake ([a-z][a-z0-9-]*)(?=( [A-Z_]+=|[`)]|$)?)", text):
        if target in commands.TARGETS or (more and target not in TARGETS):
            yield f"make {target}"  # to be said by commands.say, in the reader's own language
    yield from re.findall(r"\b(?:python \S+\.py|(?:flows|scripts)/\w+\.py)", text)


def _wrong_keys(text: str, files: list[str]) -> Iterator[str]:
    everywhere: dict[str, frozenset[str]] = {}
    for file in [name for name in files if name in FILES] or FILES:
        for table, keys in _tables(FILES[file]).items():
            everywhere[table] = everywhere.get(table, frozenset()) | keys
    tables = re.findall(r"(?<![\w\]\"'])\[\[?([a-z_]+(?:\.[\w{}…]+)*)\]\]?(?![\w*?+])", text)
    tables = [next((t for t in _of_any(name) if t in everywhere), name) for name in tables]
    yield from (f"[{table}]" for table in tables if table not in everywhere)
    there = [everywhere[table] for table in tables if table in everywhere] or list(everywhere.values())
    assigned = r"(?<![\w.])([a-z_]+(?:\.[a-z_]+)*) = (?:\".*?\"|\[.*?\]|\S+)"
    keys = set(re.findall(assigned, text))
    for listed in re.findall(r"((?:[a-z_']+(?:, | or | and ))*[a-z_']+) in (?=config/)", re.sub(assigned, "=", text)):
        keys |= set(re.split(r", | or | and ", listed.replace("'", ""))) - WORDS
    for key in keys:
        table, _, name = key.rpartition(".")
        held = [everywhere.get(table, frozenset())] if table else there
        if not any(name in keys for keys in held):
            yield f"{key} ="


def test_what_a_message_names_is_there() -> None:
    found = {message: list(_wrong(message.text)) for message in _messages()}
    assert len(found) > 500
    assert not {message.place: (wrong, message.text) for message, wrong in found.items() if wrong}


WRONG = {
    "say it with: make train VERSION=1": "make train",
    "look at it (make mlflow)": "make mlflow",
    "install it with: make instal EXTRA=ray": "make instal",
    "run python flows/train_flow.py run": "python flows/train_flow.py",
    "change it in config/trian.toml": "config/trian.toml",
    "see docs/manual.md, chapter 2": "docs/manual.md",
    "set CHURNFLOW_HOUSE to another folder": "CHURNFLOW_HOUSE",
    "give it with --sources FILE": "--sources",
    "Give more rows, or lower min_row in config/data.toml [quality].": "min_row =",
    "Give more rows, or raise churn_share in config/train.toml.": "churn_share =",
    "change churn_share in config/data.toml [split].": "churn_share =",
    "set missng = true in config/datasets/NAME.toml [columns.NAME]": "missng =",
    "set min_rows = 10 in config/datasets/NAME.toml [columns.NAME]": "min_rows =",
    "say so: decimal, thousand or unit in config/datasets/NAME.toml [columns.NAME]": "thousand =",
    "there is no [generator] table": "[generator]",
    "change the [gates] of config/train.toml": "[gates]",
    "alert.violation = 3 can never be reached": "alert.violation =",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_message_that_names_what_is_not_there_is_found(text: str) -> None:
    assert list(_wrong(text)) == [WRONG[text]]


def _calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """The calls of functions of these names, with their places."""
    for path, calls in _all_calls().items():
        yield from ((f"{path.relative_to(ROOT)}:{node.lineno}", node) for node in calls if _name(node.func) in names)


@cache
def _all_calls() -> dict[Path, list[ast.Call]]:
    return {path: [node for node in nodes if isinstance(node, ast.Call)] for path, nodes in _nodes().items()}


def _needs(target: str) -> tuple[set[str], set[str]]:
    """The variables that a command must be given, and all that it may be."""
    _, *parts = commands.TARGETS[target]
    must = {name for needs, *words in parts if not needs for name in re.findall(r"\{([A-Z]+)\}", " ".join(words))}
    return must, must | set(re.findall(r"\{([A-Z_]+)\}", str(commands.TARGETS[target]))) | {p[0] for p in parts if p[0]}


def test_every_command_that_is_said_has_its_words_and_no_others() -> None:
    said = list(_calls("commands.say"))
    assert len(said) > 20
    for place, call in said:
        given, (target, *more) = {word.arg for word in call.keywords}, call.args
        assert not more, place
        # A function that takes its target from its caller names a file of customers (see ``_passed_on``).
        for one in [target.value] if isinstance(target, ast.Constant) else _passed_on():
            must, may = _needs(one)
            assert must - given == set() or None in given, (place, must - given)
            assert given - may <= {None}, (place, given - may)


def _passed_on() -> set[str]:
    """The targets that are handed to those functions."""
    found = _calls("synthetic_notice.sources", "sources.choose", "launch.customers", "_line")
    targets = {call.args[-1].value for _, call in found if isinstance(call.args[-1], ast.Constant)}
    assert targets >= {"run", "data", "score"}
    return targets


def test_the_command_that_describes_a_file_has_its_words_and_no_others() -> None:
    given = {word.arg for _, call in _calls("hints.command") for word in call.keywords}
    options = {call.args[0].value for _, call in _calls("commands.option")}
    _, may = _needs("dataset")
    assert given == {"TARGET", "POSITIVE", "LEAVE_OUT"} == {name.upper().replace("-", "_") for name in options}
    assert given <= may
