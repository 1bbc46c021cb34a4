"""What a deployment found out, one line a check, for its card and its verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from churn.errors import ChurnError


class Failed(ChurnError):
    """What ends a deployment: the former Bento is to be served again."""


@dataclass(frozen=True)
class DeploymentCheck:
    """A question, whether the answer is good, and the answer."""

    name: str
    passed: bool
    said: str


def require(checks: Sequence[DeploymentCheck]) -> None:
    """Raises Failed if a check did not pass."""
    if bad := [f"{one.name}: {one.said}" for one in checks if not one.passed]:
        raise Failed("; ".join(bad))
