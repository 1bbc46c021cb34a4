"""terraform/ and GitHub's workflows name what the code, compose.yaml and the Makefile name."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import infra_env
import pytest
import yaml
from churn.monitoring import notify
from churn.serving import api_keys
from churn.storage import keyed_ids
from churn.telemetry import push
from conftest import ROOT

PLATFORM = ROOT / "terraform" / "platform"
MAIN = (PLATFORM / "main.tf").read_text()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def variables(text: str) -> set[str]:
    return set(re.findall(r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+) *=", text))


def block(start: str) -> str:
    """The text of a bracketed expression in main.tf, from ``start`` to the end of its indentation."""
    (found,) = re.findall(rf"^( *){re.escape(start)}(.*?)^\1[}})]", MAIN, re.MULTILINE | re.DOTALL)
    return str(found[1])


def test_the_outputs_are_the_env_that_the_flows_read() -> None:
    example = (ROOT / ".env.example").read_text()
    made = variables(block("environment = merge(")) | {"AWS_ENDPOINT_URL_S3"}
    assert made <= variables(example)
    upper = example.split("# Where things are kept")[0].split("# Deployment:")
    asked = variables(upper[0]) - {"RAY_ADDRESS"} | {"CHURNFLOW_NAMESPACE", "CHURNFLOW_IMAGE", "CHURNFLOW_PUSHGATEWAY"}
    assert made | {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} == asked, "the keys are added by make infra-env"
    assert set(infra_env.KEYS) <= variables(example)


@pytest.mark.parametrize("name", ["flows", "serving"])
def test_a_secret_has_the_keys_of_its_example(name: str) -> None:
    example = variables((ROOT / "argo" / "secrets" / f"{name}.env.example").read_text().replace("# A key: openssl", ""))
    merged = block(f"churnflow-{name} = merge(")
    made = variables(merged) | {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ENDPOINT_URL_S3",
        "AWS_DEFAULT_REGION",
    }
    assert f"local.keys.{name}" in merged
    assert example - made <= {"CHURNFLOW_WEBHOOK"}, "nobody but the user knows a chat's address"
    assert made - example == set()


def test_the_flows_secret_has_what_a_flow_refuses_to_run_without() -> None:
    """CampaignFlow's pods had no key for ids: the example did not name it."""
    example = variables((ROOT / "argo" / "secrets" / "flows.env.example").read_text())
    assert {keyed_ids.KEY, api_keys.PREDICT, push.GATEWAY, notify.WEBHOOK} <= example


def test_infra_env_writes_what_terraform_made_and_the_keys_of_the_secret() -> None:
    secret = {"AWS_ACCESS_KEY_ID": "Zmxvd3M=", "CHURNFLOW_BUCKET": "bm90LXRoaXM="}
    text = infra_env.lines({"CHURNFLOW_BUCKET": "churnflow"}, secret)
    assert text.splitlines()[1:] == ["CHURNFLOW_BUCKET=churnflow", "AWS_ACCESS_KEY_ID=flows"]


def test_what_make_argo_deploy_applies_as_well_is_no_change_to_terraform() -> None:
    """It puts a label on them, which the next plan would take away."""
    labels = yaml.safe_load((ROOT / "argo" / "base" / "kustomization.yaml").read_text())["labels"][0]["pairs"]
    resources = re.findall(r'(?ms)^resource "kubernetes_\w+" "(?:flows|churnflow)" \{\n(.*?)^\}', MAIN)
    shared = [one for one in resources if "local.of_kind" in one or "name = var.namespace" in one]
    assert len(shared) == 4
    for one in shared:
        assert set(re.findall(r'labels\["(.*?)"\]', one.partition("ignore_changes")[2])) == set(labels)


def forward(environ: dict[str, str], program: str) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, str(ROOT / "scripts" / "cluster" / "forward.py"), sys.executable, "-c", program]
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60)


def test_a_command_outside_reaches_the_servers_in_the_cluster(tmp_path: Path) -> None:
    """A kubectl that listens where it is told to: the command has addresses on this machine, pods keep the cluster's."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f"#!{sys.executable}\nimport socket, sys\nport = int(sys.argv[-1].split(':')[0])\n"
        f"open({str(tmp_path / 'said')!r}, 'a').write(' '.join(sys.argv[1:-1]) + sys.argv[-1].split(':')[1] + '\\n')\n"
        "server = socket.create_server(('127.0.0.1', port))\nwhile True: server.accept()\n"
    )
    kubectl.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CHURNFLOW_NAMESPACE": "churnflow-dev",
               "AWS_ENDPOINT_URL_S3": "https://s3.example:9000",
               "METAFLOW_SERVICE_URL": "http://metaflow-service.churnflow-dev-servers:8080",
               "MLFLOW_TRACKING_URI": "http://mlflow.churnflow-dev-servers:5000"}  # fmt: skip
    done = forward(environ, "import json, os; print(json.dumps(dict(os.environ)))")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["AWS_ENDPOINT_URL_S3"] == environ["AWS_ENDPOINT_URL_S3"], "a store elsewhere is reached as it is"
    assert seen["METAFLOW_SERVICE_INTERNAL_URL"] == environ["METAFLOW_SERVICE_URL"]
    for name in ("METAFLOW_SERVICE_URL", "MLFLOW_TRACKING_URI"):
        assert re.fullmatch(r"http://localhost:\d+", seen[name])
    assert (tmp_path / "said").read_text().splitlines() == [
        "-n churnflow-dev-servers port-forward service/metaflow-service8080",
        "-n churnflow-dev-servers port-forward service/mlflow5000",
    ]


def test_what_cannot_be_forwarded_runs_nothing(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho no such service >&2\nexit 1\n")
    kubectl.chmod(0o755)
    environ = {"PATH": str(tmp_path), "METAFLOW_SERVICE_URL": "http://metaflow-service.churnflow-servers:8080"}
    done = forward(environ, "print('ran')")
    assert done.returncode == 1
    assert "ran" not in done.stdout
    assert re.search("no such service(.|\n)*nothing is forwarded", done.stderr)


def test_each_version_is_written_once() -> None:
    images = {service["image"] for service in yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()}
    for path in PLATFORM.glob("*.tf"):
        assert not [image for image in images if image.split(":")[1] in path.read_text() and "churnflow" not in image]
    charts = (PLATFORM / "charts.tf").read_text()
    documented = (ROOT / "docs" / "deployment.md").read_text()
    for program in ("Workflows", "Events"):
        (version,) = re.findall(rf"# Argo {program} ([\d.]+)", charts)
        assert f"argo-{program.lower()}/releases/download/v{version}/" in documented


def test_the_stand_ins_have_the_schemas_of_the_pinned_providers() -> None:
    for path in ROOT.glob("terraform/*/versions.tf"):
        for name, version in re.findall(
            r'(\w+) = \{\s+source  = "hashicorp/\w+"\s+version = "([\d.]+)"', path.read_text()
        ):
            schema = json.loads((ROOT / "terraform" / "stand_in" / "schemas" / f"{name}.json").read_text())
            assert schema["version"] == version, path


def test_the_schemas_hold_every_resource_that_is_used() -> None:
    known: set[str] = set()
    for path in (ROOT / "terraform" / "stand_in" / "schemas").glob("*.json"):
        schema = json.loads(path.read_text())
        known |= set(schema["resource"]) | set(schema["data"])
    used = {name for path in ROOT.glob("terraform/*/*.tf")
            for name in re.findall(r'^(?:resource|data) "(\w+)"', path.read_text(), re.MULTILINE)}  # fmt: skip
    assert used == known, "make infra-schemas"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_make_targets_with_pinned_actions_and_few_rights(path: Path) -> None:
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for job in workflow["jobs"].values():
        for step in job.get("steps", []):
            assert ("uses" in step) != ("run" in step)
            if "run" in step:
                assert re.match(r"make [a-z0-9-]+", step["run"])
                assert step["run"].split()[1] in targets
            else:
                assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
    for line in text.splitlines():
        assert "@" not in line or "uses:" not in line or re.search(r"# v\d+\.\d+\.\d+$", line), (
            "the version of the commit"
        )


def test_an_action_has_one_version_everywhere() -> None:
    pins = {pin for path in WORKFLOWS for pin in re.findall(r"uses: ([\w./-]+@\w{40} # v[\d.]+)", path.read_text())}
    assert len({pin.split("@")[0] for pin in pins}) == len(pins)


def test_the_workflows_are_those_of_the_pipeline() -> None:
    assert {path.stem for path in WORKFLOWS} >= {"ci", "train", "images", "deploy", "nightly", "release"}


def test_scripts_of_ci_are_bash_that_parses() -> None:
    for path in [*(ROOT / ".ci").iterdir(), ROOT / "terraform" / "check.sh"]:
        subprocess.run(["bash", "-n", str(path)], check=True)
