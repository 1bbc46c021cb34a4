"""A server is away for a minute in the middle of a training: it is waited for. The event bus is away: it is made up for.

How a server is stopped and started is said by CHURNFLOW_TEST_STOP and CHURNFLOW_TEST_START, commands in which {server} is one
of SERVERS; without them it is a Deployment of terraform/platform.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from on_cluster import NAMESPACE, Cluster, kubectl

SERVERS = ("mlflow", "s3", "metaflow")
AWAY = 60.0  # seconds
DEPLOYMENTS = {"mlflow": "mlflow", "s3": "minio", "metaflow": "metaflow-service"}
STEP = {"mlflow": "gate", "s3": "select", "metaflow": "evaluate"}  # in which the server goes


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_is_away_for_a_minute_is_waited_for(cluster: Cluster, server: str) -> None:
    before = cluster.inside("kept")
    workflow = cluster.start("trainflow", force=True)
    _until_in(cluster, workflow, STEP[server])
    with _away(server):
        time.sleep(AWAY)
    assert cluster.ended(workflow, 1800) == "Succeeded", kubectl("get", "workflow", workflow, "-o", "yaml")
    after = cluster.inside("kept")
    assert after == before | {"versions": before["versions"] + 1, "trainings": before["trainings"] + 1}


def test_what_the_event_bus_lost_is_made_up_for(cluster: Cluster) -> None:
    """DataFlow ends though nobody hears of it; TrainFlow's schedule trains on its data, and only once."""
    if not json.loads(kubectl("get", "pods", "-l", "eventbus-name=default", "-o", "json"))["items"]:
        pytest.skip("no controller of Argo Events made an event bus here")
    buses = json.loads(kubectl("get", "statefulsets", "-l", "eventbus-name=default", "-o", "json"))["items"]
    (bus,) = (one["metadata"]["name"] for one in buses)
    replicas = str(buses[0]["spec"]["replicas"])
    kubectl("scale", "statefulset", bus, "--replicas=0")
    try:
        source = cluster.inside("customers", "3000", str(int(time.time())), "-labelled")
        assert cluster.ended(cluster.start("dataflow", source=source), 1800) == "Succeeded"
    finally:
        kubectl("scale", "statefulset", bus, f"--replicas={replicas}")
        kubectl("rollout", "status", f"statefulset/{bus}", "--timeout=300s")
    before = cluster.inside("kept")
    assert cluster.ended(_scheduled(), 1800) == "Succeeded"
    once = cluster.inside("kept")
    assert once["versions"] == before["versions"] + 1
    assert cluster.ended(_scheduled(), 1800) == "Succeeded"
    assert cluster.inside("kept")["versions"] == once["versions"]


def _scheduled() -> str:
    """Start what TrainFlow's schedule starts: the workflow's name."""
    spec = json.loads(kubectl("get", "cronworkflow", "churnflow.prod.trainflow", "-o", "json"))["spec"]["workflowSpec"]
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "scheduled-", "namespace": NAMESPACE},
        "spec": spec,
    }
    made = kubectl("create", "-o", "json", "-f", "-", given=json.dumps(workflow).encode())
    return str(json.loads(made)["metadata"]["name"])


def _until_in(cluster: Cluster, workflow: str, step: str, seconds: float = 1200) -> None:
    until = time.monotonic() + seconds
    while step not in {pod.step for pod in cluster.pods(workflow) if pod.runs}:
        assert time.monotonic() < until, kubectl("get", "pods")
        time.sleep(0.5)


@contextmanager
def _away(server: str) -> Iterator[None]:
    stop, start = (os.environ.get(f"CHURNFLOW_TEST_{what}") for what in ("STOP", "START"))
    scale = f"kubectl -n churnflow-servers scale deployment {DEPLOYMENTS[server]} --replicas"
    subprocess.run((stop or f"{scale}=0").format(server=server), shell=True, check=True)
    try:
        yield
    finally:
        subprocess.run((start or f"{scale}=1").format(server=server), shell=True, check=True)
