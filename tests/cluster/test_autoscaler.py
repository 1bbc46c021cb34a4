"""Under load the autoscaler adds pods, and takes them away again, and no caller notices."""

import json
import time

import pytest
from on_cluster import Cluster, kubectl

RATE = 400  # predictions a second, above what two pods are asked to do (docs/deployment.md)


def replicas() -> int:
    said = json.loads(kubectl("get", "deployment", "churn-service", "-o", "json"))
    return int(said["status"].get("readyReplicas", 0))


def _until(reached: object, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < until, kubectl("get", "hpa,pods")
        time.sleep(2)


def test_the_autoscaler_follows_the_load_and_no_request_is_lost(cluster: Cluster) -> None:
    if "unknown" in kubectl("get", "hpa", "churn-service"):
        pytest.skip("no metrics server is here")
    least = json.loads(kubectl("get", "hpa", "churn-service", "-o", "json"))["spec"]["minReplicas"]
    _until(lambda: replicas() == least, 600)
    with cluster.traffic(RATE) as busy:
        _until(lambda: replicas() > least, 300)
        time.sleep(20)
    assert busy["lost"] == []
    with cluster.traffic() as calm:
        _until(lambda: replicas() == least, 900)
    assert calm["lost"] == []
