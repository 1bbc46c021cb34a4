"""The network table in docs/deployment.md, tested with labelled pods that try every connection, allowed or not."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from on_cluster import IMAGE, NAMESPACE, ROOT, Cluster, kubectl, pod_spec

FOREIGN = "churnflow-tests-callers"  # a namespace with the label of callers; FOREIGN-not: one without
LABELS = {
    "a flow's pod": {"app.kubernetes.io/name": "metaflow-task"},
    "the service": {"app.kubernetes.io/name": "churn-service"},
    "a sensor": {"app.kubernetes.io/name": "metaflow-sensor"},
    "the event source": {"eventsource-name": "metaflow"},
    "the event bus": {"eventbus-name": "default"},
    "any other pod of the namespace": {"app.kubernetes.io/name": "other"},
    "a pod of a namespace with `churnflow/callers=yes`": {"app.kubernetes.io/name": "other"},
    "a pod of any other namespace": {"app.kubernetes.io/name": "other"},
}
TRY = """
import concurrent.futures, json, socket, sys
def reached(place):
    try:
        socket.create_connection(place, timeout=4).close()
        return True
    except OSError:
        return False
with concurrent.futures.ThreadPoolExecutor() as pool:
    print(json.dumps(list(pool.map(reached, [(host, port) for host, port in json.loads(sys.argv[1])]))))
"""


def table() -> dict[str, dict[str, bool]]:
    """Who (row) reaches whom (column), as docs/deployment.md says; a cell that says neither yes nor no is left out."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    lines = re.search(r"^\| from .*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert lines is not None
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[0].strip().splitlines())
    said = {who: dict(zip(head[1:], cells, strict=True)) for who, *cells in rows}
    return {
        who: {whom: cell == "yes" for whom, cell in one.items() if cell in ("yes", "no")} for who, one in said.items()
    }


@pytest.fixture(scope="module")
def probes(cluster: Cluster) -> Iterator[dict[str, tuple[str, str]]]:
    """The namespace and name of a pod with the labels of each row."""
    made = {}
    for number, (who, labels) in enumerate(LABELS.items()):
        namespace = {6: FOREIGN, 7: f"{FOREIGN}-not"}.get(number, NAMESPACE)
        if namespace != NAMESPACE:
            kubectl("create", "namespace", namespace, fails=True)
        made[who] = namespace, f"churnflow-probe-{number}"
        kubectl("-n", namespace, "apply", "-f", "-", given=json.dumps(_probe(made[who], labels)).encode())
    kubectl("label", "--overwrite", "namespace", FOREIGN, "churnflow/callers=yes")
    for namespace, name in made.values():
        kubectl("-n", namespace, "wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Running", "--timeout=180s")
    yield made
    for namespace, name in made.values():
        kubectl("-n", namespace, "delete", "pod", name, "--now")
    kubectl("delete", "namespace", FOREIGN, f"{FOREIGN}-not", "--wait=false")


@pytest.fixture(scope="module")
def reached(cluster: Cluster, probes: dict[str, tuple[str, str]]) -> dict[str, dict[str, bool]]:
    """What each probe reached, of the columns that anybody reached: where nothing listens, nothing is shown."""
    places = _places(cluster)
    each = {who: dict(zip(places, _tried(probe, list(places.values())), strict=True)) for who, probe in probes.items()}
    if each["any other pod of the namespace"]["the service"]:
        pytest.skip("network policies are not enforced here")
    there = {whom for whom in places if any(one[whom] for one in each.values())}
    assert there >= {"the service", "S3", "MLflow", "the API server"}
    return {who: {whom: one[whom] for whom in sorted(there)} for who, one in each.items()}


@pytest.mark.parametrize("who", LABELS)
def test_who_reaches_whom_is_what_the_table_says(reached: dict[str, dict[str, bool]], who: str) -> None:
    said = {whom: allowed for whom, allowed in table()[who].items() if whom in reached[who]}
    assert said == {whom: reached[who][whom] for whom in said}


def _places(cluster: Cluster) -> dict[str, tuple[str, int]]:
    """Host and port of the table's columns."""
    servers = cluster.inside("servers")
    exported = kubectl("get", "workflowtemplate", "churnflow.prod.trainflow", "-o", "json")
    if metaflow := re.search(r'"METAFLOW_SERVICE_URL",\s*"value": "([^"]+)"', exported):
        servers["METAFLOW_SERVICE_URL"] = metaflow[1]
    at = {name: (urlsplit(url).hostname or "", urlsplit(url).port or 443) for name, url in servers.items()}
    return {
        "the service": (f"churn-service.{NAMESPACE}.svc", 3000),
        "the event source": (f"metaflow-eventsource-svc.{NAMESPACE}.svc", 12000),
        "the event bus": (f"eventbus-default-js-svc.{NAMESPACE}.svc", 4222),
        "S3": at["AWS_ENDPOINT_URL_S3"],
        "MLflow": at["MLFLOW_TRACKING_URI"],
        "Metaflow's service": at.get("METAFLOW_SERVICE_URL", ("", 0)),
        "the API server": ("kubernetes.default.svc", 443),
    }


def _tried(probe: tuple[str, str], places: list[tuple[str, int]]) -> list[bool]:
    said = kubectl("-n", probe[0], "exec", probe[1], "--", "python", "-c", TRY, json.dumps(places))
    return [bool(one) for one in json.loads(said)]


def _probe(where: tuple[str, str], labels: dict[str, str]) -> dict[str, Any]:
    """A pod that is never ready, so that no Service sends it anything."""
    pod = pod_spec(where[1], where[0], labels, IMAGE, secret=False)
    pod["spec"]["containers"][0]["readinessProbe"] = {"exec": {"command": ["false"]}}
    return pod
