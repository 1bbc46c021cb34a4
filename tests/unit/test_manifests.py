"""What is written by hand for Kubernetes and Docker: valid, pinned, without credentials or paths of one machine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from conftest import ROOT

FILES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "argo", "config", "Dockerfile", ".env.example"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
]
CUSTOM = ("argoproj.io/", "monitoring.coreos.com/", "kustomize.config.k8s.io/")


def _objects(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one]


@pytest.mark.parametrize("path", sorted((ROOT / "argo" / "base").glob("*.yaml")), ids=lambda path: path.name)
def test_kubernetes_knows_every_key(path: Path) -> None:
    for one in _objects(path.read_text()):
        if not one["apiVersion"].startswith(CUSTOM):
            kubernetes_validate.validate(one, "1.31", strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not at hand")
@pytest.mark.parametrize(("overlay", "namespace"), [("dev", "churnflow-dev"), ("prod", "churnflow")])
def test_an_overlay_lives_in_its_namespace_alone(overlay: str, namespace: str) -> None:
    command = ["kubectl", "kustomize", str(ROOT / "argo" / "overlays" / overlay)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^ *namespace: (\S+)", text, re.MULTILINE)) == {namespace}
    (made,) = (one for one in _objects(text) if one["kind"] == "Namespace")
    assert made["metadata"]["name"] == namespace


def test_the_service_may_do_nothing_but_serve() -> None:
    deployment = next(
        one for one in _objects((ROOT / "argo/base/serving.yaml").read_text()) if one["kind"] == "Deployment"
    )
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    for container in pod["initContainers"] + pod["containers"]:
        closed = container["securityContext"]
        assert closed["readOnlyRootFilesystem"]
        assert closed["capabilities"]["drop"] == ["ALL"]
        assert not closed["allowPrivilegeEscalation"]


def test_the_dockerfile_passes_hadolint() -> None:
    lint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(lint), str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_credential_no_latest_no_path_of_one_machine(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"minioadmin|password\s*[:=]\s*\S|SECRET_ACCESS_KEY=\S|:latest\b", text, re.IGNORECASE)
    assert not re.search(r"/(?:home|root|Users)/", text)
