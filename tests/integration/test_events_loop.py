"""Tables of events through every flow and the service: synthetic contracts, purchases and tickets whose hazard is known."""

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import events
import numpy as np
import pandas as pd
import pytest
from churn.data.events import synthetic
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.storage import keyed_ids
from churn.storage.keyed_table import ENDING, FOLDER
from conftest import ROOT, alone

from tests.bench import common

pytestmark = pytest.mark.long

SECRET = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret
CUSTOMERS, HORIZON, GRACE = 2500, 60, 14
NEWEST = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) - events.DAY
SHIFT = NEWEST - synthetic.START - synthetic.DAYS * events.DAY  # the log ends yesterday, as one that is in use does


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Files of events, the description of the shop that ships for them, and the truth."""
    made, folder = synthetic.generate(CUSTOMERS, 11), tmp_path_factory.mktemp("log")
    tables = {}
    for name, table in made.tables.items():
        moments = {column: table[column] + SHIFT for column in table if table[column].dtype.kind == "M"}
        tables[name] = table.assign(**moments)
        tables[name].to_parquet(folder / f"{name}.parquet")
    first = f"first = {NEWEST - timedelta(days=330):%Y-%m-%d}\nmax_age_days = 30\nuntil = {NEWEST:%Y-%m-%d}"
    text = (ROOT / "config" / "datasets" / "shop.toml").read_text().replace("first = 2024-04-01", first)
    description = folder.parent / "shop.toml"
    description.write_text(text)
    return SimpleNamespace(
        folder=folder, tables=tables, hazard=made.hazard, description=description,
        dataset=core.load(Dataset, description),
    )  # fmt: skip


@pytest.fixture(scope="module")
def loop(log: SimpleNamespace, one_family: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """DataFlow, TrainFlow, ScoreFlow, the service and MonitorFlow in a state folder of their own: what they left there."""
    home = tmp_path_factory.mktemp("home")
    described = ("--config", "description", str(log.description), "run")
    environ = {keyed_ids.KEY: SECRET}

    def ran(*words: str) -> str:
        done = subprocess.run(**alone(home, *words, **environ))
        assert done.returncode == 0, done.stdout
        return str(done.stdout)

    said = ran(
        "scripts/run.py", "--dataset", str(log.description), "--source", str(log.folder), "--settings", one_family
    )
    (version,) = re.findall(r"Data version (\S+) \(stored\)", said)
    ran("scripts/data.py", "pull", version, "--to", str(home / "version"))
    scored = ran("flows/score_flow.py", *described, "--source", str(log.folder))
    (place,) = re.findall(r": (\S+\.csv)$", scored, re.MULTILINE)
    port = common.free_port()
    serving = alone(home, "scripts/serve.py", "--dataset", str(log.description), "--port", str(port), **environ)
    server = subprocess.Popen(**serving)
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 60
        while not common.answers(f"{url}/readyz"):
            assert server.poll() is None, "the service has ended"
            assert time.monotonic() < until, "the service is not ready"
            time.sleep(0.1)
        monitored = ran("flows/monitor_flow.py", *described, "--rows", "300")
        yield SimpleNamespace(
            home=home, url=url, ranked=pd.read_csv(place, dtype={"customer_id": str}), said=said, monitored=monitored,
            parts={name: pd.read_parquet(home / "version" / f"{name}.parquet") for name in ("train", "holdout")},
        )  # fmt: skip
    finally:
        server.terminate()
        server.wait(30)


def _ask(loop: SimpleNamespace, body: Any) -> tuple[int, dict[str, Any]]:
    asked = urllib.request.Request(
        f"{loop.url}/predict", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _contracts(log: SimpleNamespace) -> dict[str, list[events.Row]]:
    """Each customer's, as the naive loop names their columns."""
    by_customer: dict[str, list[events.Row]] = {}
    for who, begins, ends in log.tables["contracts"][["customer_id", "start", "end"]].itertuples(index=False):
        by_customer.setdefault(who, []).append({"begins": begins, "ends": None if pd.isna(ends) else ends})
    return by_customer


def _open(own: list[events.Row], moment: datetime) -> bool:
    return any(one["begins"] <= moment and (one["ends"] is None or one["ends"] > moment) for one in own)


def test_population_and_outcomes_equal_the_naive_loop(log: SimpleNamespace, loop: SimpleNamespace) -> None:
    contracts, found = _contracts(log), pd.concat(loop.parts.values())
    for who, moment, churned in found[["customer_id", "snapshot", "churned"]].itertuples(index=False):
        assert _open(contracts[who], moment)
        assert events.outcome(log.dataset, moment, contracts[who]) == churned, (who, moment)
    holdout, train = loop.parts["holdout"], loop.parts["train"]
    trained = set(train["customer_id"])
    for moment, rows in train.groupby("snapshot"):
        assert set(rows["customer_id"]) == {who for who in trained if _open(contracts[who], moment)}, moment
    moment = holdout["snapshot"].iloc[0]
    asked = {who for who, own in contracts.items() if _open(own, moment)}
    assert set(holdout["customer_id"]) <= asked - trained
    assert len(holdout) == pytest.approx(0.2 * len(asked), abs=4 * np.sqrt(0.16 * len(asked)))
    assert 0.02 < (found["churned"] == "Yes").mean() < 0.5


def test_the_holdout_is_later_by_the_embargo_and_of_other_customers(loop: SimpleNamespace) -> None:
    train, holdout = loop.parts["train"], loop.parts["holdout"]
    assert holdout["snapshot"].nunique() == 1
    assert train["snapshot"].max() + timedelta(days=HORIZON + GRACE) <= holdout["snapshot"].min()
    assert train["snapshot"].nunique() > 3
    assert not set(train["customer_id"]) & set(holdout["customer_id"])


def test_the_list_is_of_those_whose_contract_is_open_now_with_the_counts_of_a_naive_loop(
    log: SimpleNamespace, loop: SimpleNamespace
) -> None:
    now = max(
        log.tables[name][column].max()
        for name, column in (("contracts", "start"), ("purchases", "at"), ("tickets", "at"))
    )
    contracts = _contracts(log)
    assert sorted(loop.ranked["customer_id"]) == sorted(who for who, own in contracts.items() if _open(own, now))
    for name in ("purchases", "tickets"):
        rows = log.tables[name].drop_duplicates()
        rows = rows[(rows["at"] <= now) & (rows["loaded"] <= now) & (rows["at"] > now - timedelta(days=30))]
        wanted = rows.groupby("customer_id").size().reindex(loop.ranked["customer_id"], fill_value=0)
        assert (loop.ranked[f"{name}_30d"].to_numpy() == wanted.to_numpy()).all(), name


def test_whoever_is_ranked_high_is_in_danger(log: SimpleNamespace, loop: SimpleNamespace) -> None:
    truth = log.hazard[loop.ranked["customer_id"].astype(int), synthetic.DAYS - 1]
    rank = pd.Series(loop.ranked["probability"])
    assert rank.corr(pd.Series(truth), method="spearman") > 0.4
    top = len(truth) // 10
    assert np.nanmean(truth[:top]) > 2 * np.nanmean(truth)


def test_asked_by_id_the_service_answers_what_the_list_says(loop: SimpleNamespace) -> None:
    for who, probability in loop.ranked[["customer_id", "probability"]].iloc[::40].itertuples(index=False):
        status, answer = _ask(loop, {"customer_id": who})
        assert (status, answer["warnings"]) == (200, [])
        assert answer["probability"] == pytest.approx(probability, abs=1e-6)


def test_somebody_else_is_unknown_and_old_features_are_refused(loop: SimpleNamespace) -> None:
    status, answer = _ask(loop, {"customer_id": "nobody"})
    assert (status, answer["problems"][0]["reason"]) == (404, "unknown")
    (place,) = loop.home.rglob(f"{FOLDER}/*{ENDING}")
    whole, newest = place.read_bytes(), loop.ranked["snapshot"].iloc[0]
    day = newest[:10].encode()
    old = (NEWEST - timedelta(days=40)).strftime("%Y-%m-%d").encode()
    assert whole.count(day), "the moment is in the file's own words"
    try:
        _put(place, whole.replace(day, old))
        status, answer = _ask(loop, {"customer_id": loop.ranked["customer_id"].iloc[0]})
        assert (status, answer["problems"][0]["reason"]) == (409, "outdated")
    finally:
        _put(place, whole)


def _put(place: Path, content: bytes) -> None:
    """A new file in the place of the old one, as ScoreFlow writes it."""
    part = place.with_suffix(".part")
    part.write_bytes(content)
    part.replace(place)


def test_the_monitor_names_what_has_changed_and_the_files_to_train_on(
    log: SimpleNamespace, loop: SimpleNamespace
) -> None:
    """Nobody joined in the last third of the log: contracts have become older, and nothing else differs."""
    assert "ALERT: Changed: since_contract (" in loop.monitored
    assert re.search(
        rf"Train on newer customers: \S+ scripts/run\.py --dataset \S+ --source {log.folder}$", loop.monitored, re.M
    )
