"""The cluster as a target: the Deployment in argo/base/serving.yaml. The account may patch it and list its pods."""

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from churn.deployment.target import Instance
from churn.errors import ChurnError
from churn.registry.model_registry import Registered
from churn.serving import bento_store, release
from churn.settings.environment import IN_POD

NAME, FETCH, SERVICE, VARIABLE, PORT = "churn-service", "fetch", "service", "CHURNFLOW_BENTO", 3000
RUN, FORMER, IMAGE = (
    "churnflow/deployment",
    "churnflow/former",
    "churnflow/former-image",
)  # annotations of the Deployment
MERGED = "application/strategic-merge-patch+json"  # merges containers and variables by name
BEAT_SECONDS = 5.0  # between heartbeats
POD_SECONDS = 60.0  # for the controller to create a pod
POLL_SECONDS = 0.2
# Reasons of a waiting container that waiting longer does not resolve.
HOPELESS = {"CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError",
            "CreateContainerError", "RunContainerError"}  # fmt: skip


class Cluster:
    """The Deployment NAME in this namespace, for the run ``run``; ``image`` replaces the serving image, if given."""

    def __init__(self, run: str, image: str = "") -> None:
        """Connect with the pod's service account or, on a developer's machine, with the kubeconfig.

        Raises:
            ChurnError: There is no kubeconfig, or it is not valid.
        """
        from kubernetes import client, config

        with _explained():
            config.load_incluster_config() if IN_POD else config.load_kube_config()
        self._apps, self._core = client.AppsV1Api(), client.CoreV1Api()
        names = ("METAFLOW_KUBERNETES_POD_NAMESPACE", "CHURNFLOW_NAMESPACE")
        self._namespace = next((os.environ[name] for name in names if os.environ.get(name)), "churnflow")
        self.place, self._run, self._image = f"deployment {NAME} in namespace {self._namespace}", run, image
        self._bento, self._beats, self._beaten = "", 0, time.monotonic()

    def address(self, model: Registered) -> str:
        """The Bento of ``model`` in S3, from which pods fetch it; publish it if it is missing.

        Raises:
            ChurnError: The profile keeps no Bentos in S3.
        """
        bento = model.tags.get(bento_store.TAG) or release.publish(model)
        if not bento:
            raise ChurnError("CHURNFLOW_BENTOS: a cluster needs its Bentos in S3; set CHURNFLOW_PROFILE=cluster")
        return bento

    def served(self) -> str:
        """The Bento in the pod template or, during a deployment, in the annotation with the previous one."""
        deployment = self._read()
        marks = deployment.metadata.annotations or {}
        return str(marks.get(FORMER, "") if marks.get(RUN) else _bento(deployment.spec.template.spec))

    def unfinished(self) -> str:
        """The run in the Deployment's annotation, with its heartbeat counter."""
        return str((self._read().metadata.annotations or {}).get(RUN) or "")

    def begin(self, bento: str) -> None:
        """Patch the pod template, and pause the rollout once it has created one pod.

        Raises:
            ChurnError: Another deployment is in progress, or no pod appears within POD_SECONDS.
        """
        self._bento = bento
        deployment = self._read()
        if (deployment.metadata.annotations or {}).get(RUN):
            raise ChurnError(
                f"{self.place}: {deployment.metadata.annotations[RUN]} is deploying there; wait until it ends"
            )
        former = {
            FORMER: _bento(deployment.spec.template.spec),
            IMAGE: deployment.spec.template.spec.containers[0].image,
        }
        version = deployment.metadata.resource_version  # the patch is refused if another deployment began in between
        self._patch({RUN: f"{self._run}@0", **former}, bento, self._image, paused=False, resourceVersion=version)
        self._reach(1)

    def instances(self) -> Sequence[Instance]:
        """The pods that are not being deleted."""
        self._beat()
        return [self._instance(pod) for pod in self._pods() if pod.metadata.deletion_timestamp is None]

    def give(self, share: float) -> None:
        """Replace this share of the pods, rounded down, and pause the rollout again."""
        wanted = max(1, math.floor(share * (self._read().spec.replicas or 1)))
        if sum(one.new for one in self.instances()) < wanted:
            self._patch(paused=False)
            self._reach(wanted)

    def keep(self) -> None:
        """Resume the rollout: every pod is replaced."""
        self._patch(paused=False)

    def back(self) -> None:
        """Restore the previous Bento and image in the pod template."""
        marks = self._read().metadata.annotations or {}
        if FORMER in marks:
            self._patch({}, marks[FORMER], marks.get(IMAGE, ""), paused=False)

    def done(self) -> None:
        """Remove the annotations of the deployment."""
        self._patch({RUN: None, FORMER: None, IMAGE: None})

    def _reach(self, number: int) -> None:
        """Wait for this many new pods, then pause the rollout."""
        until = time.monotonic() + POD_SECONDS
        while sum(one.new for one in self.instances()) < number:
            if time.monotonic() > until:
                raise ChurnError(f"{self.place}: no new pod within {POD_SECONDS:g} s; check the namespace's quota")
            time.sleep(POLL_SECONDS)
        self._patch(paused=True)

    def _beat(self) -> None:
        if self._bento and time.monotonic() - self._beaten > BEAT_SECONDS:
            self._beats, self._beaten = self._beats + 1, time.monotonic()
            self._patch({RUN: f"{self._run}@{self._beats}"})

    def _read(self) -> Any:
        with _explained():
            return self._apps.read_namespaced_deployment(NAME, self._namespace)

    def _pods(self) -> list[Any]:
        with _explained():
            label = f"app.kubernetes.io/name={NAME}"
            return list(self._core.list_namespaced_pod(self._namespace, label_selector=label).items)

    def _patch(
        self,
        annotations: dict[str, str | None] | None = None,
        bento: str | None = None,
        image: str = "",
        paused: bool | None = None,
        **metadata: str,
    ) -> None:
        spec: dict[str, Any] = {} if paused is None else {"paused": paused}
        if bento is not None:
            images = {"image": image} if image else {}
            variable = {"name": VARIABLE, "value": bento or None}
            spec["template"] = {
                "spec": {
                    "initContainers": [{"name": FETCH, "env": [variable], **images}],
                    "containers": [{"name": SERVICE, **images}],
                }
            }
        body = {"metadata": {"annotations": annotations or {}, **metadata}, "spec": spec}
        with _explained():
            self._apps.patch_namespaced_deployment(NAME, self._namespace, body, _content_type=MERGED)

    def _instance(self, pod: Any) -> Instance:
        conditions = {one.type: one.status for one in pod.status.conditions or ()}
        bento = _bento(pod.spec)
        image = pod.spec.containers[0].image
        new = bento == self._bento and (not self._image or image == self._image)
        url = f"http://{pod.status.pod_ip}:{PORT}" if pod.status.pod_ip else ""
        return Instance(pod.metadata.name, url, new, conditions.get("Ready") == "True", _wrong(pod))


def _bento(pod: Any) -> str:
    """The Bento that the pod's init container fetches."""
    (fetch,) = (one for one in pod.init_containers if one.name == FETCH)
    return next((one.value or "" for one in fetch.env or () if one.name == VARIABLE), "")


def _wrong(pod: Any) -> str:
    """Why one of the pod's containers ended or cannot start."""
    for one in (*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())):
        state, last = one.state, one.last_state
        if state.waiting is not None and state.waiting.reason in HOPELESS:
            return f"{one.name}: {state.waiting.reason} {' '.join((state.waiting.message or '').split())[:300]}".strip()
        ended = state.terminated if state.terminated is not None and state.terminated.exit_code else last.terminated
        if ended is not None and ended.exit_code:
            message = " ".join((ended.message or "").split())[-300:]
            return f"{one.name}: {ended.reason}, exit code {ended.exit_code} {message}".strip()
    return ""


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of the Kubernetes client into ChurnErrors."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise ChurnError(f"Kubernetes refuses ({error.status} {error.reason}): {str(error.body)[:300]}") from error
    except (ConfigException, HTTPError) as error:
        raise ChurnError(f"cannot reach Kubernetes: {error}; is there a kubeconfig?") from error
