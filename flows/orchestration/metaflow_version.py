"""For which Metaflow the fork server and the patches are written; with any other, both are off. Imports no Metaflow."""

import os
from importlib.metadata import version

from packaging.specifiers import SpecifierSet

TESTED = SpecifierSet("~=2.19.39")  # as in pyproject.toml
FORK_SERVER, PATCHES = "CHURNFLOW_WARM", "CHURNFLOW_PATCHES"  # 0 in these variables switches one off


def tested() -> bool:
    """Whether the installed Metaflow is one that the tests have seen."""
    return version("metaflow") in TESTED


def active(switch: str) -> bool:
    """Whether the fork server or the patches are on."""
    return tested() and os.environ.get(switch, "1") != "0"


def notice() -> str:
    """What a run says of a Metaflow that is not tested; "" for one that is."""
    if tested():
        return ""
    return (
        f"Metaflow {version('metaflow')} is not one that Churnflow was tested with ({TESTED}): the fork server and the patches "
        "are off, and the run goes on without them"
    )
