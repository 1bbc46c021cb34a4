"""The service of ``make serve`` under load, while deployments come, fail and die."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import bad_bentos
import base
import kills
import pytest
from churn.deployment import laptop, record, rollout, verification
from churn.deployment.checks import DeploymentCheck
from churn.deployment.laptop import Laptop
from churn.registry import model_registry
from churn.serving import packaging
from churn.settings.dataset import Dataset
from churn.settings.deploy import Rollout
from clone import clone
from conftest import ROOT, Command, flow
from mlflow import MlflowClient
from orchestration import deploying
from traffic import calling

RULE = Rollout(watch_seconds=4, ready_seconds=30)
REASON = {
    "crashes": "it ended before it was ready.*it crashes at start",
    "answers otherwise": "not ready within",  # it looks at its own examples when it starts
    "is ten times slower": "median latency",
}


@pytest.fixture(scope="module")
def second(trained: SimpleNamespace) -> Iterator[model_registry.Registered]:
    """A version with the champion's files and another number."""
    first, mlflow = trained.train.champion, model_registry.client()
    source = mlflow.get_model_version(first.name, first.version).source
    made = mlflow.create_model_version(first.name, source, first.run, tags=first.tags, await_creation_for=0)
    yield model_registry.by_version(first.name, str(made.version))
    mlflow.delete_model_version(first.name, made.version)


@pytest.fixture(scope="module")
def service(trained: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``make serve`` of the champion: its URL."""
    from bentoml._internal.utils import reserve_free_port

    with reserve_free_port() as port:
        pass
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as output:
        words = [sys.executable, str(ROOT / "scripts" / "serve.py"), "--port", str(port)]
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)
    until = time.monotonic() + 60
    while not laptop.running(trained.train.champion.name):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, log.read_text()


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """``make deploy`` with these words, by a copy of the code that watches new instances for four seconds at each share."""
    copy = clone(tmp_path_factory.mktemp("clone")).root
    place = copy / "config" / "deploy.toml"
    place.write_text(place.read_text().replace("watch_seconds = 20.0", "watch_seconds = 4.0"))
    return partial(flow, "deploy_flow", "run", root=copy)


def _target(model: model_registry.Registered, run: str = "test/1") -> Laptop:
    return Laptop(model.name, "telco", run)


def _served(model: model_registry.Registered) -> str:
    return packaging.build_bento(model)


def _carried_out(model: model_registry.Registered, bento: str) -> rollout.Outcome:
    target = _target(model)
    return rollout.Deployment(target, rollout.Plan(model, bento, target.served(), "1"), RULE, lambda said: None).run()


def test_a_promotion_under_load_loses_no_request(
    service: str, second: model_registry.Registered, telco: Dataset, deploy: Command
) -> None:
    with calling(service, packaging.examples(telco)[0]) as traffic:
        done = deploy("--model-version", second.version)
        assert done.returncode == 0, done.stdout
        time.sleep(8)  # until the former one has ended
    assert traffic.lost == []
    assert traffic.versions[second.version] > 100
    assert model_registry.by_version(second.name, second.version).tags["deploy.outcome"] == "kept"
    again = deploy("--model-version", second.version)
    assert f"{_served(second)} is served already" in again.stdout


@pytest.mark.parametrize(
    "how", ["crashes", "answers otherwise", pytest.param("is ten times slower", marks=pytest.mark.long)]
)
def test_a_bad_bento_is_rolled_back_and_no_caller_notices(
    service: str, second: model_registry.Registered, telco: Dataset, how: str
) -> None:
    before = _target(second).served()
    with calling(service, packaging.examples(telco)[0]) as traffic:
        found = _carried_out(second, bad_bentos.bad(_served(second), how))
        time.sleep(1)
    assert found.verdict == rollout.BACK
    assert re.search(REASON[how], found.reason), found.reason
    assert traffic.lost == []
    assert _target(second).served() == before


def test_a_bento_with_another_checksum_is_refused(
    service: str, second: model_registry.Registered, telco: Dataset
) -> None:
    damaged = bad_bentos.changed(_served(second), "\n# damaged\n", honest=False)
    found = verification.verify(_target(second), telco, verification.Request(second.version, damaged))
    assert [one.name for one in found.checks if not one.passed] == ["checksum"]


def test_a_deployment_that_dies_is_rolled_back_by_the_service_itself(
    service: str, second: model_registry.Registered, trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(laptop, "PATIENCE", 2.0)
    target, before = _target(second, "dead/1"), _target(second).served()
    target.begin(bad_bentos.changed(_served(second), "\n# another one\n"))
    target.give(1.0)
    assert target.unfinished()
    until = time.monotonic() + 60
    while _target(second).unfinished():
        assert time.monotonic() < until
        time.sleep(0.2)
    assert _target(second).served() == before
    assert rollout.finish(_target(second), "test/2") == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["/start/.*Task is starting", "begins at", "10% of the requests", "/conclude/.*Task is starting"]
)
def test_a_flow_killed_in_any_step_leaves_one_version_served_and_the_next_run_finishes(
    service: str,
    second: model_registry.Registered,
    trained: SimpleNamespace,
    telco: Dataset,
    tmp_path: Path,
    moment: str,
) -> None:
    now = _target(second).served()
    other = trained.train.champion if now == _served(second) else second
    log = tmp_path / "log"
    words = [sys.executable, str(ROOT / "flows" / "deploy_flow.py"), "run", "--model-version", other.version]
    with calling(service, packaging.examples(telco)[0]) as traffic:
        with log.open("w") as output:
            run = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        until = time.monotonic() + 120
        while not re.search(moment, log.read_text()):
            assert run.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        until = time.monotonic() + laptop.PATIENCE + 10
        while _target(second).unfinished():
            assert time.monotonic() < until
            time.sleep(0.5)
        assert _target(second).served() == (_served(other) if "conclude" in moment else now)
        done = flow("deploy_flow", "run", "--model-version", other.version)
        assert done.returncode == 0, done.stdout
        time.sleep(8)
    assert _target(second).served() == _served(other)
    assert traffic.lost == []


CHANGES = (*((Laptop, name) for name in ("begin", "give", "keep", "done")), (MlflowClient, "set_model_version_tag"))
MOMENTS = [(CHANGES, at, after) for at in range(1, 17) for after in (False, True)]
MOMENTS += [(((Laptop, "instances"),), at, False) for at in range(1, 9)]


def _deploy(model: model_registry.Registered, run: str) -> rollout.Outcome:
    """What DeployFlow's steps do."""
    target = _target(model, run)
    rollout.finish(target, run)
    checks = (DeploymentCheck("all", True, ""),)
    plan = rollout.Plan(model, _served(model), target.served(), "")
    record.settle_kept(plan)
    if plan.bento == plan.former:
        return rollout.Outcome(rollout.KEPT)
    return deploying.carry_out(target, verification.Verified(plan, checks), run, 0)


@pytest.mark.slow
def test_forty_deployments_killed_at_any_change_leave_one_version_served_and_the_next_finishes(
    service: str,
    second: model_registry.Registered,
    trained: SimpleNamespace,
    telco: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = Rollout(watch_seconds=1, ready_seconds=90, canary=0.5, steps=(1.0,), p99_ms=60_000, slower=1e6, distance=1)
    monkeypatch.setattr(base, "DEPLOY", base.DEPLOY.model_copy(update={"deploy": rule}))
    monkeypatch.setattr(laptop, "PATIENCE", 10.0)
    killed, kept = 0, 0
    with calling(service, packaging.examples(telco)[0], rate=5, callers=2) as traffic:
        for number, (of, at, after) in enumerate(MOMENTS):
            before = _target(second).served()
            model = trained.train.champion if before == _served(second) else second
            killed += kills.forked(partial(_deploy, model, f"killed/{number}"), at, of, after) == -1
            while _target(second).unfinished():
                time.sleep(0.2)
            assert _target(second).served() in (before, _served(model)), (at, after)
            kept += _target(second).served() == _served(model)
            assert _deploy(model, f"next/{number}").verdict == rollout.KEPT, (at, after)
            assert _target(second).served() == _served(model), (at, after)
            found = model_registry.by_version(model.name, model.version).tags[record.OUTCOME]
            assert found == rollout.KEPT, (at, after)
    assert len(MOMENTS) == 40
    assert killed >= 32
    assert 0 < kept < 40, "some were killed before, and some after"
    assert traffic.lost == []
