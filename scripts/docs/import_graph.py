"""``make docs``: draw docs/imports.svg from the code: the rooms with their modules, and which room imports which."""

import ast
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "imports.svg"
COMMANDS = ("scripts", "flows", "bento")  # the importers of the rooms in flows/churn
WRAP, LINE, PAD, CELL, LEFT, TOP, MARGIN = 92, 14, 9, 30, 600, 130, 80
STYLE = """
text { font: 12px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2933 }
.room { font-weight: 600; font-size: 13px } .small { font-size: 11px; fill: #52606d }
.box { fill: #f5f7fa; stroke: #cbd2d9 }
.grid { stroke: #e4e7eb } .self { fill: #cbd2d9 } .dot { fill: #2f6f9f }
"""


class Room(NamedTuple):
    """A folder of modules."""

    name: str
    modules: tuple[str, ...]


def rooms() -> list[Room]:
    """The commands' folders, then the rooms of flows/churn in the order that import-linter enforces."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (contract,) = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    layers = [name.strip() for layer in contract["layers"] for name in layer.split(":")]
    layers = [name.removeprefix("churn.") for name in layers if name.startswith("churn.")]
    return [
        Room(name, tuple(path.stem for path in _files(name) if path.stem[0] != "_")) for name in (*COMMANDS, *layers)
    ]


def _files(room: str) -> list[Path]:
    if room in COMMANDS:
        return sorted(path for path in (ROOT / room).rglob("*.py") if "churn" not in path.relative_to(ROOT).parts)
    place = ROOT / "flows" / "churn" / room
    return sorted(place.glob("*.py")) or [place.with_suffix(".py")]


@cache
def imports() -> set[tuple[str, str]]:
    """The pairs of rooms in which a module of the first imports one of the second; type-checking imports do not count."""
    names = [room.name for room in rooms()]
    flows = {path.relative_to(ROOT / "flows").with_suffix("").parts[0] for path in _files("flows")}
    edges = set()
    for room in names:
        for path in _files(room):
            for name in _imported(ast.parse(path.read_text(encoding="utf-8"))):
                first, *more = name.split(".")
                edges.add((room, more[0] if first == "churn" and more else "flows" if first in flows else first))
    return {(room, other) for room, other in edges if other in names and other != room}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imported(node)


def svg() -> str:
    """The picture: a row for each room with its modules, and a column for each room that it may import from."""
    pairs, listed = imports(), rooms()
    columns = [room.name for room in listed[1:]]
    lines = [textwrap.wrap(", ".join(room.modules), WRAP) if room.modules != (room.name,) else [] for room in listed]
    heights = [max(CELL, 2 * PAD + LINE * (1 + len(text))) for text in lines]
    tops = [TOP + sum(heights[:i]) for i in range(len(listed) + 1)]
    width, height = LEFT + CELL * len(columns) + MARGIN, tops[-1] + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    ]
    parts += [f"<style>{STYLE}</style>", f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for j, name in enumerate(columns):
        x = LEFT + CELL * j + CELL // 2
        parts.append(f'<text class="room" transform="translate({x + 4} {TOP - 8}) rotate(-55)">{name}</text>')
        parts.append(f'<line class="grid" x1="{x}" y1="{TOP}" x2="{x}" y2="{tops[-1]}"/>')
    for i, room in enumerate(listed):
        parts += _row(room, lines[i], tops[i], heights[i])
        y = tops[i] + heights[i] // 2
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{LEFT + CELL * len(columns)}" y2="{y}"/>')
        for j, other in enumerate(columns):
            parts += _cell(LEFT + CELL * j + CELL // 2, y, room.name == other, (room.name, other) in pairs)
    note = "A dot: the row's room imports from the column's. All are right of the diagonal: nothing imports upwards."
    parts.append(f'<text class="small" x="10" y="{height - 10}">{note}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(room: Room, lines: list[str], top: int, height: int) -> Iterator[str]:
    yield f'<rect class="box" x="10" y="{top + 2}" width="{LEFT - 20}" height="{height - 4}" rx="5"/>'
    yield f'<text class="room" x="20" y="{top + PAD + 11}">{room.name}</text>'
    for i, text in enumerate(lines):
        yield f'<text class="small" x="20" y="{top + PAD + 11 + LINE * (i + 1)}">{escape(text)}</text>'


def _cell(x: int, y: int, same: bool, imported: bool) -> Iterator[str]:
    if same:
        yield f'<rect class="self" x="{x - 8}" y="{y - 8}" width="16" height="16" rx="3"/>'
    elif imported:
        yield f'<circle class="dot" cx="{x}" cy="{y}" r="7"/>'


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
