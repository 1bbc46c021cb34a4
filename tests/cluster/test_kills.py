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
    "campaignflow": ({"name": CAMPAIGN, "source": ["2000", "7"]}, {"campaigns": 1}),
    # Reads what the kills of CampaignFlow left: the arms that it assigned.
    "effectflow": (
        {"name": CAMPAIGN, "outcomes": ["2000", "7", "outcome"], "until": "2100-01-01"},
        {"campaigns judged": 1},
    ),
}


def delete(pod: str) -> None:
    kubectl("delete", "pod", pod, "--grace-period=0", "--force", fails=True)  # it may have ended meanwhile


def kill(pod: str) -> None:
    """SIGKILL for every process of the step; the pod itself stays. Its container may not have begun yet."""
    for _ in range(20):
        if kubectl("exec", pod, "-c", "main", "--", "bash", "-c", "kill -9 -1; echo done", fails=True).strip():
            return
        time.sleep(0.3)


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
    seen = _lose(cluster, workflow, ways)
    assert cluster.phase(workflow) == "Succeeded", kubectl("get", "workflow", workflow, "-o", "yaml")
    assert {step for step, pods in seen.items() if len(pods) < 2} == set()  # each had a successor
    expected = {key: before[key] + more.get(key, 0) for key in before}
    assert cluster.inside("kept") == expected


def _lose(cluster: Cluster, workflow: str, ways: tuple[Any, ...], seconds: float = 1800) -> dict[str, set[str]]:
    """Lose the first pod of each step, some seconds after it has begun to run: the pods that each step had."""
    seen: dict[str, set[str]] = {}
    lost: set[str] = set()
    moment, turn, until = random.Random(workflow), cycle(ways), time.monotonic() + seconds
    while cluster.phase(workflow) not in DONE:
        assert time.monotonic() < until, kubectl("get", "pods")
        for pod in cluster.pods(workflow):
            if pod.runs and pod.step not in lost:
                time.sleep(moment.uniform(0.2, 2))
                next(turn)(pod.name)
                lost.add(pod.step)
            seen.setdefault(pod.step, set()).add(pod.uid)
        time.sleep(0.5)
    return seen
