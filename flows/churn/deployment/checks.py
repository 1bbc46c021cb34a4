"""The checks of a deployment, one line each, for its card and its verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from churn.errors import ChurnError


class Failed(ChurnError):
    """Raised to end a deployment and serve the previous Bento again."""


@dataclass(frozen=True)
class DeploymentCheck:
    """The result of a check: its name, whether it passed, and the finding."""

    name: str
    passed: bool
    said: str


def require(checks: Sequence[DeploymentCheck]) -> None:
    """Raise Failed if a check did not pass."""
    if bad := [f"{one.name}: {one.said}" for one in checks if not one.passed]:
        raise Failed("; ".join(bad))
