"""A step that lasts says how far it is, and what is left."""

import pytest
from orchestration import progress


def test_a_line_every_ten_seconds_says_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 4.0, 12.0, 15.0, 24.0])
    tell = progress.lines("xgboost: trials", lambda: next(clock))
    for done in (1, 3, 4, 6):
        tell(done, 9)
    said = capsys.readouterr().out.splitlines()
    assert said == ["xgboost: trials: 3 of 9, about 24 s left", "xgboost: trials: 6 of 9, about 12 s left"]
