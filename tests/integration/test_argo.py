"""What Argo Workflows would get: deterministic, as committed, valid for Argo, and it runs - without a cluster."""

import filecmp
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pods
import pytest
import s3
import yaml
from conftest import ROOT
from hera.events import models as events
from hera.workflows import models as workflows
from kubernetes.utils.quantity import parse_quantity
from s3 import Server

GOLDEN = ROOT / "argo" / "flows"


@pytest.fixture(scope="module")
def exported(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of every flow."""
    home = tmp_path_factory.mktemp("export")
    done = server.run(home, "scripts/cluster/export.py", "--production", "--out", str(home / "one"))
    assert done.returncode == 0, done.stdout
    return home / "one"


@pytest.mark.long
def test_a_second_export_is_the_first_one(server: Server, exported: Path, tmp_path: Path) -> None:
    done = server.run(tmp_path, "scripts/cluster/export.py", "--production", "--out", str(tmp_path / "two"))
    assert done.returncode == 0, done.stdout
    names = sorted(path.name for path in exported.iterdir())
    assert filecmp.cmpfiles(exported, tmp_path / "two", names, shallow=False) == (names, [], [])


def test_the_export_is_the_committed_one(exported: Path) -> None:
    """But for the hash of the code, and the interpreter's patch level."""

    def steady(path: Path) -> str:
        text = re.sub(r"[0-9a-f]{2}/[0-9a-f]{40}|[0-9a-f]{40}", "CODE", path.read_text())
        return re.sub(r'"python_version_code":\s+"3\.\d+\.\d+"', "PYTHON", re.sub(r"\s+", " ", text))

    found = {path.name: steady(path) for path in exported.iterdir()}
    committed = {path.name: steady(path) for path in GOLDEN.iterdir()}
    differ = [name for name in sorted(found | committed) if found.get(name) != committed.get(name)]
    assert not differ, "write them anew with: make argo-golden"


MODELS = {
    "WorkflowTemplate": workflows.WorkflowTemplate,
    "Workflow": workflows.Workflow,
    "CronWorkflow": workflows.CronWorkflow,
    "Sensor": events.Sensor,
}
# What Argo takes and hera's models do not say: the type's own names, and a field whose schema Argo leaves open.
SILENT = {"Sensor": {".apiVersion", ".kind", ".spec.template.container.name"}}


def _unknown(kind: str, given: dict[str, Any]) -> set[str]:
    """The keys of an object that Argo's model of its kind does not have. Values of a wrong type raise."""
    known = MODELS[kind].model_validate(given).model_dump(by_alias=True, exclude_unset=True, mode="json")
    return set(_lost(given, known, "")) - SILENT.get(kind, set())


def _lost(given: Any, known: Any, path: str) -> Iterator[str]:
    if isinstance(given, dict):
        for key, value in given.items():
            if key in known:
                yield from _lost(value, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(given, list):
        for one, kept in zip(given, known, strict=True):
            yield from _lost(one, kept, path)


def _objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "argo" / "base" / f"{name}.yaml").read_text()))


def test_argo_knows_every_key(exported: Path) -> None:
    for path in exported.glob("*.*.yaml"):
        found = yaml.safe_load(path.read_text())
        if found["kind"] == "Sensor":  # what a sensor creates is an object of its own
            for trigger in found["spec"]["triggers"]:
                created = trigger["template"]["k8s"]["source"].pop("resource")
                assert _unknown(created["kind"], created) == set(), path.name
        assert _unknown(found["kind"], found) == set(), path.name
        found["spec"]["scheduel"] = "* * * * *"
        assert _unknown(found["kind"], found) == {".spec.scheduel"}


def test_argo_knows_every_key_of_the_event_source() -> None:
    (source,) = (one for one in _objects("events") if one["kind"] == "EventSource")
    spec = events.EventSourceSpec.model_validate(source["spec"])
    assert spec.service is not None
    for hook in source["spec"].pop("webhook").values():
        assert set(_lost(hook, events.WebhookContext.model_validate(hook).model_dump(by_alias=True), "")) == set()
    assert set(_lost(source["spec"], spec.model_dump(by_alias=True), "")) == set()


def test_what_starts_a_flow_is_exported(exported: Path) -> None:
    for flow, schedule in (("data", "0 2 * * *"), ("monitor", "0 6 * * *"), ("prune", "0 1 * * 0")):
        assert yaml.safe_load((exported / f"{flow}.cronworkflow.yaml").read_text())["spec"]["schedules"] == [schedule]
    assert "churn-drift" in (exported / "data.sensor.yaml").read_text()
    assert "metaflow.churnflow.prod.DataFlow.end" in (exported / "train.sensor.yaml").read_text()


def test_exported_pods_ask_for_what_deploy_toml_says(exported: Path) -> None:
    template = yaml.safe_load((exported / "train.workflowtemplate.yaml").read_text())
    pods = {t["name"]: t for t in template["spec"]["templates"] if "container" in t}
    memory = {name: pod["container"]["resources"]["requests"]["memory"] for name, pod in pods.items()}
    assert (memory["tune"], memory["evaluate"]) == ("4096.0M", "2048.0M")
    assert pods["tune"]["retryStrategy"]["limit"] == 2
    assert "expression" not in pods["tune"]["retryStrategy"]
    assert "exitCode" in pods["gate"]["retryStrategy"]["expression"]  # a verdict stands; a killed pod starts anew
    assert all(pod["container"]["image"] == "churnflow/flows:0.1.0" for pod in pods.values())
    # The namespace gives a limit to a container that names none, and a pod over its own limit is not admitted.
    assert all(
        pods[name]["container"]["resources"]["limits"]["memory"] == memory[name] for name in ("tune", "evaluate")
    )


def test_the_quota_has_room_for_the_fan_out(exported: Path) -> None:
    (quota,) = (one for one in _objects("namespace") if one["kind"] == "ResourceQuota")
    for path in exported.glob("*.workflowtemplate.yaml"):
        for template in yaml.safe_load(path.read_text())["spec"]["templates"]:
            asked = template.get("container", {}).get("resources", {}).get("requests", {})
            for what in {"cpu", "memory"} & set(asked):
                room = parse_quantity(quota["spec"]["hard"][f"requests.{what}"])
                assert 5 * parse_quantity(asked[what]) <= room, (path.name, template["name"], what)


def test_no_pod_is_root(exported: Path) -> None:
    for path in exported.glob("*.workflowtemplate.yaml"):
        spec = yaml.safe_load(path.read_text())["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        # DeployFlow alone may ask Kubernetes for more (argo/base/accounts.yaml).
        account = "churnflow-deploy" if path.name.startswith("deploy.") else "churnflow-flows"
        assert spec["serviceAccountName"] == account
        for template in spec["templates"]:
            if "container" in template:
                assert template["container"]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_no_path_of_the_machine_is_exported(exported: Path) -> None:
    text = "".join(path.read_text() for path in exported.iterdir())
    assert str(ROOT) not in text
    assert str(exported.parent) not in text


@pytest.fixture(scope="module")
def executed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """DataFlow and TrainFlow run from their WorkflowTemplates; DataFlow's last event starts TrainFlow by its Sensor."""
    if reason := pods.missing():
        pytest.skip(reason)
    home, hook = tmp_path_factory.mktemp("argo"), pods.Webhook()
    shared = {  # what a cluster has servers for
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home / "metadata"),
    }
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "CHURNFLOW_BUCKET")
    secrets = {"churnflow-flows": {name: server.environ[name] for name in names} | shared}
    ran, arguments = {}, {}
    for flow, text, lost in (("data", s3.DATA, {"version"}), ("train", s3.TRAIN, ())):
        (home / f"{flow}.toml").write_text(text)
        words = ("--record", f"flows/{flow}_flow.py", "--config", "settings", str(home / f"{flow}.toml"))
        done = server.run(
            home,
            *("scripts/cluster/export.py", *words, "--production"),
            METAFLOW_ARGO_EVENTS_INTERNAL_WEBHOOK_URL=hook.url,
            METAFLOW_USER="churnflow",
        )
        assert done.returncode == 0, done.stdout
        found = json.loads(done.stdout.splitlines()[-1])
        if flow == "train":
            arguments = pods.triggered(found["sensor"], hook.events)
            assert arguments, "no event starts TrainFlow"
        name = f"{found['workflowtemplate']['metadata']['name']}-x7k2p"
        ran[flow] = pods.Workflow(name, found["workflowtemplate"], secrets, home / flow, lost)
        assert ran[flow].run(**arguments) == "Succeeded", ran[flow].log()
    hook.close()
    return SimpleNamespace(**ran, home=home, events=hook.events)


@pytest.mark.long
def test_a_pod_that_is_lost_is_repeated(executed: SimpleNamespace) -> None:
    tried = [pod for pod in executed.data.pods if pod[0] == "version"]
    assert tried == [("version", 0, -signal.SIGKILL), ("version", 1, 0)]


@pytest.mark.long
def test_the_fan_out_has_a_pod_for_each_model(executed: SimpleNamespace) -> None:
    assert [pod for pod in executed.train.pods if pod[0] == "tune"] == [("tune", 0, 0)] * 2


@pytest.mark.long
def test_the_executed_export_registers_a_champion(executed: SimpleNamespace, server: Server) -> None:
    from mlflow import MlflowClient

    registry = MlflowClient(f"sqlite:///{executed.home}/mlflow.db", f"sqlite:///{executed.home}/mlflow.db")
    (model,) = registry.search_registered_models()
    champion = registry.get_model_version_by_alias(model.name, "champion")
    assert champion.tags["metaflow_run"] == f"TrainFlow/argo-{executed.train.name}"
    assert champion.tags["bento"].startswith("s3://churnflow/bentos/")
    assert server.keys(f"metaflow/TrainFlow/argo-{executed.train.name}/end/")


def test_a_pod_without_an_mlflow_server_says_so(tmp_path: Path, server: Server) -> None:
    done = server.run(tmp_path, "flows/train_flow.py", "step", "start", METAFLOW_KUBERNETES_WORKLOAD="1")
    assert done.returncode != 0
    assert "MLFLOW_TRACKING_URI" in done.stdout
    assert "would be lost with this pod" in done.stdout


def test_in_a_pod_an_alert_sends_the_event_that_dataflow_waits_for(hook: SimpleNamespace) -> None:
    code = "from orchestration import retraining; retraining.announce('DataFlow', {'columns': 'tenure'})"
    pod = {"ARGO_WORKFLOW_TEMPLATE": "monitor", "METAFLOW_ARGO_EVENTS_WEBHOOK_URL": f"{hook.url}/event"}
    for environ in ({}, pod):
        subprocess.run([sys.executable, "-c", code], cwd=ROOT / "flows", env={**os.environ, **environ}, check=True)
    (event,) = hook.bodies  # on a laptop nobody is told
    sensor = yaml.safe_load((ROOT / "argo" / "flows" / "data.sensor.yaml").read_text())
    (dependency,) = sensor["spec"]["dependencies"]
    (wanted,) = dependency["filters"]["exprs"]
    assert wanted["fields"][0]["path"] == "body.payload.name"
    assert wanted["expr"] == f"name == '{event['payload']['name']}'"
    assert event["payload"]["columns"] == "tenure"
