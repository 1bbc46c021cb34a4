"""DeployFlow on a real cluster, under load: no caller notices a deployment, whatever becomes of it."""

import time

import pytest
from on_cluster import Cluster, kubectl

REASON = {
    "has another checksum": "its checksum is not",
    "crashes": "service: ",
    "answers otherwise": "not ready within",  # it looks at its own examples when it starts
    "is ten times slower": "median latency",
    "is killed for memory": "OOMKilled",
}


@pytest.fixture(scope="module")
def version(cluster: Cluster) -> str:
    """A version that is not served."""
    return str(cluster.inside("another"))


@pytest.mark.parametrize("how", REASON)
def test_a_bad_bento_is_rolled_back_and_no_caller_notices(cluster: Cluster, version: str, how: str) -> None:
    address, before = cluster.inside("bad", version, how), cluster.served()
    with cluster.traffic() as found:
        assert cluster.ended(cluster.deploy(model_version=version, bento=address)) == "Failed"
    assert REASON[how] in cluster.inside("tags", version)["reason"]
    assert (cluster.served(), cluster.unfinished()) == (before, "")
    assert found["lost"] == []


def test_an_image_that_cannot_be_pulled_is_rolled_back(cluster: Cluster, version: str) -> None:
    before = cluster.served()
    with cluster.traffic() as found:
        image = "churnflow/serving:0.0.0-none"
        assert cluster.ended(cluster.deploy(model_version=version, image=image)) == "Failed"
    assert "Image" in cluster.inside("tags", version)["reason"]
    assert cluster.served() == before
    assert image not in kubectl("get", "deployment", "churn-service", "-o", "yaml")
    assert found["lost"] == []


@pytest.mark.parametrize("moment", ["roll out", "watch"])
def test_a_deployment_whose_pod_is_killed_is_rolled_back(cluster: Cluster, version: str, moment: str) -> None:
    before = cluster.served()
    with cluster.traffic() as found:
        workflow = cluster.deploy(model_version=version)
        _until(lambda: cluster.unfinished() != "")
        if moment == "watch":
            time.sleep(15)
        for pod in (one for one in cluster.pods(workflow) if one.runs):
            kubectl("delete", "pod", pod.name, "--grace-period=0", "--force")
        assert cluster.ended(workflow) == "Failed"
    assert cluster.inside("tags", version)["outcome"] == "interrupted"
    assert (cluster.served(), cluster.unfinished()) == (before, "")
    assert found["lost"] == []


@pytest.mark.parametrize("step", ["start", "conclude"])
def test_a_step_before_or_after_the_roll_out_is_repeated_where_its_pod_is_killed(cluster: Cluster, step: str) -> None:
    """Nothing has begun yet, or it has been decided already."""
    version = str(cluster.inside("another"))
    with cluster.traffic() as found:
        workflow = cluster.deploy(model_version=version)
        _until(lambda: [one for one in cluster.pods(workflow) if one.runs and one.step == step] != [])
        for pod in (one for one in cluster.pods(workflow) if one.step == step):
            kubectl("delete", "pod", pod.name, "--grace-period=0", "--force")
        assert cluster.ended(workflow) == "Succeeded"
    assert (cluster.inside("tags", version)["outcome"], cluster.unfinished()) == ("kept", "")
    assert found["lost"] == []


def test_a_new_version_under_load_loses_no_request(cluster: Cluster, version: str) -> None:
    with cluster.traffic() as found:
        time.sleep(20)
        workflow = cluster.deploy(model_version=version)
        assert cluster.ended(workflow) == "Succeeded"
        time.sleep(30)
    assert found["lost"] == []
    assert found["versions"][version] > 500
    assert cluster.inside("tags", version)["outcome"] == "kept"
    assert cluster.unfinished() == ""
    again = cluster.deploy(model_version=version)
    assert cluster.ended(again) == "Succeeded"


def _until(reached: object, seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < until, kubectl("get", "pods")
        time.sleep(0.5)
