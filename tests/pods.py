"""The part of Argo that Metaflow's exports use, without a cluster: WorkflowTemplates run, Sensors start them on events.

Each container runs its own command, as Argo would start it: with the image's and the template's environment, in a
private mount namespace: ``/mnt/out``, where Metaflow leaves a task's outputs, and ``/mnt/work``, the working directory.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conftest import ROOT

UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
_INPUTS = Path("/tmp/mf-input-paths")  # the one other fixed path that Metaflow's command writes to
_PLACE = """
mount -t tmpfs none /mnt && mkdir /mnt/{out,work,cache} && mount --bind "$1/out" /mnt/out &&
mount --bind "$1/work" /mnt/work && mount --bind "$2" /mnt/cache && mount --bind "$1/inputs" "$3" &&
cd /mnt/work && shift 3 && exec "$@"
"""
Values = dict[str, Any]


def missing() -> str:
    """Why containers cannot be run here; empty if they can."""
    if not shutil.which("unshare"):
        return "unshare (util-linux) is not at hand"
    done = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    return f"no private mount namespace: {done.stderr.strip()}" if done.returncode else ""


class Failed(Exception):
    """A container that failed as often as its template allows; the message is its log."""


class Workflow:
    """A run of a WorkflowTemplate, in ``folder``; ``secrets`` by name are the environment that pods take from them.

    The first attempt of the templates in ``lost`` is killed after a second, as if its node had gone. ``pods`` names each
    attempt of a container in order: ``(template, attempt, exit code)``.
    """

    def __init__(
        self,
        name: str,
        template: Values,
        secrets: dict[str, dict[str, str]],
        folder: Path,
        lost: Collection[str] = (),
    ) -> None:
        self._spec, self._secrets, self._folder, self._lost = template["spec"], secrets, folder, lost
        self._templates = {one["name"]: one for one in self._spec["templates"]}
        self._number, self._lock = 0, threading.Lock()
        self._cache = folder.parent / "cache"
        self._cache.mkdir(exist_ok=True)
        self.name, self.pods = name, list[tuple[str, int, int]]()
        self._globals = {
            "workflow.name": name,
            "workflow.namespace": template["metadata"]["namespace"],
            "workflow.creationTimestamp": "2026-01-01T00:00:00Z",
        }

    def run(self, **arguments: str) -> str:
        """Succeeded or Failed, after the exit handler. ``arguments`` replace the template's own."""
        known = {one["name"]: one["value"] for one in self._spec["arguments"]["parameters"]}
        assert set(arguments) <= set(known), arguments
        for key, value in (known | arguments).items():
            self._globals[f"workflow.parameters.{key}"] = value
        try:
            self._run(self._spec["entrypoint"], {})
            self._globals["workflow.status"] = "Succeeded"
        except Failed:
            self._globals["workflow.status"] = "Failed"
        if "onExit" in self._spec:
            self._run(self._spec["onExit"], {})
        return self._globals["workflow.status"]

    def log(self) -> str:
        """What all containers said."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*/log")))

    def _run(self, name: str, inputs: Values) -> Values:
        """Run a template; its output parameters."""
        template = self._templates[name]
        values = {f"inputs.parameters.{key}": value for key, value in inputs.items()}
        if "container" in template:
            return self._container(template, values)
        if "steps" in template:
            for (step,) in template["steps"]:
                left, right = self._fill(step["when"], values).split(" != ")
                if left != right:
                    self._run(step["template"], {})
            return {}
        for task in _ordered(template["dag"]["tasks"]):
            self._task(task, values)
        outputs = template.get("outputs", {}).get("parameters", [])
        return {one["name"]: self._fill(one["valueFrom"]["parameter"], values) for one in outputs}

    def _task(self, task: Values, values: Values) -> None:
        """Run a task of a DAG, once for each item of withParam; its outputs are added to ``values``."""
        items = json.loads(self._fill(task["withParam"], values)) if "withParam" in task else [None]
        given = task.get("arguments", {}).get("parameters", [])

        def one(item: Any) -> Values:
            own = values if item is None else {**values, "item": item}
            return self._run(task["template"], {each["name"]: self._fill(each["value"], own) for each in given})

        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(one, items))
        outputs = (
            done[0] if "withParam" not in task else {key: json.dumps([each[key] for each in done]) for key in done[0]}
        )
        values.update({f"tasks.{task['name']}.outputs.parameters.{key}": value for key, value in outputs.items()})

    def _container(self, template: Values, values: Values) -> Values:
        retry = template.get("retryStrategy", {})
        for attempt in range(int(retry.get("limit", 0)) + 1):
            own = {**values, "retries": attempt} if "retryStrategy" in template else values
            last = ["timeout", "--signal=KILL", "1"] if attempt == 0 and template["name"] in self._lost else []
            pod, code = self._pod(self._filled(template["container"], own), last)
            self.pods.append((template["name"], attempt, code))
            if code == 0:
                outputs = template.get("outputs", {}).get("parameters", [])
                return {one["name"]: (pod / "out" / Path(one["valueFrom"]["path"]).name).read_text() for one in outputs}
            if "expression" in retry and code < 128:  # as deploy.toml's retry_on = "kill" says
                break
        raise Failed((pod / "log").read_text())

    def _pod(self, container: Values, under: list[str]) -> tuple[Path, int]:
        """One attempt, as argument of the command ``under``: the pod's folder and the exit code."""
        with self._lock:
            self._number += 1
            pod = self._folder / f"{self._number:02d}-{container['name']}"
        for folder in ("out", "work"):
            (pod / folder).mkdir(parents=True)
        (pod / "inputs").touch()
        _INPUTS.touch()
        place = ["bash", "-c", _PLACE, "bash", str(pod), str(self._cache), str(_INPUTS)]
        with (pod / "log").open("w") as log:
            done = subprocess.run(
                [*under, *UNSHARE, *place, *container["command"]],
                env=self._environ(container),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return pod, done.returncode

    def _environ(self, container: Values) -> dict[str, str]:
        """The image's variables, the secrets' and the template's, the later over the earlier, as in a pod."""
        found = image_environ() | {"HOME": "/mnt/work", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        found["PYTHONPYCACHEPREFIX"] = "/mnt/cache"  # no pod compiles again what another has compiled
        for source in container.get("envFrom", []):
            found |= self._secrets[source["secretRef"]["name"]]
        for one in container["env"]:
            found[one["name"]] = one["value"] if "value" in one else one["valueFrom"]["fieldRef"]["fieldPath"]
        return found

    def _fill(self, text: str, values: Values) -> str:
        """``text`` with its ``{{...}}`` replaced; a name that Argo would not know fails."""
        known = {**self._globals, **values}

        def value(found: re.Match[str]) -> str:
            encoded = re.fullmatch(r"=toBase64\(workflow\.parameters\['([^']+)'\]\)", found[1])
            if encoded:  # the one expression that Metaflow writes
                return base64.b64encode(known[f"workflow.parameters.{encoded[1]}"].encode()).decode()
            return str(known[found[1]])

        return re.sub(r"\{\{([^}]+)\}\}", value, text)

    def _filled(self, value: Any, values: Values) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(one, values) for key, one in value.items()}
        if isinstance(value, list):
            return [self._filled(one, values) for one in value]
        return self._fill(value, values) if isinstance(value, str) else value


def _ordered(tasks: list[Values]) -> list[Values]:
    """The tasks of a DAG, each after those that it depends on."""
    done: list[Values] = []
    while len(done) < len(tasks):
        names = {one["name"] for one in done}
        ready = [
            task
            for task in tasks
            if task["name"] not in names and set(re.findall(r"(\S+)\.Succeeded", task.get("depends", ""))) <= names
        ]
        assert ready, "the DAG has a circle, or waits for an unknown task"
        done += ready
    return done


def image_environ() -> dict[str, str]:
    """What the Dockerfile sets for the pods of the flows."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)
    words = [
        word
        for stage in stages
        if re.search(r"^\S+ AS base\b|^base AS flows\b", stage)
        for line in re.findall(r"^ENV (.*)", stage, re.MULTILINE)
        for word in line.split()
    ]
    return dict(word.split("=", 1) for word in words)


class Webhook:
    """The EventSource: keeps the body of every event that is posted to ``url``."""

    def __init__(self) -> None:
        self.events: list[Values] = []
        events = self.events

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/event"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def triggered(sensor: Values, events: list[Values]) -> dict[str, str] | None:
    """The arguments with which a Sensor of one dependency starts its workflow, on the last event it listens to, or None."""
    (dependency,) = sensor["spec"]["dependencies"]
    heard = [event for event in events if all(_holds(one, event) for one in dependency["filters"]["exprs"])]
    if not heard:
        return None
    (trigger,) = sensor["spec"]["triggers"]
    whole = [one for one in trigger["template"]["k8s"]["parameters"] if "dataKey" in one["src"]]
    names = {re.search(r"name=([^)]+)", one["dest"])[1]: one["src"]["dataKey"] for one in whole}  # type: ignore[index]
    return {name: json.dumps(_at({"body": heard[-1]}, path)) for name, path in names.items()}


def _holds(condition: Values, event: Values) -> bool:
    (field,) = condition["fields"]
    name, wanted = re.fullmatch(r"(\w+) == '(.*)'", condition["expr"]).groups()  # type: ignore[union-attr]
    assert name == field["name"]
    return str(_at({"body": event}, field["path"])) == wanted


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
