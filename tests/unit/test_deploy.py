"""config/deploy.toml becomes decorators that Metaflow accepts; profiles and S3 addresses are read strictly."""

import pytest
from churn.errors import ChurnError
from churn.registry import tracking
from churn.serving import bento_store
from churn.settings import environment
from churn.settings.core import from_dict, load
from churn.settings.deploy import Deploy, closed, closed_sensor, retried
from churn.storage import s3
from conftest import ROOT


def test_a_step_gets_its_own_table_over_the_default() -> None:
    deploy = from_dict(Deploy, {"default": {"memory": 512}, "step": {"tune": {"cpu": 4}}}, "deploy.toml")
    assert ("resources", {"cpu": 4, "memory": 512}) in deploy.decorators("tune", on_cluster=True)
    assert ("resources", {"cpu": 1, "memory": 512}) in deploy.decorators("version", on_cluster=True)


def test_only_a_cluster_repeats_and_never_a_verdict() -> None:
    """A refusal is final, yet a pod that is killed in the same step starts anew: a node may go at any moment."""
    deploy = load(Deploy, ROOT / "config" / "deploy.toml")
    steps = ("tune", "features", "gate", "register", "act", "conclude")
    templates = [
        {"metadata": {"annotations": {"metaflow/step_name": step}}, "retryStrategy": {"limit": 2}} for step in steps
    ]
    tune, *verdicts = retried({"spec": {"templates": templates}}, deploy)["spec"]["templates"]
    assert "retry" not in dict(deploy.decorators("tune", on_cluster=False))
    assert "expression" not in tune["retryStrategy"]
    assert not deploy.at("tune").last(0)
    for step, template in zip(steps[1:], verdicts, strict=True):
        assert dict(deploy.decorators(step, on_cluster=True))["retry"]["times"] > 0
        assert 'lastRetry.status == "Error"' in template["retryStrategy"]["expression"]
        assert deploy.at(step).last(0)


def test_an_event_and_an_upstream_flow_exclude_each_other() -> None:
    with pytest.raises(ChurnError, match="not both"):
        from_dict(Deploy, {"start": {"TrainFlow": {"event": "drift", "after": ["DataFlow"]}}}, "deploy.toml")


def test_a_profile_that_does_not_exist_is_named_with_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_PROFILE", "clutser")
    with pytest.raises(ChurnError, match=r"clutser.*cluster, local"):
        environment.profile_variables()


def test_every_store_of_the_cluster_profile_is_in_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_PROFILE", "cluster")
    monkeypatch.setenv("CHURNFLOW_BUCKET", "mine")
    found = environment.profile_variables()
    for name in ("METAFLOW_DATASTORE_SYSROOT_S3", *s3.SETTINGS):
        assert found[name].startswith("s3://mine/"), name


@pytest.mark.parametrize(
    "address", ["", "s3://b/x.bento", "s3://b/x.bento@sha256:12", "https://b/x@sha256:" + "0" * 64]
)
def test_a_bento_without_a_checksum_is_not_fetched(address: str, tmp_path) -> None:
    with pytest.raises(ChurnError, match="sha256:CHECKSUM"):
        bento_store.fetch(address, tmp_path)


def test_the_registry_of_a_pod_is_not_on_its_own_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "IN_POD", True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{environment.STATE}/mlflow.db")
    with pytest.raises(ChurnError, match="would be lost with this pod"):
        s3.require_shared()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.mlops.svc:5000")
    s3.require_shared()


def test_in_a_pod_the_commit_is_that_of_the_deployed_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(tracking, "ROOT", tmp_path)
    monkeypatch.setenv("METAFLOW_VERSION", '{"commit_sha": "abc123", "has_uncommitted_changes": true}')
    assert tracking.git_state() == {"git_commit": "abc123", "git_dirty": "true"}
    monkeypatch.delenv("METAFLOW_VERSION")
    assert tracking.git_state() == {"git_commit": "unknown", "git_dirty": "unknown"}


def test_pods_of_a_template_are_not_root() -> None:
    step = {"name": "start", "container": {"image": "x"}, "serviceAccountName": "flows"}
    spec = closed({"kind": "WorkflowTemplate", "spec": {"templates": [{"name": "dag", "dag": {}}, step]}})["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["serviceAccountName"] == "flows"
    assert spec["templates"][0] == {"name": "dag", "dag": {}}
    assert not spec["templates"][1]["container"]["securityContext"]["allowPrivilegeEscalation"]
    image = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if "useradd" in line)
    assert f"--uid {spec['securityContext']['runAsUser']} " in image  # Argo's own containers have none in their images


def test_deployflow_alone_has_the_account_that_may_patch_the_service() -> None:
    step = {"name": "start", "container": {"image": "x"}, "serviceAccountName": "flows"}
    named = {"metadata": {"annotations": {"metaflow/flow_name": "DeployFlow"}}, "spec": {"templates": [step]}}
    spec = closed(named)["spec"]
    assert {spec["serviceAccountName"], spec["templates"][0]["serviceAccountName"]} == {"churnflow-deploy"}
    assert '"churnflow-deploy"' not in str(closed({"spec": {"templates": [step]}}))


@pytest.mark.parametrize(
    ("namespace", "prefix"), [("churnflow", ""), ("churnflow-dev", "dev-"), ("ours", ""), ("", "")]
)
def test_another_namespace_never_moves_the_champion(
    monkeypatch: pytest.MonkeyPatch, namespace: str, prefix: str
) -> None:
    monkeypatch.setenv("CHURNFLOW_NAMESPACE", namespace)
    monkeypatch.delenv("METAFLOW_KUBERNETES_POD_NAMESPACE", raising=False)
    assert environment._prefix() == prefix


def test_no_endpoint_no_keys_and_no_bucket_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import ClientError

    for code, said in (
        ("NoSuchBucket", "there is no bucket 'b'"),
        ("AccessDenied", "refuses the keys"),
        ("NoSuchKey", "no such object"),
    ):
        with pytest.raises(ChurnError, match=said), s3.explained("b", "CHURNFLOW_BENTO=s3://b/x"):
            raise ClientError({"Error": {"Code": code}}, "GetObject")


def test_sensors_and_the_event_source_are_not_root() -> None:
    import yaml

    made = closed_sensor({"kind": "Sensor", "spec": {"template": {"serviceAccountName": "a"}, "triggers": []}})
    assert made["spec"]["template"]["serviceAccountName"] == "a"
    (source,) = [
        one
        for one in yaml.safe_load_all((environment.ROOT / "argo" / "base" / "events.yaml").read_text())
        if one["kind"] == "EventSource"
    ]
    for one in (made, source):
        template = one["spec"]["template"]
        assert template["securityContext"]["runAsNonRoot"] is True
        assert template["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert template["container"]["securityContext"]["allowPrivilegeEscalation"] is False
        assert template["container"]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
