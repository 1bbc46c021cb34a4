"""A copy of the code in a folder of its own, where commands are typed as a user does: descriptions and state stay there."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import ROOT, alone

CODE = ("Makefile", "pyproject.toml", "uv.lock", "bento", "config", "flows", "scripts")


@dataclass(frozen=True)
class Clone:
    """The copy's ``root``; its state is in ``root/state``."""

    root: Path

    def made(self, target: str, **variables: str | Path) -> dict[str, Any]:
        """``make TARGET NAME=VALUE ...`` as the arguments of ``subprocess.run`` or ``Popen``."""
        words = ["make", "--silent", "--assume-old=.venv/.ready", target]
        return self._here() | {"args": [*words, *(f"{name}={value}" for name, value in variables.items())]}

    def make(self, target: str, **variables: str | Path) -> str:
        """The same, done: what it said. It succeeds."""
        return _done(**self.made(target, **variables))

    def refused(self, target: str, **variables: str | Path) -> str:
        """The same, refused: what it said, without a traceback."""
        return _refused(**self.made(target, **variables))

    def typed(self, line: str, works: bool = True) -> str:
        """A command that a message named, typed into a shell: what it said. It succeeds, or is refused."""
        line = line.replace("make ", "make --silent --assume-old=.venv/.ready ", 1)
        return (_done if works else _refused)(**self._here() | {"args": ["bash", "-c", line]})

    def description(self, name: str) -> Path:
        """The file that describes a data set."""
        return self.root / "config" / "datasets" / f"{name}.toml"

    def _here(self) -> dict[str, Any]:
        return alone(self.root / "state") | {"cwd": self.root}


def _done(**command: Any) -> str:
    done = subprocess.run(**command)
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


def _refused(**command: Any) -> str:
    done = subprocess.run(**command)
    assert done.returncode
    assert "Traceback" not in done.stdout, done.stdout
    return str(done.stdout)


def clone(folder: Path) -> Clone:
    """A copy in ``folder``, with this environment's packages."""
    for name in CODE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return Clone(folder)
