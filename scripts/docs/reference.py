"""``make docs``: write docs/reference.md, all that can be set, watched, asked or typed, in the words of code and config/."""

import re
import sys
import tomllib
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flows"))
sys.path.append(str(ROOT))

import interfaces
from churn.settings.core import Strict
from churn.settings.data import DataConfig
from churn.settings.dataset import Dataset
from churn.settings.deploy import Deploy
from churn.settings.environment import DEFAULTS, PROFILES
from churn.settings.monitor import MonitorConfig
from churn.settings.retention import Retention
from churn.settings.score import CampaignConfig, ScoreConfig
from churn.settings.train import TrainConfig
from churn.telemetry import prometheus_metrics
from churn.telemetry.prometheus_metrics import Metric
from pydantic.fields import FieldInfo

from bento.settings import ServeConfig

PAGE = ROOT / "docs" / "reference.md"
FILES: dict[str, type[Strict]] = {
    "data.toml": DataConfig,
    "train.toml": TrainConfig,
    "score.toml": ScoreConfig,
    "campaign.toml": CampaignConfig,
    "monitor.toml": MonitorConfig,
    "serve.toml": ServeConfig,
    "deploy.toml": Deploy,
    "retention.toml": Retention,
    "datasets/NAME.toml": Dataset,
}
BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}
WORDS = {str: "text", int: "integer", float: "number", bool: "true or false"}
ROOMS = ("flows", "scripts", "bento")
VARIABLE = r"(?:CHURNFLOW|MIN|AWS|ARGO|ARROW|BENTOML|KUBERNETES|METAFLOW|MLFLOW|PROMETHEUS|RAY)_[A-Z0-9_]+|TMPDIR"
HEAD = """\
# Reference

Written by `make docs` from the settings' models and the comments of `config/`, the list of metrics, `.env.example`, the
service, the flows and the Makefile: change it there. Unknown keys and values of another type are refused.
"""


class Table(typing.NamedTuple):
    """A TOML table as its reader writes it - empty: the file's top level -, and the model that reads it."""

    name: str
    model: type[Strict]


def tables(model: type[Strict], name: str = "", many: bool = False) -> Iterator[Table]:
    """The table that ``model`` reads, then those in it, depth first. Models that only several keys share come once."""
    yield Table(f"[[{name}]]" if many else f"[{name}]" if name else "", model)
    for key, field in model.model_fields.items():
        for inner in models(field.annotation):
            listed, named = (typing.get_origin(field.annotation) is kind for kind in (tuple, dict))
            yield from tables(inner, f"{name}.{key}".strip(".") + (".NAME" if named else ""), listed)


def models(annotation: Any) -> Iterator[type[Strict]]:
    """The settings' models in a type."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from models(inner)


def _plain(annotation: Any) -> bool:
    """Whether a key of this type takes anything but tables of a model's own."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if inner and origin is not Literal:
        return any(_plain(one) for one in inner[origin is dict :])
    return origin is Literal or annotation in WORDS


def comments(text: str) -> dict[tuple[str, str], str]:
    """What a TOML file says at the end of the line of each (table, key); of (table, "") at its head.

    Keys that stand there as an example, behind a #, count too.
    """
    texts: dict[tuple[str, str], str] = {}
    table, last = "", None
    for line in text.splitlines():
        if head := re.match(r"(?:# )?\[+([\w.]+)\]+\s*(?:# (.*))?$", line):
            table, last = head[1], (head[1], "")
            texts[last] = texts.get(last) or head[2] or ""
        elif (pair := re.match(r"""(?:# )?((\w+) = (?:"[^"]*"|[^#"])+)(?:# (.*))?$""", line)) and _is_toml(pair[1]):
            last = (table, pair[2])
            texts[last] = texts.get(last) or pair[3] or ""
        elif last and (more := re.match(r" {8,}# (.*)$", line)):
            texts[last] += f" {more[1]}"
        else:
            last = None
    return texts


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def settings() -> Iterator[str]:
    """The chapters of the files of config/: their tables with keys, types, defaults and comments, each model once."""
    seen: dict[type[Strict], str] = {}
    for file, model in FILES.items():
        yield f"\n## config/{file}"
        last = ""
        remarks = _remarks(file)
        for name, inner in tables(model):
            if inner not in seen:
                seen[inner] = f"`{name}` of config/{file}"
                yield from _table(name, inner, remarks)
            elif (again := f"\n### `{name}`\n\nAs {seen[inner]}.") != last:
                yield (last := again)


def _remarks(file: str) -> dict[tuple[str, str], str]:
    """The comments of a file, or of all descriptions of data sets together; the first that says something counts."""
    texts: dict[tuple[str, str], str] = {}
    for path in sorted((ROOT / "config").glob(file.replace("NAME", "*")), reverse=True):  # telco first
        texts = comments(path.read_text(encoding="utf-8")) | {key: text for key, text in texts.items() if text}
    return texts


def _table(name: str, model: type[Strict], remarks: dict[tuple[str, str], str]) -> Iterator[str]:
    kind = model.model_fields.get("kind")
    if name:
        yield f"\n### `{name}`" + (f" of kind {_words(kind.annotation)}" if kind else "")
    yield f"\n{prose(model)}"
    rows = [
        (f"`{key}`", takes(field), _default(field), _comment(remarks, name.strip("[]"), key))
        for key, field in model.model_fields.items()
        if key != "kind" and _plain(field.annotation)
    ]
    yield from _markdown(("key", "takes", "default", "says"), rows)


def _comment(remarks: dict[tuple[str, str], str], table: str, key: str) -> str:
    """What a file says of a key, or at the head of the table of that name; of [columns.NAME] where a column's table says it."""
    place = re.compile(table.replace("NAME", r"[^.]+"))
    of_key = (text for (name, own), text in remarks.items() if own == key and place.fullmatch(name) and text)
    return next(of_key, remarks.get((key, ""), ""))


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A table of Markdown, without columns in which there is nothing; nothing without rows."""
    columns = [i for i in range(len(head)) if any(row[i] for row in rows)]
    if rows:
        yield ""
    for row in (head, ("---",) * len(head), *rows) if rows else ():
        yield f"| {' | '.join(row[i] for i in columns)} |"


def prose(model: type[Strict]) -> str:
    """The docstring of a model, and of what it inherits from, as a paragraph of Markdown."""
    text = " ".join(kind.__doc__ or "" for kind in model.__mro__ if issubclass(kind, Strict) and kind is not Strict)
    text = re.sub(r"^(?:\[\w+\] of )?config/\S+?\.toml[.:;] ?", "", " ".join(text.split()))
    return re.sub(r"``(.*?)``", r"`\1`", text[:1].upper() + text[1:])


def takes(field: FieldInfo) -> str:
    """What a key takes, in words: its type, its choices and its bounds."""
    bounds = [
        wording.format(f"{value:,}" if isinstance(value, int) else value)
        for one in field.metadata
        for bound, wording in BOUNDS.items()
        if (value := getattr(one, bound, None)) is not None
    ]
    return ", ".join([_words(field.annotation), " ".join(bounds)] if bounds else [_words(field.annotation)])


def _words(annotation: Any) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in inner)
    if origin is tuple:
        return f"list of {_words(inner[0])}" if inner[-1] is Ellipsis else f"[{', '.join(map(_words, inner))}]"
    if origin is dict:
        return f"table of {_words(inner[1])}"
    if inner:
        return " or ".join(dict.fromkeys(_words(one) for one in inner if one is not type(None)))
    return WORDS.get(annotation, f"`{annotation}`")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None or field.default == {} or field.default == ():
        return ""
    value = field.default
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def metrics() -> Iterator[Metric]:
    """Every Prometheus metric, in the order of the list."""
    for value in vars(prometheus_metrics).values():
        for one in value.values() if isinstance(value, dict) else [value]:
            if isinstance(one, Metric):
                yield one


def variables(text: str) -> Iterator[tuple[str, str]]:
    """Name and comment of each variable in a file like .env.example, those behind a # among them.

    A comment counts for all variables below it, to the next one; a line that ends with a colon is a heading.
    """
    comment = ""
    for line in text.splitlines():
        if pair := re.match(r"(?:# )?([A-Z][A-Z0-9_]+)=", line):
            yield pair[1], comment
        else:
            comment = line.removeprefix("# ")


def targets() -> Iterator[tuple[str, str, str]]:
    """Group, name and description of each target, as ``make help`` shows them."""
    group = ""
    for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines():
        group = line.removeprefix("##@ ") if line.startswith("##@ ") else group
        if target := re.match(r"([a-z0-9-]+):.*## (.*)", line):
            yield group, target[1], target[2]


def known() -> list[str]:
    """The variables of the environment that the code names, its own and those of the libraries."""
    code = [path.read_text(encoding="utf-8") for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return sorted(set(re.findall(rf'"({VARIABLE})"', "\n".join(code))))


def environment() -> Iterator[str]:
    """The chapter of the environment."""
    mine = dict(variables((ROOT / ".env.example").read_text(encoding="utf-8")))
    yield "\n## Environment"
    yield from _markdown(("variable", "says"), [(f"`{name}`", comment) for name, comment in mine.items()])
    yield "\nSet for the libraries and the flows by `config/profiles`, where you have not set them:"
    texts = [(PROFILES / f"{name}.toml").read_text(encoding="utf-8") for name in ("local", "cluster")]
    remarks = comments(texts[1])
    local, cluster = map(tomllib.loads, texts)
    rows = [
        (f"`{name}`", _code(local.get(name, "")), _code(cluster.get(name, "")), remarks.get(("", name), ""))
        for name in sorted(local | cluster)
    ]
    yield from _markdown(("variable", "local", "cluster", "says"), rows)
    yield f"\nAnd in both, by `flows/churn/settings/environment.py`: {_listed(DEFAULTS)}."
    others = [name for name in known() if name not in {*mine, *local, *cluster, *DEFAULTS}]
    own, libraries = ([name for name in others if name.startswith("CHURNFLOW_") == ours] for ours in (True, False))
    yield f"\nNot for you: {_listed(own)}, which processes of Churnflow set for each other,"
    yield f"and what they read of libraries or set for them: {_listed(libraries)}."


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_code, sorted(names)))


def page() -> str:
    """The whole page."""
    parts = [HEAD, *settings(), *environment(), "\n## Metrics"]
    parts += _markdown(
        ("metric", "labels", "says"), [(_code(one.name), _listed(one.labels), one.help) for one in metrics()]
    )
    parts += [
        "\n## Endpoints",
        *_markdown(("method", "path", "says"), [(a, _code(b), c) for a, b, c in interfaces.endpoints()]),
    ]
    left = [(flow, step, _listed(names), said) for flow, step, names, said in interfaces.artifacts()]
    parts += ["\n## Artifacts", *_markdown(("flow", "step", "leaves", "what is true then"), left)]
    parts += ["\n## Commands", *_markdown(("for", "command", "says"), [(a, f"`make {b}`", c) for a, b, c in targets()])]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
