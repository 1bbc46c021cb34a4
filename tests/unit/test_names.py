"""Two public names alike have one meaning: a reader who searches for a name finds what it means."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "flows" / "churn").rglob("*.py"), *(ROOT / "bento").rglob("*.py")])
# Verbs and nouns that mean the same of every module: what they act on is the module's subject (``snapshots.load``).
SHARED = {
    *(
        "check",
        "client",
        "compare",
        "describe",
        "example",
        "explained",
        "fetch",
        "from_log",
        "generate",
        "load",
        "locked",
    ),
    *("parse", "promote", "publish", "rank", "read", "register", "remove", "save", "screen", "sweep", "without"),
    *("address", "columns", "customers", "file", "lineage", "manifest", "package", "parts", "path", "place", "report"),
    *("root", "rows", "quarantine", "settings", "text", "whole"),
    "known",  # what a store of ``privacy`` knows of: its items, of which some are needed
    # DeployFlow and the laptop's server do, with their own means, what release, notify and the log do.
    *("answers", "begin", "examples", "main", "of", "post", "samples", "tell", "version"),
}


def _definitions(kind: type[ast.stmt]) -> dict[str, list[str]]:
    """The modules that define each public class or function."""
    where = defaultdict(list)
    for file in FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, kind) and not node.name.startswith("_"):  # type: ignore[attr-defined]
                where[node.name].append(str(file.relative_to(ROOT)))  # type: ignore[attr-defined]
    return where


def test_a_class_has_its_name_for_itself() -> None:
    alike = {name: files for name, files in _definitions(ast.ClassDef).items() if len(files) > 1}
    # The service's answer of POST /read is the class of the reader, as a pydantic model.
    assert alike.keys() <= {"CustomerFile"}, alike


def test_functions_of_one_name_mean_the_same() -> None:
    alike = {name: files for name, files in _definitions(ast.FunctionDef).items() if len(files) > 1}
    assert alike.keys() <= SHARED, {name: files for name, files in alike.items() if name not in SHARED}
