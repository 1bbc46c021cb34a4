"""How ``make test`` divides the modules among pytest-xdist's workers, and what keeps the workers quick.

A worker takes a whole module at a time. Those that take minutes come first, so that none of them is left for one worker alone at
the end; and the worker that has trained the session's models (``trained`` in ``conftest``) gets the other modules that look at
them, for as long as there are others for its neighbour.
"""

import gc
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
# The longest, mostly in seconds that are waited; all that are not named here come behind them, and the unit tests at the end.
FIRST = (
    "deployment",
    "cases",
    "cluster",
    "one_line",
    "campaigns",
    "service",
    "monitoring",
    "registry",
    "argo",
    "bad_input",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.path))


def _place(path: Path) -> int:
    name = path.stem.removeprefix("test_")
    if path.parent.name != "integration":
        return len(FIRST) + 1
    return FIRST.index(name) if name in FIRST else len(FIRST)


@cache
def trains(module: str) -> bool:
    """Whether a test of the module asks for the session's models."""
    path, asked = ROOT / module, r'def \w+\([^)]*\btrained\b|getfixturevalue\("trained"\)'
    return path.is_file() and re.search(asked, path.read_text()) is not None


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As ``--dist loadfile``, in the order of collection, and with the division above."""
    from xdist.scheduler import LoadFileScheduling

    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # by number of tests

    class Division(LoadFileScheduling):
        trained: set[Any] = set()

        def _assign_work_unit(self, node: Any) -> None:
            wanted = node in self.trained or not self.trained
            module = next((name for name in self.workqueue if trains(name) == wanted), next(iter(self.workqueue)))
            self.workqueue.move_to_end(module, last=False)
            if trains(module):
                self.trained.add(node)
            super()._assign_work_unit(node)

    return Division(config, log)


def pytest_collection_finish() -> None:
    """What has been imported by now stays: the garbage collector need not go through it again and again.

    Linear algebra takes one thread: those of two workers on two cores would wait for each other.
    """
    threadpool_limits(1)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Nor while the process ends."""
    gc.collect()
    gc.freeze()
