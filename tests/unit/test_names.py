"""Two public names alike have one meaning: a reader who searches for a name finds what it means."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "flows" / "churn").rglob("*.py"), *(ROOT / "bento").rglob("*.py")])
# What each of these does or is, whichever module it is in; what it acts on is the module's subject (``snapshots.load``).
SHARED = {
    "check": "raises ChurnError where a configuration does not fit",
    "client": "the library's client for a store",
    "columns": "the columns that are read",
    "compare": "one model's scores against another's on the same rows",
    "customers": "a table of customers, made of events",
    "describe": "the description of a data set, from its files",
    "example": "a value that the service accepts",
    "examples": "synthetic customers of a model",
    "explained": "a context in which a library's errors become ChurnErrors",
    "fetch": "downloads what was released into a folder",
    "from_log": "what the prediction log holds",
    "generate": "synthetic data of a seed",
    "keep_features": "stores the features of customers made from events, for requests by id",
    "known": "what a store of ``privacy`` knows of: its items, of which some are needed",
    "lineage": "where a model comes from",
    "load": "what was stored, as its object",
    "main": "a process's own code",
    "parse": "content in memory, as its object",
    "parts": "the parts of a card",
    "path": "where an object lies in a store",
    "promote": "makes a version champion",
    "publish": "puts a Bento where clusters fetch it",
    "rank": "customers in order, the likeliest to churn first",
    "read": "the content of a file, a log or a variable",
    "register": "registers a model in MLflow",
    "remove": "deletes from a store",
    "report": "lines for the terminal on what was found and done",
    "root": "the folder, or the prefix in S3, of what a module writes",
    "rows": "the rows of a table or a version",
    "running": "an engine over a description's tables, ready for its statement",
    "samples": "metrics for Prometheus",
    "save": "stores a data version",
    "screen": "customers without an outcome that can be scored, apart from those that cannot",
    "sweep": "goes through a store for a customer's traces",
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
    assert alike.keys() == SHARED.keys(), alike.keys() ^ SHARED.keys()
