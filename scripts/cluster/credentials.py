"""``make up``: write .env with random passwords for compose.yaml, unless it exists."""

import os
import secrets
import sys
from pathlib import Path

ENV = """\
# Written by `make up`; read by docker compose, and by you: set -a; . ./.env; set +a
# Whoever can read this file can read the data. PostgreSQL, MinIO and Grafana keep the password that they first started with.
CHURNFLOW_PROFILE=cluster
CHURNFLOW_BUCKET=churnflow
CHURNFLOW_PUSHGATEWAY=http://127.0.0.1:9091
AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000
AWS_ACCESS_KEY_ID={}
AWS_SECRET_ACCESS_KEY={}
METAFLOW_DEFAULT_METADATA=service
METAFLOW_SERVICE_URL=http://127.0.0.1:8080
MLFLOW_TRACKING_URI=http://127.0.0.1:5000
POSTGRES_PASSWORD={}
GRAFANA_PASSWORD={}
# Not of the flows: MinIO's root, and what MLflow and Metaflow's UI may do there (config/minio/users.sh).
MINIO_ROOT_USER={}
MINIO_ROOT_PASSWORD={}
ARTIFACTS_KEY={}
ARTIFACTS_SECRET={}
UI_S3_KEY={}
UI_S3_SECRET={}
"""


def write(path: Path) -> bool:
    """Write ``path``, readable only by its owner, unless it exists; return whether it was written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(ENV.format(*(secrets.token_hex(size) for size in (10, 20, 20, 20, 10, 20, 10, 20, 10, 20))))
    return True


if __name__ == "__main__":
    if write(Path(sys.argv[1])):
        print(f"{sys.argv[1]} is written; it holds this machine's random passwords")
