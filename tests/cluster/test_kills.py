"""A pod may go at any moment: in every step of every flow one is lost, and the flow ends as an undisturbed one."""

import random
import time
import uuid
from itertools import cycle
from typing import Any

import pytest
from on_cluster import DONE, Cluster, kubectl

CAMPAIGN = f"kills-{uuid.uuid4().hex[:8]}"
# What each flow is asked for, and what it adds to what is kept, disturbed or not. A list is the words of a file of customers.
FLOWS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "dataflow": ({}, {}),
    "trainflow": ({"force": True}, {"versions": 1, "trainings": 1}),
    "scoreflow": ({"source": ["2000", "7"]}, {"logged": 2000}),
    "monitorflow": ({}, {}),
    "pruneflow": ({}, {}),
    "probeflow": ({}, {}),
    "campaignflow": ({"name": CAMPAIGN, "source": ["2000", "7"]}, {"campaigns": 1, "logged": 2000}),
    # Reads what the kills of CampaignFlow left: the arms that it assigned.
    "effectflow": (
        {"name": CAMPAIGN, "outcomes": ["2000", "7", "outcome"], "until": "2100-01-01"},
        {"campaigns judged": 1},
    ),
}


def delete(pod: str) -> bool:
    """The pod is gone; False if it had ended before."""
    runs = kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase}", fails=True) == "Running"
    kubectl("delete", "pod", pod, "--grace-period=0", "--force", fails=True)
    return runs


def kill(pod: str) -> bool:
    """SIGKILL for every process of the step; the pod itself stays. Its container may not have begun yet, or have ended."""
    for _ in range(20):
        if kubectl("exec", pod, "-c", "main", "--", "bash", "-c", "kill -9 -1; echo done", fails=True).strip():
            return True
        time.sleep(0.3)
    return False


WAYS = (delete, kill), (kill, delete)


@pytest.mark.parametrize("ways", WAYS, ids=["delete first", "kill first"])
@pytest.mark.parametrize("flow", FLOWS)
def test_every_step_loses_its_pod_and_the_flow_ends_as_an_undisturbed_one(
    cluster: Cluster, flow: str, ways: tuple[Any, ...]
) -> None:
    parameters, more = FLOWS[flow]
    if flow in ("campaignflow", "effectflow") and ways == WAYS[1]:
        more = {}  # the first way's campaign again: who is in its log keeps the arm, and its verdict is one
    files = {name: cluster.inside("customers", *words) for name, words in parameters.items() if isinstance(words, list)}
    parameters = parameters | files
    before = cluster.inside("kept")
    workflow = cluster.start(flow, **parameters)
    seen, lost = _lose(cluster, workflow, ways, longest=0 if flow == "probeflow" else 2)
    assert cluster.phase(workflow) == "Succeeded", kubectl("get", "workflow", workflow, "-o", "yaml")
    assert {step for step, pods in seen.items() if len(pods) < 2} & lost == set()  # each had a successor
    # What takes a second may be over before it is killed.
    assert lost if flow == "probeflow" else set(seen) - lost <= {"end"}, (seen, lost)
    expected = {key: before[key] + more.get(key, 0) for key in before}
    assert cluster.inside("kept") == expected


def _lose(
    cluster: Cluster, workflow: str, ways: tuple[Any, ...], longest: float, seconds: float = 1800
) -> tuple[dict[str, set[str]], set[str]]:
    """Lose the first pod of each step, some seconds after it has begun to run: each step's pods, and the steps that lost one."""
    seen: dict[str, set[str]] = {}
    tried, lost = set[str](), set[str]()
    moment, turn, until = random.Random(workflow), cycle(ways), time.monotonic() + seconds
    while cluster.phase(workflow) not in DONE:
        assert time.monotonic() < until, kubectl("get", "pods")
        for pod in cluster.pods(workflow):
            if pod.runs and pod.step not in tried:
                time.sleep(moment.uniform(0.1, 1) * longest)
                lost |= {pod.step} if next(turn)(pod.name) else set()
                tried.add(pod.step)
            seen.setdefault(pod.step, set()).add(pod.uid)
        time.sleep(0.5)
    return seen, lost
