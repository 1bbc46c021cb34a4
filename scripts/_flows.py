"""Import it first: a script of this folder then finds the modules of flows/, from wherever it is run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "flows"))
