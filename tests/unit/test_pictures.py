"""The documentation's pictures are there, light, shown, and of what the code shows now."""

import json

import pictures
import pytest
from conftest import ROOT

NOTED = json.loads((pictures.PLACE / "made_of.json").read_text())


@pytest.mark.parametrize("name", sorted(pictures.MADE_OF))
def test_a_picture_is_of_what_is_shown_now(name: str) -> None:
    assert pictures.hashed(name) == NOTED[name], (
        f"{name} is outdated ({', '.join(pictures.MADE_OF[name])}): make pictures"
    )


@pytest.mark.parametrize("name", sorted(pictures.MADE_OF))
def test_a_picture_is_light_and_shown(name: str) -> None:
    assert 1_000 < (pictures.PLACE / name).stat().st_size < 200_000
    texts = [path.read_text() for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]]
    assert any(f"pictures/{name}" in text for text in texts)


def test_a_recording_shows_steps_and_summary_and_nothing_that_runs() -> None:
    lines = [
        (1.0, "2026-01-01 00:00:00.0 [1/tune/2 (pid 3)] Task finished successfully."),
        (2.0, "Verdict    <passed>"),
    ]
    made = pictures.terminal("make run", lines)
    assert "tune finished" in made
    assert "&lt;passed&gt;" in made
    assert "<script" not in made
