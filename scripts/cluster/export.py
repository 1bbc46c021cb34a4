"""``make argo-export``: write what ``argo-workflows create`` would send to the cluster as YAML under argo/flows/.

Runs the real command with a recorder instead of the Kubernetes API; it needs the S3 store (for the upload of the code
package), but no cluster.
"""

import argparse
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flows"))

import base
from orchestration import metaflow_patches

KINDS = {"workflowtemplates": "workflowtemplate", "cronworkflows": "cronworkflow", "sensors": "sensor"}


class _Recorder:
    """The part of the Kubernetes client that ArgoClient uses: nothing exists yet, and created objects are recorded."""

    def __init__(self) -> None:
        from kubernetes.client import rest

        self.rest = rest
        self.kept: dict[str, Any] = {}

    def CustomObjectsApi(self) -> "_Recorder":
        return self

    def get_namespaced_custom_object(self, **_: Any) -> None:
        raise self.rest.ApiException(status=404)

    delete_namespaced_custom_object = get_namespaced_custom_object

    def create_namespaced_custom_object(self, plural: str, namespace: str, body: dict[str, Any], **_: Any) -> None:
        body["metadata"].setdefault("namespace", namespace)
        self.kept[KINDS[plural]] = body


def record(flow: Path, words: list[str]) -> dict[str, Any]:
    """The objects of one flow file, by kind. Metaflow keeps state in the process, so use one process for each flow."""
    from metaflow import metaflow_git
    from metaflow.plugins.kubernetes.kubernetes_client import KubernetesClient

    metaflow_patches.close_pods(base.DEPLOY)
    recorder = _Recorder()
    metaflow_git.get_repository_info = lambda path: {}  # the export itself would change "has uncommitted changes"
    KubernetesClient.__init__ = lambda self: None  # type: ignore[method-assign]
    KubernetesClient.get = lambda self: recorder  # type: ignore[method-assign]
    sys.argv = [str(flow), "--quiet", *words, "argo-workflows", "create"]
    try:
        runpy.run_path(str(flow), run_name="__main__")
    except SystemExit as done:
        if done.code:
            raise
    return {kind: _steady(body) for kind, body in recorder.kept.items()}


def _steady(body: Any) -> Any:
    """The object without nulls, the time of the export, the interpreter's build, and random file names inside the pods."""
    if isinstance(body, dict):
        return {k: _steady(v) for k, v in body.items() if v is not None and k != "metaflow/deployment_timestamp"}
    if isinstance(body, list):
        return [_steady(item) for item in body]
    if not isinstance(body, str):
        return body
    body = re.sub(r'"python_version": "[^"]*", |, "production_token": "[^"]*"', "", body)
    return re.sub(r"[0-9a-f]{32}(?=\.(?:json|sh|py)\b)|(?<=/tmp/)[0-9a-f]{32}", "0" * 32, body)


def _annotated(text: str) -> str:
    """The text annotated for detect-secrets: the code's hash, event names and Metaflow's production token are not secrets."""
    return re.sub(
        r"(?m)^([ -]*\S+: \S*(?:[0-9a-f]{40}|mfprj-|METAFLOW_ARGO_EVENT_PAYLOAD_)\S*)$",
        r"\1  # pragma: allowlist secret",
        text,
    )


def export(folder: Path, words: list[str]) -> list[Path]:
    """Write the objects of every flow to ``folder``, replacing an earlier export; return the files."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    written = []
    for flow in sorted((ROOT / "flows").glob("*_flow.py")):
        command = [sys.executable, __file__, "--record", str(flow), *words]
        steady = {
            "METAFLOW_USER": "churnflow",
            "PYTHONHASHSEED": "0",
        }  # sorted: Metaflow writes parameters in the order of a set
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **steady})
        if done.returncode:
            sys.exit(f"{flow.name}: {done.stderr or done.stdout}")
        for kind, body in sorted(json.loads(done.stdout.splitlines()[-1]).items()):
            path = folder / f"{flow.stem.removesuffix('_flow')}.{kind}.yaml"
            path.write_text(_annotated(yaml.safe_dump(body, sort_keys=True, width=120)), encoding="utf-8")
            written.append(path)
    names = "".join(f"  - {path.name}\n" for path in written)
    (folder / "kustomization.yaml").write_text(
        f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{names}", encoding="utf-8"
    )
    return written


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=ROOT / "argo" / "flows")
    options, words = parser.parse_known_args()
    if options.record:
        print(json.dumps(record(options.record, words)))
        return
    for path in export(options.out, words):
        print(path)


if __name__ == "__main__":
    main()
