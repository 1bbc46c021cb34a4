"""``make cards``: the flows it lists, and what it answers; and commands on cards, which fit a laptop."""

import subprocess
from types import SimpleNamespace

import cards
import pytest
from churn.cards import card_parts


def test_every_flow_is_listed() -> None:
    assert {"DataFlow", "TrainFlow", "ScoreFlow", "MonitorFlow", "DeployFlow"} <= set(cards.flows())


def test_without_a_run_the_page_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "runs", lambda flow: iter(()))
    assert "There is no run yet" in cards.page()


@pytest.mark.parametrize("path", ["/card/NoFlow/1/start/1/0123", "/card/../../etc/passwd", "/else"])
def test_what_is_no_card_is_the_list_with_404(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[bytes, int]] = []
    monkeypatch.setattr(cards, "page", lambda: "the list")
    asked = SimpleNamespace(path=path, _response=lambda body, code: told.append((body, code)))
    asked.card = lambda task, wanted: cards.Pages.card(asked, task, wanted)
    cards.Pages.do_GET(asked)
    assert told == [(b"the list", 404)]


def test_a_command_on_a_card_is_no_wider_than_a_laptop_and_the_same_to_the_shell() -> None:
    long = (
        f"python flows/train_flow.py --config description '/a folder/{'x' * 60}.toml' run --source \"{'y' * 50} z.csv\""
    )
    shown = card_parts.command(long).strip("`\n")
    assert max(len(line) for line in shown.splitlines()) <= card_parts.WIDTH + 12
    said = [
        subprocess.run(["bash", "-c", f"printf '%s\\n' {text}"], capture_output=True, check=True).stdout
        for text in (shown, long)
    ]
    assert said[0] == said[1]
