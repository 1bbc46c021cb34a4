"""The parts of a card: Markdown text, a Table, a Chart, or a matplotlib figure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CHURNED, STAYED = "#c4472f", "#3f6f9f"
WIDTH = 90  # characters in one line of a command


@dataclass(frozen=True)
class Table:
    """A table; every cell is text."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """A chart drawn by the browser: a Vega-Lite specification with aggregated data."""

    spec: dict[str, Any]


Part = Any  # str (Markdown), Table, Chart, or a matplotlib Figure


def inert(text: str) -> str:
    """The text without Markdown links and HTML: a column name in a user's file must not become a ``javascript:`` link.

    An invisible space (U+200B) breaks their syntax, inside and outside code. Cards have no links of their own.
    """
    return re.sub(r"(?<=\])(?=[(\[:])|(?<=<)(?=[A-Za-z/!?])", "\u200b", text)


def command(text: str) -> str:
    """The command as a code block that fits a card on a laptop and can be pasted as it is.

    Lines break at blanks outside quotes; the shell joins them again.
    """
    words = re.findall(r"(?:[^\s'\"]|'[^']*'|\"[^\"]*\")+", text)
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > WIDTH:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "```\n" + " \\\n  ".join(lines) + "\n```"


def figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """A matplotlib figure of ``width`` x ``height`` inches, and its axes as an array of shape (rows, columns)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8})
    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")
