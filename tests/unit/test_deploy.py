"""config/deploy.toml becomes decorators that Metaflow accepts; profiles and S3 addresses are read strictly."""

import pytest
from churn import bentos, environment, stores
from churn.config import check, load
from churn.deploy import Deploy
from churn.errors import ChurnError
from conftest import ROOT


def test_a_step_gets_its_own_table_over_the_default() -> None:
    deploy = check(Deploy, {"default": {"memory": 512}, "step": {"tune": {"cpu": 4}}}, "deploy.toml")
    assert ("resources", {"cpu": 4, "memory": 512}) in deploy.decorators("tune", on_cluster=True)
    assert ("resources", {"cpu": 1, "memory": 512}) in deploy.decorators("split", on_cluster=True)


def test_only_a_cluster_repeats_and_never_a_verdict() -> None:
    deploy = load(Deploy, ROOT / "config" / "deploy.toml")
    assert "retry" not in dict(deploy.decorators("tune", on_cluster=False))
    assert dict(deploy.decorators("tune", on_cluster=True))["retry"]["times"] > 0
    for step in ("features", "gate", "register"):
        assert dict(deploy.decorators(step, on_cluster=True))["retry"]["times"] == 0


def test_an_event_and_an_upstream_flow_exclude_each_other() -> None:
    with pytest.raises(ChurnError, match="not both"):
        check(Deploy, {"start": {"TrainFlow": {"event": "drift", "after": ["DataFlow"]}}}, "deploy.toml")


def test_a_profile_that_does_not_exist_is_named_with_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_PROFILE", "clutser")
    with pytest.raises(ChurnError, match=r"clutser.*cluster, local"):
        environment.profile()


def test_every_store_of_the_cluster_profile_is_in_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_PROFILE", "cluster")
    monkeypatch.setenv("CHURNFLOW_BUCKET", "mine")
    found = environment.profile()
    for name in ("METAFLOW_DATASTORE_SYSROOT_S3", *stores.SETTINGS):
        assert found[name].startswith("s3://mine/"), name


@pytest.mark.parametrize(
    "address", ["", "s3://b/x.bento", "s3://b/x.bento@sha256:12", "https://b/x@sha256:" + "0" * 64]
)
def test_a_bento_without_a_checksum_is_not_fetched(address: str, tmp_path) -> None:
    with pytest.raises(ChurnError, match="sha256:CHECKSUM"):
        bentos.fetch(address, tmp_path)
