"""Reads endpoints and artifacts from the code, for the reference."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def endpoints() -> Iterator[tuple[str, str, str]]:
    """Method, path and summary of each endpoint in the service's OpenAPI document."""
    calls = ast.walk(ast.parse((ROOT / "bento" / "endpoints.py").read_text(encoding="utf-8")))
    for call in (one for one in calls if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)):
        method = {"takes": "POST", "gives": "GET"}.get(call.func.attr) if isinstance(call.func, ast.Attribute) else None
        keywords = {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
        if method and "summary" in keywords and isinstance(call.args[0], ast.Constant):
            yield method, str(call.args[0].value), str(keywords["summary"])


def artifacts() -> Iterator[tuple[str, str, set[str], str]]:
    """Flow, step, the step's artifacts, and its docstring's first line."""
    for path in sorted((ROOT / "flows").glob("*_flow.py")):
        for flow in (one for one in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(one, ast.ClassDef)):
            for step in (one for one in flow.body if isinstance(one, ast.FunctionDef)):
                if any(isinstance(one, ast.Name) and one.id == "step" for one in step.decorator_list):
                    summary = (ast.get_docstring(step) or "").split("\n")[0]
                    yield flow.name, step.name, _left(step), re.sub(r"``(.*?)``", r"`\1`", summary)


def _left(step: ast.FunctionDef) -> set[str]:
    """The attributes of ``self`` that a step's body assigns."""
    stores = (one for one in ast.walk(step) if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store))
    return {one.attr for one in stores if isinstance(one.value, ast.Name) and one.value.id == "self"}
