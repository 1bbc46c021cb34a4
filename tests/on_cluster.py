"""The cluster of the current kubeconfig, with everything deployed as docs/deployment.md says. Skipped without one."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = os.environ.get("CHURNFLOW_NAMESPACE") or "churnflow"
IMAGE = os.environ.get("CHURNFLOW_IMAGE") or "churnflow/flows:0.1.0"
POD = "churnflow-tests"
DONE = ("Succeeded", "Failed", "Error")


def kubectl(*words: str, given: bytes | None = None, fails: bool = False) -> str:
    """What kubectl says, in the namespace unless the words name another."""
    own = () if words[0] == "-n" else ("-n", NAMESPACE)
    done = subprocess.run(["kubectl", *own, *words], input=given, capture_output=True)
    assert fails or done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Pod(NamedTuple):
    name: str
    step: str
    uid: str  # a pod that is made anew under the same name has another
    runs: bool


class Cluster:
    """A pod with the repository's code, and the deployments that the tests start."""

    def __init__(self) -> None:
        kubectl("delete", "pod", POD, "--ignore-not-found", "--now")
        pod = pod_spec(POD, NAMESPACE, {"app.kubernetes.io/name": "metaflow-task"}, IMAGE)
        kubectl("apply", "-f", "-", given=json.dumps(pod).encode())
        kubectl("wait", f"pod/{POD}", "--for=condition=Ready", "--timeout=180s")
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name in ("flows", "bento", "config", "tests"):
                archive.add(ROOT / name, name, filter=lambda one: None if "__pycache__" in one.name else one)
        kubectl("exec", "-i", POD, "--", "tar", "-x", "-C", "/work", given=content.getvalue())

    def inside(self, *words: str) -> Any:
        """What inside.py answers."""
        said = kubectl("exec", POD, "--", "python", "tests/cluster/inside.py", *words)
        return json.loads(said.splitlines()[-1])

    def deploy(self, **parameters: str) -> str:
        """Start DeployFlow: the workflow's name."""
        return self.start("deployflow", **parameters)

    def start(self, flow: str, **parameters: Any) -> str:
        """Start a flow: the workflow's name. A step is repeated after seconds, not after config/deploy.toml's minute."""
        spec = json.loads(kubectl("get", "workflowtemplate", f"churnflow.prod.{flow}", "-o", "json"))["spec"]
        for template in spec["templates"]:
            if "retryStrategy" in template:
                template["retryStrategy"]["backoff"] = {"duration": "5s"}
        for one in spec["arguments"]["parameters"]:
            if one["name"].replace("-", "_") in parameters:
                one["value"] = json.dumps(parameters[one["name"].replace("-", "_")])
        workflow = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": f"{flow}-", "namespace": NAMESPACE},
            "spec": spec,
        }
        made = json.loads(kubectl("create", "-o", "json", "-f", "-", given=json.dumps(workflow).encode()))
        return str(made["metadata"]["name"])

    def ended(self, workflow: str, seconds: float = 600) -> str:
        """Wait for the end of a workflow: its phase."""
        until = time.monotonic() + seconds
        while (phase := self.phase(workflow)) not in DONE:
            assert time.monotonic() < until, kubectl("get", "pods")
            time.sleep(1)
        return phase

    def pods(self, workflow: str) -> list[Pod]:
        """The pods of a workflow's steps that are there; a hook's, at its end, is none."""
        said = json.loads(kubectl("get", "pods", "-l", f"workflows.argoproj.io/workflow={workflow}", "-o", "json"))
        return [
            Pod(one["name"], one["annotations"]["metaflow/step_name"], one["uid"], pod["status"]["phase"] == "Running")
            for pod in said["items"]
            if "deletionTimestamp" not in (one := pod["metadata"]) and "metaflow/step_name" in one["annotations"]
        ]

    def phase(self, workflow: str) -> str:
        return _get("workflow", workflow, ".status.phase")

    def served(self) -> str:
        """The Bento that the Deployment names."""
        place = '.spec.template.spec.initContainers[0].env[?(@.name=="CHURNFLOW_BENTO")].value'
        return _get("deployment", "churn-service", place)

    def unfinished(self) -> str:
        """The deployment that has begun and not ended."""
        return _get("deployment", "churn-service", r".metadata.annotations.churnflow/deployment")

    @contextmanager
    def traffic(self, rate: int = 50) -> Iterator[dict[str, Any]]:
        """Callers of the Service as long as the context lasts; what came back is there after it."""
        found: dict[str, Any] = {}
        caller = threading.Thread(target=lambda: found.update(self.inside("traffic", "900", str(rate))))
        caller.start()
        time.sleep(3)
        try:
            yield found
        finally:
            kubectl("exec", POD, "--", "touch", "stop")
            caller.join()


def _get(kind: str, name: str, place: str) -> str:
    return kubectl("get", kind, name, "-o", f"jsonpath={{{place}}}")


def pod_spec(name: str, namespace: str, labels: dict[str, str], image: str, secret: bool = True) -> dict[str, Any]:
    """A pod that waits for commands, with the flows' secret or without it."""
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container: dict[str, Any] = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "7200"],
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "3Gi"},
        },
        "securityContext": closed,
    }
    if secret:
        container["envFrom"] = [{"secretRef": {"name": "churnflow-flows"}}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001},
            "containers": [container],
        },
    }


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, with a champion that is served."""
    if shutil.which("kubectl") is None or not kubectl("get", "deployment", "churn-service", fails=True):
        pytest.skip("no cluster with churn-service is at hand")
    made = Cluster()
    if not made.served():
        workflow = made.deploy()
        assert made.ended(workflow) == "Succeeded", kubectl("get", "pods")
    yield made
    kubectl("delete", "pod", POD, "--now")
