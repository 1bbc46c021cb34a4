"""Package the champion as a Bento: its model, code, packages, and the proof that verifies them."""

import ast
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from churn import format_version
from churn.data import features, synthetic
from churn.errors import ChurnError
from churn.registry import model_registry
from churn.serving import bento_store
from churn.settings.dataset import Dataset, from_dump
from churn.settings.environment import FLOWS, ROOT
from churn.storage import checksums
from churn.training import onnx_scorer
from churn.uplift import registration
from churn.uplift import scorer as uplift_scorer

if TYPE_CHECKING:
    import pandas as pd

MODEL, SERVICE = "churn_model", "churn_service"
MODEL_TAG = "model.txt"  # in the Bento, next to service.py: the model that it serves
PROOF = "proof.json"  # and the proof that it is the model that was verified (bento/self_test.py)
REQUIREMENTS = ("bentoml", "fastapi", "httptools", "msgspec", "numpy", "onnxruntime", "pandas", "prometheus-client", "pyarrow",
                "pydantic", "python-calamine", "uvloop")  # fmt: skip
_CHECKSUM = "files"  # label of a model in BentoML's store
EXAMPLES, SEED = 5, 0  # synthetic customers in the documentation and on the page


def build_bento(champion: model_registry.Registered) -> str:
    """Build the Bento of a registered model and the uplift champion, if any; the tag identifies both and the service's files.

    An existing intact Bento is kept. Raises ChurnError that names BentoML's store if the Bento cannot be built.
    """
    import bentoml

    with bento_store.explained(), tempfile.TemporaryDirectory() as folder, _one_at_a_time(), _unimported("bento"):
        uplift = registration.beside(champion.name)
        model_tag = f"{MODEL}:v{champion.version}-{champion.run[:8]}{f'-u{uplift.version}' if uplift else ''}"
        proof = _store_model(champion, uplift, model_tag, Path(folder))
        context = _context(Path(folder, "context"), model_tag, proof)
        tag = f"{SERVICE}:{model_tag.split(':')[1]}-{_digest(context)}"
        if bento_store.kept(bentoml.get, "bentos", tag, partial(_as_tagged, tag)):
            return tag
        built = bentoml.build(
            "bento.service:ChurnService",
            version=tag.split(":")[1],
            build_ctx=str(context),
            include=["bento/", "churn/"],
            labels={"model_version": champion.version, "data_version": champion.tags["data_version"]},
            models=[model_tag],
            python={"packages": pinned_requirements(), "lock_packages": False},
        )
    return str(built.tag)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Serialise builds: BentoML's stores reject a second writer of a tag, and list items before they are complete."""
    import fcntl

    lock = Path(os.environ["BENTOML_HOME"], "package.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released with the file, even if the process is killed
        yield


@contextmanager
def _unimported(package: str) -> Iterator[None]:
    """Unload the package's modules before and after: a build imports the service from its own, temporary folder."""

    def modules() -> dict[str, Any]:
        return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == package}

    def drop() -> dict[str, Any]:
        return {name: sys.modules.pop(name) for name in modules()}

    before = drop()
    try:
        yield
    finally:
        drop()
        sys.modules.update(before)


def pinned_requirements() -> list[str]:
    """REQUIREMENTS and their transitive dependencies, pinned to the installed versions."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    waiting, seen, pins = [Requirement(name) for name in REQUIREMENTS], set(), set()
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras) or frozenset({""})
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        installed = distribution(name)
        pins.add(f"{name}=={installed.version}")
        for need in map(Requirement, installed.requires or ()):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(need)
    return sorted(pins)


def _digest(folder: Path) -> str:
    """An eight-digit hash of the code below ``folder``, without files added by building and running."""
    digest = hashlib.sha256()
    for file in sorted(path for part in ("bento", "churn") for path in (folder / part).rglob("*") if path.is_file()):
        if "__pycache__" not in file.parts:
            digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:8]


def _as_tagged(tag: str, bento: Any) -> bool:
    return tag.rpartition("-")[2] == _digest(Path(bento.path, "src"))


def _store_model(
    champion: model_registry.Registered, uplift: model_registry.Registered | None, tag: str, folder: Path
) -> dict[str, Any]:
    """Store the scorers' files in BentoML's model store, with the registry version and synthetic example customers.

    Returns the proof for the Bento (``bento.self_test``): the files' checksums, and the registered models' probabilities, and
    uplift if there is an uplift model, for the examples.
    """
    import bentoml

    files = model_registry.fetch(champion, folder)
    if uplift is not None:
        more = model_registry.fetch(uplift, folder / "uplift")
        for name in uplift_scorer.FILES:
            shutil.copy(more / name, files)
    if not bento_store.kept(bentoml.models.get, "models", tag, _unharmed):
        _store(champion, files, tag)
    stored, scorer = Path(bentoml.models.get(tag).path), onnx_scorer.Scorer(files)
    inputs = features.from_rows(scorer.dataset, onnx_scorer.manifest(stored)["examples"])
    proof: dict[str, Any] = {"files": {path.name: checksums.file_sha256(path) for path in _files(stored)}}
    proof["probability"] = scorer.probability(inputs).astype(np.float64).tolist()
    if uplift is not None:
        proof["uplift"] = uplift_scorer.UpliftScorer(files).uplift(inputs).astype(np.float64).tolist()
    return proof


def _store(champion: model_registry.Registered, files: Path, tag: str) -> None:
    import bentoml

    manifest = onnx_scorer.manifest(files)
    described = from_dump(manifest["dataset"])
    manifest["model_version"] = champion.version
    manifest["examples"] = examples(described)
    with bentoml.models.create(tag, labels={"model_version": champion.version}) as model:
        for file in _files(files):
            shutil.copy(file, model.path_of(file.name))
        text = json.dumps(format_version.stamped(manifest, onnx_scorer.FORMAT), indent=1)
        Path(model.path_of(onnx_scorer.MANIFEST)).write_text(text, encoding="utf-8")
        model.info.labels[_CHECKSUM] = _model_digest(Path(model.path))


def examples(described: Dataset) -> list[dict[str, Any]]:
    """The synthetic customers in a Bento's manifest."""
    return json_rows(described, synthetic.generate(described, EXAMPLES, SEED))


def require_whole(tag: str) -> str:
    """The tag of a Bento in this machine's store. Raises ChurnError if the Bento is missing or was modified."""
    import bentoml

    with bento_store.explained():
        bento = bentoml.get(tag)
    harmed = [str(one.tag) for one in bento.info.models if not _unharmed(bentoml.models.get(one.tag))]
    if not _as_tagged(tag, bento):
        harmed.append(tag)
    if harmed:
        raise ChurnError(f"{tag}: its checksum is not that of its build: {', '.join(harmed)}; it is not served")
    return tag


def _unharmed(model: Any) -> bool:
    """Whether a model in BentoML's store still has its original files."""
    digest = _model_digest(Path(model.path))
    return model.info.labels.get(_CHECKSUM, digest) == digest  # earlier releases wrote none


def _model_digest(folder: Path) -> str:
    return checksums.sha256(b"".join(file.read_bytes() for file in _files(folder)))[:32]


def _files(folder: Path) -> list[Path]:
    """The model files in a folder: the churn model's, and the uplift model's if there is one."""
    named = [folder / name for name in (*onnx_scorer.FILES, *uplift_scorer.FILES)]
    return [file for file in named if file.is_file() or file.name in onnx_scorer.FILES]


def _context(folder: Path, model_tag: str, proof: Mapping[str, Any]) -> Path:
    """The content of the Bento: the service, its settings, and the modules of ``churn`` that it imports."""
    shutil.copytree(ROOT / "bento", folder / "bento", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "config" / "serve.toml", folder / "bento")
    (folder / "bento" / MODEL_TAG).write_text(model_tag, encoding="utf-8")
    (folder / "bento" / PROOF).write_text(json.dumps(proof), encoding="utf-8")
    for file in imported((ROOT / "bento").rglob("*.py")):
        place = folder / file.relative_to(FLOWS)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    return folder


def imported(importing: Iterable[Path]) -> set[Path]:
    """The files of ``churn`` that the modules ``importing`` import, directly and indirectly, with each package's ``__init__``.

    Only imports at the top of a module count: what a function imports must be among them too.
    """
    waiting: list[Path] = list(importing)
    files: set[Path] = set()
    while waiting:
        for node in ast.parse(waiting.pop().read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "churn":
                place = FLOWS.joinpath(*str(node.module).split("."))
                named = [place.with_suffix(".py"), *(place / f"{alias.name}.py" for alias in node.names)]
                new = {file for file in named if file.is_file()} - files
                waiting += new
                files |= new
    return files | {package / "__init__.py" for file in files for package in file.parents if FLOWS in package.parents}


def json_rows(dataset: Dataset, table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The table's rows as the service accepts them: None for missing values, integers without a decimal point."""
    rows = json.loads(table[list(dataset.raw)].to_json(orient="records", double_precision=15))
    integers = [name for name, column in dataset.raw.items() if column.type == "integer"]
    for row in rows:
        row.update({name: int(row[name]) for name in integers if row[name] is not None})
    return rows
