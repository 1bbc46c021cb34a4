"""A change of champions is all or nothing on SQLite and PostgreSQL, wherever the process that makes it is killed."""

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kills
import postgres
import pytest
from churn.errors import ChurnError
from churn.registry import champion_move, mlflow_store, model_registry, registry_lock
from churn.registry.gate import SUMMARY

NAME = "moved"
WRITES = ("set_", "delete_", "transition_", "create_", "rename_")
PROMOTE = (
    f"model_registry.promote(model_registry.by_version('{NAME}', '3'), {{'{SUMMARY}': 'won', 'gate.f1': '1'}}, '2')"
)
ROLLBACK = f"model_registry.rollback('{NAME}', 'wrong offers')"
State = tuple[str | None, str | None, dict[str, str], bool, tuple[str | None, ...]]

# What a person expects before and after: champion, previous, stages, whether 3 is said to have won, what they replaced.
START: State = ("2", "1", {"1": "Archived", "2": "Production", "3": "None"}, False, (None, "1", None))
PROMOTED: State = ("3", "2", {"1": "Archived", "2": "Archived", "3": "Production"}, True, (None, "1", "2"))
BACK: State = ("1", None, {"1": "Production", "2": "Archived", "3": "None"}, False, (None, "1", None))


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def database(
    request: pytest.FixtureRequest, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of an empty store of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{shutil.copy(empty_database, tmp_path_factory.mktemp('store') / 'mlflow.db')}"
        return
    with postgres.running() as server:
        yield server.url.replace("${CRM_PASSWORD}", server.password).replace("postgresql:", "postgresql+psycopg:")


@pytest.fixture
def mlflow(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three versions: 2 is champion, 1 was."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    found = mlflow_store.client()
    experiment = found.create_experiment(os.urandom(4).hex(), "file:///nowhere")
    run = found.create_run(experiment).info.run_id
    found.create_registered_model(NAME)
    versions = [str(found.create_model_version(NAME, "file:///nowhere", run).version) for _ in range(3)]
    for former, version in ((None, versions[0]), (versions[0], versions[1])):
        assert model_registry.promote(model_registry.by_version(NAME, version), {SUMMARY: "won"}, former)
    assert state() == START
    yield found
    for left in found.search_registered_models():
        found.delete_registered_model(left.name)


def state() -> State:
    """What readers see."""
    found = {a: model_registry.by_alias(NAME, a) for a in (champion_move.CHAMPION, champion_move.PREVIOUS)}
    versions = sorted(mlflow_store.client().search_model_versions(f"name = '{NAME}'"), key=lambda one: int(one.version))
    won = versions[2].tags.get(SUMMARY) == "won"
    replaced = tuple(version.tags.get(model_registry.REPLACED) for version in versions)
    champion, previous = (one.version if one is not None else None for one in found.values())
    return champion, previous, {str(v.version): str(v.current_stage) for v in versions}, won, replaced


class Killed(BaseException):
    """No more of this process."""


class Mortal:
    """MLflow's client, until the write of number ``last`` has been made, or was about to be."""

    def __init__(self, client: Any, last: int, after: bool) -> None:
        self.client, self.last, self.after, self.writes = client, last, after, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*words: Any, **named: Any) -> Any:
            self.writes += name.startswith(WRITES)
            if self.writes > self.last or (self.writes == self.last and not self.after):
                raise Killed
            return method(*words, **named)

        return call


def _killed_at(write: int, after: bool, work: Callable[[], Any], mlflow: Any) -> bool:
    """Whether the ``work`` was cut short by a kill at that write. Its lock stays, as of a process that runs no more."""
    mortal = Mortal(mlflow, write, after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_registry, "client", lambda: mortal)
        patch.setattr(registry_lock, "_process", lambda _: "4194305.1")
        try:
            work()
        except Killed:
            return True
        return False


def _promote() -> Any:
    return model_registry.promote(model_registry.by_version(NAME, "3"), {SUMMARY: "won", "gate.f1": "1"}, expected="2")


def _rollback() -> Any:
    return model_registry.rollback(NAME, "wrong offers")


def _again() -> Any:
    champion = model_registry.by_alias(NAME, "champion")
    assert champion is not None
    return _rollback() if champion.version == "2" else None


CASES = {"promote": (_promote, PROMOTED), "rollback": (_rollback, BACK)}


@pytest.mark.parametrize(
    ("step", "after"),
    [(4, True), pytest.param(1, True, marks=pytest.mark.slow), pytest.param(1, False, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("case", CASES)
def test_killed_at_any_write_it_is_as_before_or_done(case: str, step: int, after: bool, mlflow: Any) -> None:
    work, wanted = CASES[case]
    outcomes = []
    for write in range(2, 30, step):
        if not _killed_at(write, after, work, mlflow):
            break
        outcomes.append(state())
        assert outcomes[-1] in (START, wanted), f"write {write}"
        assert champion_move.MOVE not in mlflow.get_registered_model(NAME).tags or outcomes[-1] == START
        if case == "promote":
            assert _promote()
        else:
            _again()
        assert state() == wanted, f"the next command, after write {write}"
        _reset(mlflow)
    assert write > 5
    assert START in outcomes
    assert wanted in outcomes


def _reset(mlflow: Any) -> None:
    """Back to START."""
    for version in ("1", "2", "3"):
        for key in mlflow.get_model_version(NAME, version).tags:
            mlflow.delete_model_version_tag(NAME, version, key)
    mlflow.set_model_version_tag(NAME, "2", model_registry.REPLACED, "1")
    for alias, version in (("champion", "2"), ("previous", "1")):
        mlflow.set_registered_model_alias(NAME, alias, version)
    for version, stage in START[2].items():
        champion_move.move_to_stage(mlflow, NAME, version, stage)
    assert state() == START


def test_a_promotion_that_was_not_decided_leaves_no_trace_in_a_later_one(mlflow: Any) -> None:
    """Killed before the write that decides, and then another version is promoted, or the champion rolled back."""
    note = champion_move.Move("3", "2", {"3": {SUMMARY: "won"}}).text()
    mlflow.set_registered_model_tag(NAME, champion_move.MOVE, note)
    assert state() == START
    mlflow.set_registered_model_tag(NAME, champion_move.MOVE, note)
    bad, good = _rollback()
    assert (bad.version, good.version) == ("2", "1")
    assert state() == BACK


def test_what_an_older_release_left_half_done_is_read_as_it_was_meant(mlflow: Any) -> None:
    """It moved ``previous`` before the champion, and in a rollback after it: champion and previous were the same version."""
    mlflow.set_registered_model_alias(NAME, "previous", "2")
    previous = model_registry.by_alias(NAME, "previous")
    assert previous is not None
    assert previous.version == "1"
    bad, good = _rollback()
    assert (bad.version, good.version) == ("2", "1")
    mlflow.set_registered_model_alias(NAME, "previous", "1")
    assert model_registry.by_alias(NAME, "previous") is None
    with pytest.raises(ChurnError, match="has no previous champion"):
        _rollback()


def test_a_long_reason_fits_into_what_postgresql_holds(mlflow: Any) -> None:
    model_registry.rollback(NAME, 'ä"\n' * 5000)
    assert state() == BACK


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_forty_kills_at_any_moment(case: str, mlflow: Any, database: str, tmp_path: Path) -> None:
    rng, wanted = random.Random(case), CASES[case][1]
    code = {"promote": PROMOTE, "rollback": ROLLBACK}[case]
    environ = {"MLFLOW_TRACKING_URI": database}
    process, began, outcomes = kills.start(kills.script(code), **environ), time.monotonic(), []
    assert process.wait(300) == 0
    takes = time.monotonic() - began
    _reset(mlflow)
    for _ in range(40):
        process = kills.start(kills.script(code), **environ)
        kills.after(1.3 * takes, rng)
        if process.poll() is None:
            kills.end(process)
        outcomes.append(state())
        assert outcomes[-1] in (START, wanted)
        if case == "promote":
            assert _promote()
        else:
            _again()
        assert state() == wanted
        _reset(mlflow)
    assert {str(one) for one in outcomes} == {str(START), str(wanted)}, "some were killed before, and some after"


@pytest.mark.long
def test_the_tag_of_a_move_is_never_seen_by_who_reads(mlflow: Any, tmp_path: Path) -> None:
    """While another process is between its writes, the answer is what it will be."""
    with registry_lock.locked(mlflow, NAME):
        mlflow.set_registered_model_tag(NAME, champion_move.MOVE, champion_move.Move("3", "2", {}).text())
        assert state()[:2] == ("2", "1")
        mlflow.set_registered_model_alias(NAME, "champion", "3")
        assert state()[:2] == ("3", "2")
    assert state()[:2] == ("3", "2")
    assert champion_move.MOVE not in mlflow.get_registered_model(NAME).tags
