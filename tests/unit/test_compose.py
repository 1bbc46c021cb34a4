"""compose.yaml and the passwords that `make up` makes."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
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
        [sys.executable, str(ROOT / "scripts" / "cluster" / "credentials.py"), str(path)],
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
    secret = [line for line in first.splitlines() if re.search("(PASSWORD|KEY|KEY_ID|SECRET|ROOT_USER)=", line)]
    assert len(secret) == 10
    assert not set(secret) & set((tmp_path / "other").read_text().splitlines())
    assert min(len(line.split("=")[1]) for line in secret) >= 20
    assert len({line.split("=")[1] for line in secret}) == 10


def test_every_variable_of_compose_is_in_the_file_that_make_up_writes(env: Path) -> None:
    wanted = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert wanted <= {line.split("=")[0] for line in env.read_text().splitlines() if "=" in line}


def test_env_is_not_committed() -> None:
    assert not subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=ROOT).returncode


def test_only_the_store_and_what_sets_it_up_know_the_roots_keys() -> None:
    known = {name for name, service in SERVICES.items() if "MINIO_ROOT" in json.dumps(service)}
    assert known == {"minio", "bucket"}
    keys = {name: service.get("environment", {}).get("AWS_ACCESS_KEY_ID", "") for name, service in SERVICES.items()}
    assert "ARTIFACTS_KEY" in keys["mlflow"]
    assert "UI_S3_KEY" in keys["metaflow-ui"]


def test_each_user_of_the_store_may_do_what_it_needs_and_no_more(tmp_path: Path) -> None:
    """The script, really run with an ``mc`` that keeps what it is told."""
    mc = tmp_path / "mc"
    mc.write_text(f'#!/bin/sh\n[ "$3" = create ] && cp "$6" {tmp_path}/; echo "$@" >> {tmp_path}/said\n')
    mc.chmod(0o755)
    names = ("CHURNFLOW_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ARTIFACTS_KEY", "ARTIFACTS_SECRET", "UI_S3_KEY",
             "UI_S3_SECRET")  # fmt: skip
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **{name: name.lower() for name in names}}
    script = (ROOT / "config" / "minio" / "users.sh").read_text().replace('"/tmp/', f'"{tmp_path}/of-')
    subprocess.run(["sh"], input=script, text=True, env=environ, check=True)
    policies = {name: json.loads((tmp_path / f"of-{name}.json").read_text())["Statement"]
                for name in ("flows", "mlflow", "metaflow-ui")}  # fmt: skip
    for name, statements in policies.items():
        actions = {action for statement in statements for action in statement["Action"]}
        assert not [action for action in actions if "*" in action], name
        assert all("churnflow_bucket" in place for statement in statements for place in statement["Resource"])
    writes = {
        name: {place.split("/")[1] for s in found if "s3:PutObject" in s["Action"] for place in s["Resource"]}
        for name, found in policies.items()
    }
    profile = tomllib.loads((ROOT / "config" / "profiles" / "cluster.toml").read_text())
    own = {value.split("{bucket}/")[1].split("/")[0] for value in profile.values() if "{bucket}/" in value}
    assert writes == {"flows": own - {"mlflow"}, "mlflow": {"mlflow"}, "metaflow-ui": set()}
    said = (tmp_path / "said").read_text()
    assert said.count("admin policy attach") == said.count("admin user add") == 3
