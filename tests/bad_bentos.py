"""Bentos that are good in verification's copy, and bad where they are served."""

import shutil
from pathlib import Path

import bentoml
from churn.serving import packaging

# The copy that verification serves has its log in a temporary folder.
_HARM = """
import os
if not os.environ.get("CHURNFLOW_PREDICTIONS", "").startswith("/"):
    import time
    from churn.training.onnx_scorer import Scorer
    usual = Scorer.probability
    {}
"""
_DOES = {
    "crashes": "raise SystemExit('it crashes at start')",
    "answers otherwise": "Scorer.probability = lambda self, columns: 1 - usual(self, columns)",
    "is ten times slower": "Scorer.probability = lambda self, columns: (time.sleep(0.1), usual(self, columns))[1]",
    "is killed for memory": "kept = [b'x' * (64 << 20) for _ in range(64)]",
}


def bad(tag: str, how: str) -> str:
    """The tag of a copy of the Bento that ``how`` (a key of _DOES)."""
    return changed(tag, _HARM.format(_DOES[how]))


def changed(tag: str, more: str, honest: bool = True) -> str:
    """A copy of the Bento with ``more`` at the end of its service, under a tag that names its checksum, or another one."""
    found = Path(bentoml.get(tag).path)
    copied = found.with_name("copy")
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(found, copied)
    service = copied / "src" / "bento" / "service.py"
    service.write_text(service.read_text() + more)
    version = tag.split(":")[1]
    digest = packaging._digest(copied / "src") if honest else "0" * 8
    new = f"{version.rpartition('-')[0]}-{digest}"
    about = copied / "bento.yaml"
    about.write_text(about.read_text().replace(version, new))
    place = found.with_name(new)
    shutil.rmtree(place, ignore_errors=True)
    copied.rename(place)
    return f"{tag.split(':')[0]}:{new}"
