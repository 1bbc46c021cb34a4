"""What is written by hand for Kubernetes and Docker: valid, pinned, without credentials or paths of one machine."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from churn.serving import packaging
from conftest import ROOT

FILES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "argo", "config", "compose.yaml", "Dockerfile", ".env.example"],
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
    (bus,) = (one["spec"]["jetstream"] for one in _objects(text) if one["kind"] == "EventBus")
    copies = yaml.safe_load(bus.get("streamConfig", "replicas: 3"))["replicas"]  # Argo Events' own default is 3
    assert copies <= bus["replicas"], "a bus refuses a stream of more copies than it has servers, and no sensor starts"


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


def test_the_image_listens_on_every_address_and_the_deployment_leaves_it_so() -> None:
    """BentoML and `make serve` have defaults of their own; a pod's probes and its Service come from outside of it."""
    command = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("CMD "))
    assert '"--host", "0.0.0.0"' in command
    deployment = next(
        one for one in _objects((ROOT / "argo/base/serving.yaml").read_text()) if one["kind"] == "Deployment"
    )
    (service,) = deployment["spec"]["template"]["spec"]["containers"]
    assert not {"command", "args"} & set(service)
    server = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["mlflow"]
    assert "--host=0.0.0.0" in server["command"]


def test_deploying_again_keeps_what_a_rollout_and_the_autoscaler_have_set() -> None:
    deployment = next(
        one for one in _objects((ROOT / "argo/base/serving.yaml").read_text()) if one["kind"] == "Deployment"
    )
    (fetch,) = deployment["spec"]["template"]["spec"]["initContainers"]
    assert {"name": "CHURNFLOW_BENTO"} in fetch["env"]
    assert "replicas" not in deployment["spec"]


def test_the_image_of_the_service_has_what_a_bento_asks_for() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert sorted(groups["serving"]) == sorted([*packaging.REQUIREMENTS, "boto3"])


def test_onnx_runtime_reports_to_nobody_wherever_the_service_runs() -> None:
    service = (ROOT / "bento" / "service.py").read_text()
    assert -1 < service.find('os.environ["ORT_DISABLE_TELEMETRY"] = "1"') < service.find("import bentoml")
    images = (ROOT / "Dockerfile").read_text().split("AS base")[1]
    assert "ORT_DISABLE_TELEMETRY=1" in images.partition("FROM")[0]
    for name in ("compose.yaml", "argo/base/serving.yaml"):
        assert "ORT_DISABLE_TELEMETRY" in (ROOT / name).read_text(), name


def test_the_network_policy_names_who_may_call_the_service() -> None:
    policies = yaml.safe_load_all((ROOT / "argo" / "base" / "network.yaml").read_text())
    (service,) = [one for one in policies if one["metadata"]["name"] == "churn-service"]
    callers = [next(iter(who.values())) for rule in service["spec"]["ingress"] for who in rule["from"]]
    assert callers
    assert all(who.get("matchLabels") for who in callers)


def test_the_dockerfile_passes_hadolint() -> None:
    lint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(lint), str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


DEFAULTS = r"minioadmin|changeme|:postgres@|admin:admin|SECRET_ACCESS_KEY=\S"
SECRET = re.compile(r"(\w*(?:passw|pswd|secret_access)\w*)\"?[ \t]*[:=][ \t]*(\S.*)", re.IGNORECASE)
MACHINE = r"(?<![\w.}])/(?:home|root|Users|private|var/folders)/|\b[A-Z]:\\\\|hostPath"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_credential_no_latest_no_path_of_one_machine(path: Path) -> None:
    text = path.read_text()
    assert not re.search(rf"{DEFAULTS}|:latest\b", text, re.IGNORECASE)
    assert not re.search(MACHINE, text)
    for name, value in SECRET.findall(text):
        assert re.match(r"\$\{\w+(:\?[^}]*)?\}$|(false|true)\b", value.strip()), f"{name}: {value}"


def test_no_image_is_without_its_version() -> None:
    for path in FILES:
        for image in re.findall(r"^\s*(?:- )?image: *(\S+)", path.read_text(), re.MULTILINE):
            assert re.search(r":[\w.-]*\d[\w.-]*$", image), f"{path.name}: {image}"
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    pinned = re.findall(r"^ARG PYTHON_IMAGE=\S+:3\.\d+\.\d+-\S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert pinned
    assert "${PYTHON_IMAGE}" in bases


@pytest.mark.long
def test_detect_secrets_finds_nothing() -> None:
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    found = SecretsCollection(root=str(ROOT))
    with default_settings():
        for path in FILES:
            found.scan_file(str(path.relative_to(ROOT)))
    assert not found, [str(secret) for _, secret in found]
