"""Where a Bento is served, as a deployment sees it: the same few orders on a laptop and on a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from churn.registry.model_registry import Registered


@dataclass(frozen=True)
class Instance:
    """A pod, or the processes of a Bento on a laptop.

    It has a ``url`` once it listens, is one of the ``new`` ones or not, is ``ready`` or not, and says what is wrong with it.
    """

    name: str
    url: str
    new: bool
    ready: bool
    wrong: str = ""


class Target(Protocol):
    """Where one model is served. Every order may be given twice, and each raises ChurnError if the target cannot be reached."""

    place: str  # in words, for people

    def address(self, model: Registered) -> str:
        """The Bento of a registry version as this target takes it, built if there is none."""
        ...

    def served(self) -> str:
        """The Bento that is served - or was, before a deployment that has not ended began -; empty if there is none."""
        ...

    def unfinished(self) -> str:
        """The deployment that has begun here and not ended, by its run; empty if there is none."""
        ...

    def begin(self, bento: str) -> None:
        """Start one instance of the Bento beside those that serve."""
        ...

    def instances(self) -> Sequence[Instance]:
        """Those that serve, new and old."""
        ...

    def give(self, share: float) -> None:
        """Let the new instances have this share of the requests, as nearly as there are instances for it."""
        ...

    def keep(self) -> None:
        """Serve the new Bento alone, from now on; the old instances end when their requests have."""
        ...

    def back(self) -> None:
        """Serve the former Bento alone, as before ``begin``."""
        ...

    def done(self) -> None:
        """Forget the deployment: it has ended, and only new or only old instances are left."""
        ...
