"""MLflow's database is there whole, or not at all, whatever happens to those who make it."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import kills
import pytest
from churn.errors import ChurnError
from churn.registry import mlflow_store
from churn.storage import mlflow_database

FIRST = "mlflow_store.client()"


def _opens(file: Path) -> bool:
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{file}"
    return len(mlflow_store.client().search_experiments()) == 1


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_of_several_that_begin_at_once_one_makes_the_tables(
    empty_database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Path] = []

    def migrate(file: Path) -> None:
        made.append(file)
        shutil.copy(empty_database, file)

    monkeypatch.setattr(mlflow_database, "_migrate", migrate)
    file = tmp_path / "mlflow.db"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(mlflow_database.prepare, [f"sqlite:///{file}"] * 4))
    assert made == [tmp_path / ".mlflow.db.new"]
    assert kills.leftovers(tmp_path) == ["mlflow.db", "mlflow.lock"]
    assert file.read_bytes() == empty_database.read_bytes()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError("No space left on device")])
def test_a_start_that_breaks_off_leaves_nothing(
    empty_database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stop: BaseException
) -> None:
    def migrate(file: Path) -> None:
        file.write_bytes(empty_database.read_bytes()[:100_000])
        raise stop

    monkeypatch.setattr(mlflow_database, "_migrate", migrate)
    with pytest.raises((KeyboardInterrupt, OSError)):
        mlflow_database.prepare(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert kills.leftovers(tmp_path) == ["mlflow.lock"]


def _first_start(file: Path) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{file}"
    mlflow_store.client()


@pytest.mark.long
def test_a_start_that_is_killed_is_made_up_for_by_the_next(tmp_path: Path) -> None:
    """Really killed, in the middle of MLflow's migrations."""
    file = tmp_path / "mlflow.db"
    assert kills.forked(lambda: _first_start(file), at=300) == -1
    assert kills.leftovers(tmp_path)[0] == ".mlflow.db.new"
    assert not file.exists()
    assert _opens(file)
    assert kills.leftovers(tmp_path) == ["mlflow.db", "mlflow.lock"]


def test_what_an_interrupted_start_of_an_older_release_left_is_one_line(
    empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(shutil.copy(empty_database, tmp_path / "mlflow.db"))
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE registered_model_aliases")
        database.execute("DELETE FROM alembic_version")
    before = file.read_bytes()
    with pytest.raises(
        ChurnError, match=r"its MLflow tables are incomplete .* move it away and run this again"
    ) as error:
        mlflow_store.client()
    assert "\n" not in str(error.value)
    assert file.read_bytes() == before, "not a byte of it is touched"


@pytest.mark.parametrize("bit", [3, 8 * 24 + 1, 8 * 3000 + 1, 8 * 60_000])
def test_a_damaged_database_is_one_line_or_none(
    empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bit: int
) -> None:
    file = Path(shutil.copy(empty_database, tmp_path / f"{bit}.db"))
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    with suppress(ChurnError):
        assert _opens(file)
        return
    with pytest.raises(ChurnError, match=r"^[^\n]* not a SQLite database, or is damaged[^\n]*$"):
        _opens(file)


@pytest.mark.slow
def test_forty_first_starts_killed_at_any_change_leave_nothing_broken(tmp_path: Path) -> None:
    changes = kills.forked(lambda: _first_start(tmp_path / "mlflow.db"))
    assert _opens(tmp_path / "mlflow.db")
    for at in kills.sample(changes):
        folder = tmp_path / str(at)
        folder.mkdir()
        file = folder / "mlflow.db"
        assert kills.forked(lambda file=file: _first_start(file), at) == -1  # type: ignore[misc]
        whole = file.exists()
        assert _opens(file)
        assert kills.leftovers(folder) in (["mlflow.db", "mlflow.lock"], ["mlflow.db"]), (at, whole)


@pytest.mark.slow
def test_twenty_first_starts_interrupted_at_any_moment_leave_nothing_broken(tmp_path: Path) -> None:
    rng = random.Random(0)
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        file = folder / "mlflow.db"
        process = kills.start(kills.script(FIRST), MLFLOW_TRACKING_URI=f"sqlite:///{file}")
        kills.after(8, rng)
        if process.poll() is None:
            kills.end(process, signal.SIGINT)
        assert _opens(file)
        assert kills.leftovers(folder) in (["mlflow.db", "mlflow.lock"], ["mlflow.db"])


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(3))
def test_simultaneous_first_starts_work(tmp_path: Path, turn: int) -> None:
    racing = [subprocess.Popen(kills.script(FIRST), cwd=kills.ROOT) for _ in range(4)]
    assert [process.wait(300) for process in racing] == [0, 0, 0, 0]
    assert _opens(tmp_path / "mlflow.db")
