"""The interface to where a Bento is served, the same for a laptop and a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from churn.registry.model_registry import Registered


@dataclass(frozen=True)
class Instance:
    """A pod, or the processes of a Bento on a laptop.

    ``url`` is set once it listens; ``new`` and ``ready`` are flags; ``wrong`` says what is wrong with it, if anything.
    """

    name: str
    url: str
    new: bool
    ready: bool
    wrong: str = ""


class Target(Protocol):
    """Where one model is served. Every method is idempotent, and raises ChurnError if the target cannot be reached."""

    place: str  # human-readable

    def address(self, model: Registered) -> str:
        """The Bento of a registry version as an address for this target; built if it does not exist."""
        ...

    def served(self) -> str:
        """The Bento that is served or, during a deployment, was served before it; empty if there is none."""
        ...

    def unfinished(self) -> str:
        """The run of the deployment in progress; empty if there is none."""
        ...

    def begin(self, bento: str) -> None:
        """Start one instance of the Bento alongside the serving ones."""
        ...

    def instances(self) -> Sequence[Instance]:
        """The serving instances, new and old."""
        ...

    def give(self, share: float) -> None:
        """Route this share of the requests to the new instances, as closely as the number of instances allows."""
        ...

    def keep(self) -> None:
        """Serve only the new Bento from now on; old instances exit after their last request."""
        ...

    def back(self) -> None:
        """Serve only the previous Bento, as before ``begin``."""
        ...

    def done(self) -> None:
        """Forget the deployment: it has ended, and only new or only old instances are left."""
        ...
