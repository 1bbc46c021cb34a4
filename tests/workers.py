"""How ``make test`` divides the modules among pytest-xdist's workers, and what keeps the workers quick.

A worker takes a whole module at a time. Those that take minutes come first, so that none of them is left for one worker alone at
the end; and the worker that has trained the session's models (``trained`` in ``conftest``), or has imported NannyML, gets the
other modules that need them, for as long as there are others for its neighbour.
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
SHARED = {
    "models": r'def \w+\([^)]*\btrained\b|getfixturevalue\("trained"\)',
    "nannyml": r"^from churn\.monitoring(?:\.| import .*)\b(?:assessment|drift_thresholds|performance)\b",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.path))


def _place(path: Path) -> int:
    name = path.stem.removeprefix("test_")
    if path.parent.name != "integration":
        return len(FIRST) + 1
    return FIRST.index(name) if name in FIRST else len(FIRST)


@cache
def shares(module: str) -> frozenset[str]:
    """What the module's tests need that a worker has for all later ones: the session's models, and NannyML (3 s to import)."""
    path = ROOT / module
    code = path.read_text() if path.is_file() else ""
    return frozenset(name for name, asked in SHARED.items() if re.search(asked, code, re.MULTILINE))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As ``--dist loadfile``, in the order of collection, and with the division above."""
    from xdist.scheduler import LoadFileScheduling

    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # by number of tests

    class Division(LoadFileScheduling):
        owner: dict[str, Any] = {}

        def _assign_work_unit(self, node: Any) -> None:
            def order(module: str) -> tuple[bool, int]:
                trains = self.owner.get("models", node) is node
                imported = self.owner.get("nannyml") if "nannyml" in shares(module) else None
                return ("models" in shares(module)) != trains, 0 if imported is None else -1 if imported is node else 1

            module = min(self.workqueue, key=order)
            self.workqueue.move_to_end(module, last=False)
            for name in shares(module):
                self.owner.setdefault(name, node)
            super()._assign_work_unit(node)

    return Division(config, log)


def pytest_collectstart() -> None:
    """What imports leave stays: see ``pytest_collection_finish``."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What has been imported by now stays: the garbage collector need not go through it again and again.

    Linear algebra takes one thread: those of two workers on two cores would wait for each other.
    """
    threadpool_limits(1)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Nor while the process ends."""
    gc.collect()
    gc.freeze()
