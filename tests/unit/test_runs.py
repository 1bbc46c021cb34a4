"""Which earlier run a flow goes on from."""

from types import SimpleNamespace

import pytest
from orchestration import runs


def test_a_backfill_is_found_by_its_version_and_is_never_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    backfill = SimpleNamespace(user_tags={"data_version:b", "as_of:2024-06-30", "outcome:succeeded"}, successful=True)
    ordinary = SimpleNamespace(user_tags={"data_version:a", "outcome:succeeded"}, successful=True)
    monkeypatch.setattr(runs, "_all", lambda: iter([backfill, ordinary]))
    assert runs.newest() is ordinary
    assert runs.newest("b") is backfill
