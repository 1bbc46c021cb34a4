"""Import this module first: it lets a script in this folder find the modules of flows/, wherever it is run from."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "flows"))
