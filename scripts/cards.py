"""``make cards``: the newest runs of every flow on one page of this machine, and their cards from Metaflow's card server."""

import argparse
import html
import re
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import _flows  # noqa: F401 - first: it finds flows/
import base
from churn.settings import commands
from churn.settings.environment import FLOWS
from metaflow import Flow, Run, Task, namespace
from metaflow.exception import MetaflowNotFound
from metaflow.plugins.cards import card_server
from metaflow.plugins.cards.card_client import get_cards
from metaflow.plugins.cards.exception import CardNotPresentException

PORT = 8324  # as Metaflow's `card server`
NEWEST = 10  # runs per flow
STYLE = """body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b2530}
table{border-collapse:collapse;width:100%}
td,th{padding:.4rem .6rem;text-align:left;border-bottom:1px solid #dde3e8;vertical-align:top}
.failed{color:#a4262c}.running{color:#8a6100}a{color:#0b5c8f}"""


def flows() -> list[str]:
    """The names of the flows, in the order of their files."""
    classes = (
        re.search(r"^class (\w+Flow)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        for path in FLOWS.glob("*_flow.py")
    )
    return sorted(one[1] for one in classes if one)


def runs(flow: str) -> Iterator[Run]:
    """The newest runs of a flow, whoever started them."""
    try:
        every = iter(Flow(flow))
    except MetaflowNotFound:
        return
    for _, run in zip(range(NEWEST), every, strict=False):
        yield run


def cards(task: Task | str) -> list[Any]:
    """The cards of a task, including those of the original task of a resumed run."""
    try:
        return list(get_cards(task))
    except (CardNotPresentException, MetaflowNotFound):
        return []


def links(run: Run) -> Iterator[str]:
    """A link to each card of a run, newest step first."""
    for step in run:
        for task in step:
            for card in cards(task):
                yield f'<a href="/card/{task.pathspec}/{card.hash}">{html.escape(card.id or step.id)}</a>'


def row(run: Run) -> str:
    """A run as a row of the page's table."""
    state = "finished" if run.successful else "failed" if run.finished else "running"
    tags = {key: value for key, _, value in (tag.partition(":") for tag in run.user_tags)}
    cells = (html.escape(run.pathspec), f"{run.created_at:%Y-%m-%d %H:%M}", html.escape(tags.get("dataset", "")))
    shown = " · ".join(links(run)) or "no card"
    return f'<tr>{"".join(f"<td>{cell}</td>" for cell in cells)}<td class="{state}">{state}</td><td>{shown}</td></tr>'


def page() -> str:
    """The page of all runs."""
    rows = [row(run) for flow in flows() for run in runs(flow)]
    head = "".join(f"<th>{name}</th>" for name in ("run", "begun", "data set", "state", "cards"))
    none = f"<p>There is no run yet; make one with: {commands.say('run')}</p>"
    table = f"<table><tr>{head}</tr>{''.join(rows)}</table>" if rows else none
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Churnflow: runs and cards</title><style>{STYLE}</style>'
        f"<h1>Runs and their cards</h1><p>The newest {NEWEST} runs of each flow. A card is a page for people: what ran, on "
        f"which data, what came out, and what to do.</p>{table}</html>"
    )


class Pages(card_server.CardViewerRoutes):
    """The list of runs, and the cards from Metaflow's card server."""

    def do_GET(self) -> None:
        """Answer with the list, or with one card of any flow."""
        namespace(None)
        match = re.fullmatch(r"/card/(\w+/\w+/\w+/\w+)/(\w+)", self.path)
        card = match and self.card(match[1], match[2])
        self._response((card or page()).encode(), code=200 if card or self.path == "/" else 404)

    def card(self, task: str, wanted: str) -> str | None:
        """The page of a card, or None if there is no such card."""
        return next((card.get() for card in cards(task) if card.hash == wanted), None)

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


def main() -> None:
    """Serve the page to this machine only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    with base.stopping():
        try:
            server = ThreadingHTTPServer(("127.0.0.1", options.port), Pages)
        except OSError as error:
            other = commands.say("cards", PORT=str(options.port + 1))
            raise base.ChurnError(f"port {options.port} is taken ({error.strerror}); another one: {other}") from error
    print(f"Runs and cards: http://127.0.0.1:{server.server_port}  (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
