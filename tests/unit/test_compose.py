"""compose.yaml and the passwords that `make up` makes."""

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from conftest import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"bucket", "metaflow-migrations"}  # they end when their work is done


def credentials(path: Path) -> str:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "credentials.py"), str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """What ``make up`` writes."""
    assert "is written" in credentials(tmp_path / ".env")
    return tmp_path / ".env"


def test_compose_knows_every_key() -> None:
    text = json.dumps(COMPOSE).replace("host-gateway", "127.0.0.1")  # the checker does not know that name
    PyCompose.from_json(text).validate()
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            assert source in COMPOSE["volumes"] or (ROOT / source).exists()
            assert not Path(source).is_absolute()


def test_the_checker_refuses_what_compose_would() -> None:
    wrong = json.loads(json.dumps(COMPOSE).replace("host-gateway", "127.0.0.1"))
    wrong["services"]["minio"]["healthchek"] = {}
    with pytest.raises(ValueError, match="healthchek"):
        PyCompose.from_json(json.dumps(wrong))


def test_docker_compose_reads_it_with_the_passwords_of_make_up(env: Path) -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("docker compose is not installed")
    command = ["docker", "compose", "--project-directory", str(ROOT), "--env-file", str(env), "config", "--quiet"]
    subprocess.run(command, check=True)


def test_every_server_says_that_it_is_healthy_and_is_open_to_this_machine_alone() -> None:
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) != (name in ONCE), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_passwords_are_random_private_and_never_overwritten(env: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    first = env.read_text()
    assert credentials(env) == ""
    assert env.read_text() == first
    credentials(tmp_path / "other")
    secret = [line for line in first.splitlines() if "PASSWORD=" in line or "KEY" in line]
    assert len(secret) == 4
    assert not set(secret) & set((tmp_path / "other").read_text().splitlines())
    assert min(len(line.split("=")[1]) for line in secret) >= 20
    assert len({line.split("=")[1] for line in secret}) == 4


def test_every_variable_of_compose_is_in_the_file_that_make_up_writes(env: Path) -> None:
    import re

    wanted = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert wanted <= {line.split("=")[0] for line in env.read_text().splitlines() if "=" in line}


def test_env_is_not_committed() -> None:
    assert not subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=ROOT).returncode
