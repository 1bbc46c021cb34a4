"""No changed bit of a file goes unseen, and a sealed Parquet file is read by everybody."""

import random
from pathlib import Path

import polars
import pyarrow as pa
import pytest
from churn.storage import checksums
from pyarrow import parquet

TABLE = pa.table({"probability": [0.1, None, 0.9] * 50, "contract": ["month", "ä", None] * 50})


@pytest.fixture(scope="module")
def part() -> bytes:
    out = pa.BufferOutputStream()
    parquet.write_table(TABLE, out, compression="zstd", write_page_checksum=True)
    return checksums.sealed(out.getvalue().to_pybytes())


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def intact(content: bytes) -> bool:
    try:
        return checksums.intact(content, parquet.read_metadata(pa.BufferReader(content)).serialized_size)
    except (OSError, ValueError, pa.ArrowException):
        return False


def test_every_flipped_bit_of_a_sealed_file_is_seen(part: bytes) -> None:
    assert checksums.is_sealed(part)
    assert intact(part)
    assert not any(intact(flipped(part, bit)) for bit in range(8 * len(part)))
    assert not any(intact(part[:end]) for end in range(len(part)))


def test_a_file_that_was_never_sealed_is_taken_as_it_is() -> None:
    out = pa.BufferOutputStream()
    parquet.write_table(TABLE, out)
    content = out.getvalue().to_pybytes()
    assert intact(content)
    assert not checksums.is_sealed(content)


def test_other_readers_of_parquet_read_a_sealed_file(part: bytes, tmp_path: Path) -> None:
    file = tmp_path / "part.parquet"
    file.write_bytes(part)
    assert parquet.read_table(file, page_checksum_verification=True).equals(TABLE)
    assert polars.read_parquet(file).to_arrow().to_pydict() == TABLE.to_pydict()


def test_files_are_held_against_what_was_noted_of_them(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a: b", "deep/c"):
        (tmp_path / name).write_text(name)
    noted = checksums.folder_sha256(tmp_path)
    assert list(noted) == ["a: b", "deep/c"]
    assert checksums.mismatched(tmp_path, noted) == []
    assert checksums.mismatched(tmp_path, {name: checksum[:16] for name, checksum in noted.items()}) == []
    assert checksums.mismatched(tmp_path, {"deep/c": ""}) == ["deep/c"]
    content = (tmp_path / "deep/c").read_bytes()
    for bit in random.Random(0).sample(range(8 * len(content)), 20):
        (tmp_path / "deep/c").write_bytes(flipped(content, bit))
        assert checksums.mismatched(tmp_path, noted) == ["deep/c"]
    (tmp_path / "deep/c").unlink()
    assert checksums.mismatched(tmp_path, noted) == ["deep/c"]


def test_checksums_go_through_a_line_of_text() -> None:
    noted = {"model.onnx": "0f", "deep/c": "ff"}
    assert checksums.from_line(checksums.to_line(noted)) == noted
    assert checksums.from_line("") == {}
