"""Defaults for environment variables, set before Metaflow, MLflow or BentoML are imported.

Libraries read their settings on import, so every entry point imports this module first. Variables set by the user are never
overridden; an empty variable counts as unset, where libraries would take it for the working directory. The root is derived
from the location of this file, never from the working directory.
"""

import os
import sys
import tempfile
import tomllib
from pathlib import Path

from churn.errors import ChurnError
from churn.settings import cpus

FLOWS = Path(__file__).resolve().parents[2]
ROOT = FLOWS.parent if (FLOWS.parent / "config").is_dir() else FLOWS  # in a pod, config/ lies beside the flow files
STATE = Path(os.environ.get("CHURNFLOW_HOME") or ROOT / ".churnflow").resolve()

IN_POD = bool(os.environ.get("METAFLOW_KUBERNETES_WORKLOAD"))  # a step on Kubernetes: its disk does not outlive it

TEMPORARY = (
    STATE / "tmp"
)  # also holds leftovers of killed processes: `storage.s3.check_state` sweeps it, `make clean` removes it

TELEMETRY_OFF = {
    "BENTOML_DO_NOT_TRACK": "True",  # the value 1 has no effect
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def _prefix() -> str:
    """``dev-`` in namespace churnflow-dev; nothing in churnflow."""
    names = ("METAFLOW_KUBERNETES_POD_NAMESPACE", "CHURNFLOW_NAMESPACE")
    namespace = next((os.environ[name] for name in names if os.environ.get(name)), "churnflow")
    return f"{namespace.removeprefix('churnflow-')}-" if namespace.startswith("churnflow-") else ""


WORKERS = str(max(2, cpus.cpus()))  # concurrent steps: more than there are CPUs would only slow each other down

DEFAULTS = {
    **TELEMETRY_OFF,
    **cpus.threads(),
    "BENTOML_HOME": str(STATE / "bentoml"),
    "CHURNFLOW_REGISTRY_PREFIX": _prefix(),  # for model names: churnflow-dev never moves churnflow's champion
    "CHURNFLOW_TARGET": "cluster" if IN_POD else "laptop",  # where Bentos are served
    "GIT_PYTHON_REFRESH": "quiet",
    "METAFLOW_CLIENT_CACHE_PATH": str(
        STATE / "metaflow-client"
    ),  # in /tmp anyone could plant what the client unpickles
    "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(STATE / "metaflow"),
    "METAFLOW_RESUME_MAX_WORKERS": WORKERS,
    "METAFLOW_RUN_MAX_WORKERS": WORKERS,
    "METAFLOW_USER": os.environ.get("USER") or "churnflow",  # Metaflow refuses to run as a nameless root
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Where a person waits, an unreachable server is reported within seconds; a pod waits up to four minutes for it.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7" if IN_POD else "3",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "1",
}


def private(path: str, flags: int) -> int:
    """An ``opener`` for files with customer data: only the owner can read and write a new file."""
    return os.open(path, flags, 0o600)


PROFILES = ROOT / "config" / "profiles"


def profile_variables() -> dict[str, str]:
    """The variables of the profile named by CHURNFLOW_PROFILE (default: local), a file in config/profiles.

    Empty in a Bento, whose service needs no profile.

    Raises:
        ChurnError: There is no such profile, or its file is not valid.
    """
    if not PROFILES.is_dir():
        return {}
    name = os.environ.get("CHURNFLOW_PROFILE") or "local"
    file = PROFILES / f"{name}.toml"
    if not file.is_file():
        profiles = ", ".join(sorted(path.stem for path in PROFILES.glob("*.toml")))
        raise ChurnError(f"CHURNFLOW_PROFILE={name}: there is no such profile; profiles are: {profiles}")
    names = {
        "state": str(STATE),
        "state_uri": STATE.as_uri(),
        "bucket": os.environ.get("CHURNFLOW_BUCKET") or "churnflow",
        "namespace": os.environ.get("CHURNFLOW_NAMESPACE") or "churnflow",
        "image": os.environ.get("CHURNFLOW_IMAGE") or "churnflow/flows:0.1.0",
    }
    try:
        return {key: value.format(**names) for key, value in tomllib.loads(file.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, LookupError, AttributeError) as error:
        raise ChurnError(
            f'{file}: not a profile ({error}); each line is NAME = "text", and {{...}} in it one of: {", ".join(names)}'
        ) from error


def _temporary() -> str:
    """The folder of temporary files: the system's if the state's own cannot be created, which ``check_state`` reports."""
    try:
        TEMPORARY.mkdir(parents=True, exist_ok=True)
    except OSError:
        return tempfile.gettempdir()
    return str(TEMPORARY)


def _default(name: str, value: str) -> None:
    if not os.environ.get(name):
        os.environ[name] = value


def set_defaults() -> None:
    """Set the variables that the environment leaves unset, and put flows/ on the module search path.

    Only this user can read what the process and its children write: customers, models, logs.
    """
    os.umask(0o077)
    _default("TMPDIR", _temporary())
    _default("METAFLOW_TEMPDIR", os.environ["TMPDIR"])  # S3 transfers; otherwise in the working directory
    for name, value in {**DEFAULTS, **profile_variables()}.items():
        _default(name, value)
    if str(FLOWS) not in sys.path:
        sys.path.insert(0, str(FLOWS))


set_defaults()
