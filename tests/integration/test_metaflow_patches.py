"""The patches of Metaflow and the fork server: on for the tested Metaflow alone, and read again when it changes underneath."""

import json
import os
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from conftest import ROOT
from orchestration import fork_server, metaflow_version

# What is replaced, or relied on, and the digest of its source as it was read.
READ = {
    "metaflow.plugins.cards.card_datastore CardDatastore.get_storage_root": "206c58266ad56dbb",
    "metaflow.packaging_sys.distribution_support modules_to_distributions": "344c7b9ce72dc7dd",
    "metaflow.plugins.argo.argo_client ArgoClient.register_workflow_template": "5e5f088f25663a16",
    "metaflow.plugins.argo.argo_client ArgoClient.register_sensor": "b18cb1f904d6b92c",
    "metaflow.cli print_unknown_exception": "b40375366255b4a1",
    "metaflow.cli main": "e46b7ea20b796790",
    "metaflow.plugins.datastores.s3_storage S3Storage.save_bytes": "50681afb7eaa96d6",
    "metaflow.datastore.content_addressed_store ContentAddressedStore._pack_v1": "27d670056e5f0187",
    "metaflow.datastore.content_addressed_store ContentAddressedStore.load_blobs": "b8d422d8e5218b34",
    "metaflow.client.filecache FileBlobCache.store_key": "3733a41e4a1626f6",
    "metaflow.runtime Worker.terminate": "4df7e0efe58441d5",
    "metaflow.runtime Worker._launch": "ca7c9e416dc2aa6f",
    "metaflow.runtime Worker.kill": "8785e9f291ff01a4",
    "metaflow.plugins.cards.card_creator CardCreator._run_command": "90227f7886170a13",
}
DIGEST = """
import functools, hashlib, importlib, inspect, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    module, path = name.split()
    source = inspect.getsource(functools.reduce(getattr, path.split("."), importlib.import_module(module)))
    found[name] = hashlib.sha256(source.encode()).hexdigest()[:16]
print(json.dumps(found))
"""


def test_metaflow_is_what_was_read() -> None:
    words = [sys.executable, "-c", DIGEST, json.dumps(list(READ))]  # a fresh process: in this one it may be patched
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    changed = {name: digest for name, digest in found.items() if digest != READ[name]}
    assert not changed, f"Metaflow has changed: read it and its patch again, then put here {changed}"


def test_the_tested_versions_are_those_of_the_project() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"metaflow{metaflow_version.TESTED}" in wanted
    assert metaflow_version.tested()
    assert metaflow_version.notice() == ""


def test_another_metaflow_runs_without_them_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metaflow_version, "version", lambda _: "2.20.0")
    assert not metaflow_version.active(metaflow_version.PATCHES)
    assert not metaflow_version.active(metaflow_version.FORK_SERVER)
    assert "2.20.0 has not been tested with Churnflow (~=2.19.39)" in metaflow_version.notice()
    assert "\n" not in metaflow_version.notice()


@pytest.mark.long
def test_no_import_of_the_nursery_starts_a_thread() -> None:
    code = (
        "import importlib, sys; from orchestration import fork_server, preloaded\n"
        "sys.modules.update(dict.fromkeys(fork_server._NEVER))\n"
        "for names in preloaded.IMPORTS.values():\n"
        "    for name in names: importlib.import_module(name)\n"
        "print(len(fork_server._threads()))"
    )
    environ = {**os.environ, **fork_server._ONE_THREAD, "PYTHONPATH": str(ROOT / "flows")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "1", done.stdout


def loaded(code: str, **environ: str) -> str:
    """What a fresh process with the flows' base prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"import base\n{code}"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "flows"), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


PATCHED: dict[str, Any] = {
    "cards lie in the datastore": (
        "import os; from metaflow.plugins.cards.card_datastore import CardDatastore as C; from pathlib import Path\n"
        "root = Path(C.get_storage_root('local')); print(root.is_relative_to(os.environ['METAFLOW_DATASTORE_SYSROOT_LOCAL']))"
    ),
    "distributions are not listed": (
        "from metaflow.packaging_sys import distribution_support as D; print(D.modules_to_distributions() == {})"
    ),
    "tables are not compressed again": (
        "from metaflow.datastore.content_addressed_store import ContentAddressedStore as S\n"
        "blob = b'PAR1' + bytes(1000); print(len(S._pack_v1(None, blob).getvalue()) > 1000)"
    ),
    "few artifacts are sent from this process": (
        "from metaflow.plugins.datastores.s3_storage import S3Storage as S\n"
        "print(S.save_bytes.__module__ == 'orchestration.metaflow_patches')"
    ),
    "an artifact is held against its name": (
        "from metaflow.datastore.content_addressed_store import ContentAddressedStore as S\n"
        "print(S.load_blobs.__module__ == 'orchestration.metaflow_patches')"
    ),
    "a killed step says why": (
        "from metaflow.runtime import Worker; print(Worker.terminate.__module__ == 'orchestration.metaflow_patches')"
    ),
}


@pytest.fixture(scope="module")
def patched() -> tuple[dict[str, str], dict[str, str]]:
    """What the codes of PATCHED print, one after the other, with the patches and without."""
    code = "\n".join(PATCHED.values())
    on, off = (loaded(code, CHURNFLOW_PATCHES=switch).splitlines() for switch in ("", "0"))
    return dict(zip(PATCHED, on, strict=True)), dict(zip(PATCHED, off, strict=True))


@pytest.mark.parametrize("what", PATCHED)
def test_a_patch_does_what_it_is_for_and_is_off_where_it_is_switched_off(
    patched: tuple[dict[str, str], dict[str, str]], what: str
) -> None:
    on, off = patched
    assert on[what] == "True"
    assert off[what] == "False"


def test_nothing_is_deployed_without_the_patch_that_closes_the_pods() -> None:
    code = "from orchestration import metaflow_patches\ntry: metaflow_patches.close_pods(base.DEPLOY)\n"
    code += "except base.ChurnError as error: print(error)"
    assert "the pods would be unrestricted" in loaded(code, CHURNFLOW_PATCHES="0")
    assert loaded(code) == ""
