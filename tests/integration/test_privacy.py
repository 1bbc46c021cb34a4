"""A customer is found and forgotten in all that a session leaves behind, whenever the erasing is killed; what is old goes."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import unpacked
from churn.campaigns import campaign_log, execution
from churn.data import snapshots, tables
from churn.privacy import data_versions, erasure, lineage, retention, trials
from churn.registry import mlflow_store, model_registry, tracking, versions
from churn.serving import prediction_log, reference_data, release
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.settings.environment import STATE
from churn.settings.retention import Retention
from churn.storage import keyed_ids
from conftest import ROOT, flow
from orchestration import runs

pytestmark = pytest.mark.long

SECRET = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret
HELD_OUT, TRAINED = "held out", "trained on"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keyed_ids.KEY, SECRET)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def _erase(customer: str) -> str:
    """What ``make erase`` does and says, in this process."""
    who = erasure.subject(customer)
    return "\n".join(erasure.report(who, erasure.sweep(who, remove=True), removed=True))


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _put_back(state: dict[str, bytes]) -> None:
    """The state folder as it was; files keep their place on the disk, for who has them open."""
    for name in _content(STATE).keys() - state.keys():
        (STATE / name).unlink()
    for name, content in state.items():
        path = STATE / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _campaign(telco: Dataset, ids: list[str], now: int) -> None:
    """What a campaign of these customers leaves: its log, and the list of whom to contact."""
    members = pd.DataFrame({name: [None] * len(ids) for name in campaign_log.log_columns(telco).names})
    members["customerID"] = [keyed_ids.keyed(one, SECRET.encode()) for one in ids]
    members["prediction_id"] = [f"{number:032x}" for number in range(len(ids))]
    members = members.assign(
        campaign="spring", dataset="telco", offer="call", time=pd.Timestamp(now, unit="us", tz="UTC")
    )
    campaign_log.append(telco, members, now, "spring")
    plan = SimpleNamespace(campaign="spring", scored=None)
    execution._list(plan, members.drop(columns="customerID").assign(id=ids), "contacts/telco-spring.csv", "customerID")


@pytest.fixture(scope="module")
def known(trained: SimpleNamespace, telco: Dataset, customers_csv: Path) -> Iterator[SimpleNamespace]:
    """Two customers whose traces are everywhere; what is done to the state is undone at the end."""
    before = _content(STATE)
    data = snapshots.load(trained.data.data_version)
    ids = {HELD_OUT: str(data.holdout.customerID[5]), TRAINED: str(data.train.customerID[5])}
    done = flow("score_flow", "run", "--source", str(customers_csv))
    assert done.returncode == 0, done.stdout
    (listed,) = (one for one in (STATE / "scores").glob("*.csv") if f"scores/{one.name}" not in before)
    predictions = dict(zip(*pd.read_csv(listed)[["customerID", "prediction_id"]].to_numpy().T, strict=True))
    now, champion = time.time_ns() // 1000, trained.train.champion
    rows = [("f" * 31 + str(i), now, "1", "d", 0.5, True, keyed_ids.keyed(one, SECRET.encode()))
            for i, one in enumerate(ids.values())]  # fmt: skip
    schema = prediction_log.schema(telco, with_id=True)
    parts = {
        prediction_log.PREDICTIONS: (schema, [row + (None,) * len(telco.raw) for row in rows]),
        prediction_log.FEEDBACK: (
            prediction_log.feedback_schema(),
            [(predictions[one], now, True) for one in ids.values()]
            + [("f" * 32, now, True), ("f" * 31 + "0", now, True)],
        ),
    }
    for kind, (columns, content) in parts.items():
        prediction_log.store(
            prediction_log.root(), prediction_log.part_name(kind, now), prediction_log.encode(columns, content)
        )
    _campaign(telco, [*ids.values(), "somebody else"], now)
    for folder in ("quarantine", "tmp/tmpx"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    text = "customerID,reasons\n" + "".join(f"{one},tenure is missing\n" for one in ids.values())
    (STATE / "quarantine" / "telco-1.csv").write_text(text)
    shutil.copy(snapshots.restore(data.version, STATE / "pulled") / snapshots.TRAIN, STATE / "tmp/tmpx/train.parquet")
    shutil.rmtree(STATE / "pulled")
    model_registry.annotate(champion, {"rollback": f"complaint of {ids[HELD_OUT]} and {ids[TRAINED]}"})
    yield SimpleNamespace(ids=ids, data=data, model=champion, state=_content(STATE), predictions=predictions)
    _put_back(before)


@pytest.fixture
def put_back(known: SimpleNamespace) -> Callable[[], None]:
    """The state with both customers, now and again."""
    _put_back(known.state)
    return lambda: _put_back(known.state)


def _whole(known: SimpleNamespace, customer: str) -> None:
    """The customer is nowhere; everything else is there and can be read."""
    assert unpacked.naming(STATE, customer) == []
    assert unpacked.naming(STATE, keyed_ids.keyed(customer, SECRET.encode())) == []
    assert unpacked.naming(STATE, known.predictions[customer]) == []
    after = snapshots.load(known.data.version)
    for side in ("train", "holdout"):
        rows = getattr(known.data, side)
        pd.testing.assert_frame_equal(
            getattr(after, side), rows[rows.customerID != customer].reset_index(drop=True), check_dtype=False
        )
    model = model_registry.by_version(known.model.name, known.model.version)
    assert len(reference_data.load(model).table) == len(after.holdout)
    assert prediction_log.HOLDOUT in model.tags[model_registry.CHECKSUMS]


def test_finding_changes_nothing_and_says_all(known: SimpleNamespace, put_back: Callable[[], None]) -> None:
    done = _run("scripts/privacy.py", "find", known.ids[HELD_OUT])
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert _content(STATE) == known.state
    for store in ("model", "prediction log", "run", "list of scores", "rows set aside", "data version", "state folder"):
        assert f"\n  {store}\n" in said
    assert f"customerID={known.ids[HELD_OUT]}, gender=" in said
    assert unpacked.naming(STATE, known.ids[HELD_OUT]) != []


@pytest.mark.parametrize("who", [HELD_OUT, TRAINED])
def test_a_customer_is_erased_everywhere_and_nobody_else(
    known: SimpleNamespace, put_back: Callable[[], None], telco: Dataset, who: str
) -> None:
    customer = known.ids[who]
    said = _erase(customer)
    _whole(known, customer)
    assert (" 1 rows to train, 0 held out; now " if who == TRAINED else " 0 rows to train, 1 held out; now ") in said
    assert ("champion, trained with the customer: retrain" in said) == (who == TRAINED)
    assert f"Erased of customer {customer}: nothing" in _erase(customer)
    now = snapshots.current(known.data.version)
    assert now != known.data.version
    assert f"  data_version now       {now}, since customers were erased" in list(versions.lineage(known.model))
    left = pd.read_csv(STATE / "scores" / "contacts" / "telco-spring.csv").customerID.tolist()
    assert left == [*(one for one in known.ids.values() if one != customer), "somebody else"]
    assert len(campaign_log.read(telco)) == 2
    feedback = pd.read_parquet(STATE / "log" / prediction_log.FEEDBACK)
    assert known.predictions[known.ids[TRAINED if who == HELD_OUT else HELD_OUT]] in feedback.prediction_id.tolist()
    assert len(feedback) == (2 if who == HELD_OUT else 3)


def _killed(customer: str, at: int) -> int:
    done = _run("tests/killed.py", str(at), customer)
    assert done.returncode == (-signal.SIGKILL if at else 0), done.stderr
    return int(done.stdout) if not at else 0


def test_killed_between_the_model_and_its_checksum_it_is_finished_by_the_next(
    known: SimpleNamespace, put_back: Callable[[], None]
) -> None:
    _killed(known.ids[HELD_OUT], 3)
    model = model_registry.by_version(known.model.name, known.model.version)
    assert prediction_log.HOLDOUT not in model.tags[model_registry.CHECKSUMS]
    reference_data.load(model)
    _erase(known.ids[HELD_OUT])
    _whole(known, known.ids[HELD_OUT])


@pytest.mark.slow
@pytest.mark.parametrize("who", [HELD_OUT, TRAINED])
def test_twenty_kills_each_leave_what_the_next_erase_finishes(
    known: SimpleNamespace, put_back: Callable[[], None], who: str
) -> None:
    customer = known.ids[who]
    steps = _killed(customer, 0)
    for at in random.Random(0).sample(range(1, steps + 1), min(20, steps)):
        put_back()
        _killed(customer, at)
        _erase(customer)
        _whole(known, customer)


def _old(path: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for file in [path, *path.rglob("*")]:
        os.utime(file, (then, then))


@pytest.fixture
def aged(known: SimpleNamespace, put_back: Callable[[], None]) -> str:
    """The session grown old: a data version, trials and a log day that nobody needs beside those of the champion; the first."""
    saved = snapshots.save(
        *(tables.to_bytes(side.head(50)) for side in (known.data.train, known.data.holdout)), known.data.dataset, True
    )
    run = tracking.open_run("churn", "TrainFlow/old", {})
    mlflow = mlflow_store.client()
    for number in range(3):
        trial = mlflow.create_run(
            mlflow.get_run(run).info.experiment_id,
            start_time=number + 1,
            run_name=f"trial-{number}",
            tags={tracking.TRAINING: "TrainFlow/old", trials.PARENT: run},
        )
        mlflow.set_terminated(trial.info.run_id, end_time=number + 2)
    day = STATE / "log" / prediction_log.PREDICTIONS / "day=2020-01-01"
    day.mkdir()
    (day / "part-1.parquet").write_bytes(b"old")
    _old(STATE, days=200)
    _old(Path(snapshots.remote(), data_versions.path(saved.version)), days=300)
    return saved.version


def _outdated(**given: int) -> list[retention.Item]:
    rules = core.load(Retention, ROOT / "config" / "retention.toml").changed(given.get("keep"), given.get("days"))
    return retention.outdated(retention.items(lineage.known()), rules)


def test_pruning_names_first_and_then_removes_what_no_champion_needs(
    known: SimpleNamespace, aged: str, telco: Dataset
) -> None:
    before = _content(STATE)
    said = _run("scripts/privacy.py", "prune").stdout
    assert {name for name, content in _content(STATE).items() if before.get(name) != content} <= {"mlflow.lock"}
    for line in (
        f"  data_versions: {aged} (",
        "  trials: TrainFlow/old: 3 trials",
        "  log: predictions/day=2020-01-01 (",
    ):
        assert line in said
    assert "Nothing is removed yet" in said
    assert f"{known.data.version} (" not in said
    retention.remove(_outdated())
    assert _outdated() == []
    assert aged not in data_versions.listings(data_versions.place())
    assert not (STATE / "log" / prediction_log.PREDICTIONS / "day=2020-01-01").exists()
    assert snapshots.load(known.data.version).version == known.data.version
    champion = release.champion(telco)
    assert len(reference_data.load(champion).table) == len(known.data.holdout)
    assert len(release.record(champion)["families"]) > 0
    made = [runs.one(*str(known.model.tags["metaflow_run"]).split("/")), runs.newest(known.data.version)]
    assert [run is not None and run.successful for run in made] == [True, True]


def test_keep_and_days_replace_the_files_numbers(known: SimpleNamespace, aged: str) -> None:
    assert _outdated(keep=500, days=30_000) == []  # other tests have left runs, too
    assert {item.name for item in _outdated(keep=1, days=30_000)} >= {aged, "TrainFlow/old: 3 trials"}


def _place(name: str) -> str:
    """As the document writes it: a file, a folder, or a kind of the log."""
    *folders, _ = name.split("/")
    return "/".join(folders[: 2 if name.startswith("log/") else 1]) + "/" if folders else name


def test_the_document_lists_every_place_that_a_session_leaves(
    known: SimpleNamespace, put_back: Callable[[], None]
) -> None:
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "privacy.md").read_text(), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    left = {_place(name) for name in known.state}
    assert {name for name in left if name not in listed and not name.endswith(".lock")} == set()
    named = {name.split("/")[0] for name in unpacked.naming(STATE, known.ids[TRAINED])}
    said = {name.split("/")[0] for row in rows if "nothing about" not in row for name in re.findall(r"`([^`]+)`", row)}
    assert named <= said
    open_to_others = [name for name in known.state if (STATE / name).stat().st_mode & 0o077]
    assert [name for name in open_to_others if name.split("/")[0] in named] == []
