"""This machine as a target: the process of ``make serve`` (``supervisor``)."""

import json
import socket
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from churn.deployment.target import Instance
from churn.errors import ChurnError
from churn.local_server import supervisor
from churn.registry.model_registry import Registered
from churn.serving import packaging
from churn.settings import commands

PATIENCE = 30.0  # seconds without a heartbeat after which the supervisor considers a deployment dead
ANSWER_SECONDS = 10.0


class Laptop:
    """The service of ``model`` that runs on this machine, at ``url`` if there are several; ``run`` names the deployment.

    Raises ChurnError if none runs, or several.
    """

    def __init__(self, model: str, dataset: str, run: str, port: str = "") -> None:
        """Find the one service of ``model`` at ``port``, or at any port if none is given."""
        services = [one for one in running(model) if not port or one["url"].endswith(f":{port}")]
        if not services:
            raise ChurnError(
                f"no service of {model} runs on this machine{f' at port {port}' if port else ''}; start one with: "
                f"{commands.say('serve', DATASET=dataset, PORT=port)}"
            )
        if len(services) > 1:
            ports = ", ".join(one["url"].rpartition(":")[2] for one in services)
            again = commands.say("deploy", DATASET=dataset, PORT=commands.NUMBER)
            raise ChurnError(f"{model} is served on several ports on this machine ({ports}); name one: {again}")
        self.place, self._run, self._control = services[0]["url"], run, services[0]["control"]
        self._bento = ""

    def address(self, model: Registered) -> str:
        """The tag of the Bento of ``model`` in the local store, built if there is none."""
        return packaging.build_bento(model)

    def served(self) -> str:
        """The Bento that the supervisor reports as current."""
        return str(self._order("status")["bento"])

    def unfinished(self) -> str:
        """The run whose deployment the supervisor still remembers."""
        return str(self._order("status")["run"])

    def begin(self, bento: str) -> None:
        """Start the Bento's workers on a separate port."""
        self._bento = bento
        self._order("start", bento=bento)

    def instances(self) -> Sequence[Instance]:
        """The releases with running workers; the request is also the heartbeat that the supervisor expects."""
        return [
            Instance(one["bento"], one["url"], one["bento"] == self._bento, _ready(one), _wrong(one))
            for one in self._order("alive")["instances"]
        ]

    def give(self, share: float) -> None:
        """Route this share of new connections to the new workers."""
        self._order("share", share=share)

    def keep(self) -> None:
        """Route all connections to the new workers; the old ones exit after their last request."""
        self._order("keep")

    def back(self) -> None:
        """Route all connections to the old workers, and stop the new ones."""
        self._order("back")

    def done(self) -> None:
        """Do nothing: the supervisor has already forgotten the deployment."""

    def _order(self, do: str, **more: Any) -> dict[str, Any]:
        answer = _ask(self._control, {"do": do, "run": self._run, "seconds": PATIENCE, **more})
        if "error" in answer:
            raise ChurnError(answer["error"])
        return answer


def running(model: str) -> list[dict[str, Any]]:
    """The running services of ``model`` on this machine, as their supervisors describe them."""
    services = []
    for file in sorted(supervisor.FOLDER.glob("*.json")):
        with suppress(OSError, ValueError, ChurnError):  # it has just ended, or was killed and left its file behind
            about = json.loads(file.read_text(encoding="utf-8"))
            if about["model"] == model and _ask(about["control"], {"do": "status"}):
                services.append(about)
    return services


def _ready(instance: dict[str, Any]) -> bool:
    """Whether its processes have started and the service reports that it is ready."""
    if instance["started"] is not True:
        return False
    try:
        with urllib.request.urlopen(f"{instance['url']}/readyz", timeout=ANSWER_SECONDS):  # nosec B310 - loopback
            return True
    except OSError:  # HTTP errors are OSErrors too
        return False


def _wrong(instance: dict[str, Any]) -> str:
    output = f": {' '.join(instance['said'][-5:])[-500:]}" if instance["said"] else ""
    if instance["started"] is False:
        return f"it ended before it was ready{output}"
    return f"it died {instance['restarts']} times{output}" if instance["restarts"] else ""


def _ask(control: str, order: dict[str, Any]) -> dict[str, Any]:
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(ANSWER_SECONDS)
            line.connect(control)
            line.sendall(json.dumps(order).encode() + b"\n")
            with line.makefile("rb") as answer:
                return dict(json.loads(answer.readline()))
    except (OSError, ValueError) as error:
        raise ChurnError(
            f"the service does not answer on its control socket ({Path(control)}: {error}); it may have stopped"
        ) from error
