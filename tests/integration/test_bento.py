"""What is in the Bento: the same whoever builds it, few packages, each of them locked, and an image definition."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from churn.errors import ChurnError
from churn.serving import bento_server, packaging
from conftest import ROOT, flow


def test_make_bento_and_the_flow_build_the_same(trained: SimpleNamespace) -> None:
    built = flow("serve", "--build")
    assert built.stdout.split() == [trained.train.bento]


def test_a_process_that_has_imported_the_service_builds_the_same(trained: SimpleNamespace) -> None:
    """BentoML imports the service that it packs: it must not be the one that is imported already, nor stay."""
    import bentoml

    from bento import settings

    bentoml.delete(trained.train.bento)
    assert packaging.build_bento(trained.train.champion) == trained.train.bento
    assert sys.modules["bento.settings"] is settings
    assert all(
        ROOT in Path(module.__file__).parents for name, module in sys.modules.items() if name.startswith("bento.")
    )


def test_it_asks_for_few_packages_all_locked_and_no_training(trained: SimpleNamespace) -> None:
    import bentoml

    env = Path(bentoml.get(trained.train.bento).path, "env")
    pins = (env / "python" / "requirements.txt").read_text().split()
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.+!]+", pin) for pin in pins)
    packages = {pin.partition("==")[0] for pin in pins}
    assert {"bentoml", "onnxruntime", "pyarrow", "starlette", "uvicorn"} <= packages  # what they need is locked too
    assert packages.isdisjoint({"mlflow", "nannyml", "xgboost", "scikit-learn", "metaflow", "boto3"})
    assert (
        "pandas" in packages
    )  # for /read alone, which types a file's cells as training does; imported when it is asked for
    assert len(packages) < 80
    image = (env / "docker" / "Dockerfile").read_text()
    assert "USER bentoml" in image
    assert "uv venv --python 3.1" in image


def test_a_service_whose_model_is_damaged_is_not_ready_and_says_why(trained: SimpleNamespace) -> None:
    import bentoml

    (model,) = bentoml.get(trained.train.bento).info.models
    file = Path(bentoml.models.get(model.tag).path, "model.onnx")
    content = file.read_bytes()
    file.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    try:
        with (
            pytest.raises(
                ChurnError, match=r"not ready: model\.onnx in .* not as it was packed; remove that folder and build"
            ),
            bento_server.served(trained.train.bento),
        ):
            pass
    finally:
        file.write_bytes(content)
