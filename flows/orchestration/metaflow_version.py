"""The Metaflow releases that the fork server and the patches support; with others, both are off. Imports no Metaflow."""

import os
from importlib.metadata import version

from packaging.specifiers import SpecifierSet

TESTED = SpecifierSet("~=2.19.39")  # as in pyproject.toml
FORK_SERVER, PATCHES = "CHURNFLOW_WARM", "CHURNFLOW_PATCHES"  # set to 0 to switch them off


def tested() -> bool:
    """Whether the installed Metaflow is a tested release."""
    return version("metaflow") in TESTED


def active(switch: str) -> bool:
    """Whether the fork server or the patches are on."""
    return tested() and os.environ.get(switch, "1") != "0"


def notice() -> str:
    """The notice for an untested Metaflow release; empty for a tested one."""
    if tested():
        return ""
    return (
        f"Metaflow {version('metaflow')} has not been tested with Churnflow ({TESTED}): the fork server and the patches "
        "are off, and the run continues without them"
    )
