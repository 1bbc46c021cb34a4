"""``make argo-golden``: write argo/flows/ anew, with a throw-away S3 server in the place of the cluster's."""

import sys
import tempfile
from pathlib import Path

from tests.s3 import Server

with tempfile.TemporaryDirectory() as folder:
    server = Server(Path(folder, "s3")).start()
    try:
        done = server.run(Path(folder), "scripts/cluster/export.py", "--production")
    finally:
        server.kill()
sys.exit(done.stdout if done.returncode else 0)
