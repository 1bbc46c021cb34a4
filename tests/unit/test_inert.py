"""Names out of somebody's file in a card: text, never a link. A Markdown parser that is not ours says what it would be."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from churn.cards import card_parts
from markdown_it import MarkdownIt

HOSTILE = [
    "[pay](javascript:alert(1))",
    "a`[pay](javascript:alert(1))",
    "![pay](javascript:alert(1))",
    "[pay][x]\n\n[x]: javascript:alert(1)",
    "<javascript:alert(1)>",
    '<a href="javascript:alert(1)">pay</a>',
    "</p><script>alert(1)</script>",
    "[[pay](javascript:alert(1))](javascript:alert(2))",
]


def links(text: str) -> list[str]:
    """The links, images and HTML of a Markdown text. The parser itself refuses javascript: links: it is told not to."""
    parser = MarkdownIt("commonmark")
    parser.validateLink = lambda url: True
    found, waiting = [], parser.parse(text)
    while waiting:
        token = waiting.pop()
        waiting += token.children or []
        found += [token.type] if token.type in ("link_open", "image", "html_inline", "html_block") else []
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_column_name_is_no_link(name: str) -> None:
    text = f"The worst column is {name}, with `tenure` after it.\n\n- {name}"
    assert links(text), "the test shows nothing"
    assert links(card_parts.inert(text)) == []


@pytest.mark.parametrize("text", ["a < 5 and b [value] (100)", "`x[0] < 1`", "**AUC** 0.84, *p* < 0.05", ""])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert card_parts.inert(text) == text


def test_every_part_of_a_card_is_inert(monkeypatch: pytest.MonkeyPatch) -> None:
    import base

    kept: list[Any] = []
    fake = SimpleNamespace(
        Image=None,
        VegaChart=None,
        Markdown=kept.append,
        Table=lambda rows, headers: kept.extend([*headers, *rows[0]]),
    )
    monkeypatch.setitem(sys.modules, "metaflow.cards", fake)
    base.render([], [HOSTILE[0], card_parts.Table([HOSTILE[0]], [[HOSTILE[0]]])])
    assert len(kept) == 3
    assert [links(text) for text in kept] == [[], [], []]
