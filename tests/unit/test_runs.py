"""Which earlier run a flow goes on from."""

from types import SimpleNamespace

import pytest
from churn.validation import profile
from orchestration import runs


def test_a_backfill_is_found_by_its_version_and_is_never_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    backfill = SimpleNamespace(user_tags={"data_version:b", "as_of:2024-06-30", "outcome:succeeded"}, successful=True)
    ordinary = SimpleNamespace(user_tags={"data_version:a", "outcome:succeeded"}, successful=True)
    monkeypatch.setattr(runs, "_all", lambda: iter([backfill, ordinary]))
    assert runs.newest() is ordinary
    assert runs.newest("b") is backfill


class Artifacts(SimpleNamespace):
    """A run's artifacts, as Metaflow's client gives them."""

    def __contains__(self, name: str) -> bool:
        return name in vars(self)


@pytest.mark.parametrize(
    ("text", "flag"), [("profile_json", "synthetic"), ("columns", "made_up")], ids=["now", "before"]
)
def test_a_run_of_an_earlier_release_is_read_by_the_names_it_had(
    text: str, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = profile.to_json(profile.Profile(rows=0, columns={}))
    data = Artifacts(**{text: kept, flag: True, "description": {"name": "telco"}})
    monkeypatch.setattr(
        runs, "_all", lambda: iter([SimpleNamespace(data=data, user_tags={"outcome:succeeded"}, successful=True)])
    )
    assert runs.previous_profile("telco", True) == profile.from_json(kept)
    assert runs.previous_profile("telco", False) is None
