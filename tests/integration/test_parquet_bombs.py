"""Parquet of a few kilobytes that unfolds to gigabytes is refused before it does, by a process whose memory tells."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT


def _varint(number: int) -> bytes:
    """As Thrift writes a number."""
    rest, low = divmod(number << 1, 128)
    parts = [low]
    while rest:
        rest, low = divmod(rest, 128)
        parts.append(low)
    return bytes([*(part | 128 for part in parts[:-1]), parts[-1]])


def parquet_bomb(kind: str) -> bytes:
    """Parquet of a few kilobytes whose one column unfolds to 80 MB or more."""
    out = io.BytesIO()
    if kind == "dictionary":
        long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2000, dtype="int32")), pa.array(["x" * 100_000]))
        pq.write_table(pa.table({"a": long}), out, compression="zstd")
    elif kind == "long text":
        column = pa.array(["y", "x" * 100_000_000])
        pq.write_table(pa.table({"a": column}), out, compression="zstd", dictionary_pagesize_limit=1 << 30)
    elif kind == "footer that lies":  # of the sizes
        column = pa.array(["y", "x" * 100_000_000])
        pq.write_table(pa.table({"a": column}), out, compression="zstd", use_dictionary=False, write_statistics=False)
        content, said = out.getvalue(), pq.read_metadata(out).row_group(0).column(0).total_uncompressed_size
        footer = content[-int.from_bytes(content[-8:-4], "little") - 8 : -8]
        lie = _varint(1)[:-1] + bytes([_varint(1)[-1] | 128, *[128] * (len(_varint(said)) - 2), 0])
        assert footer.count(_varint(said)) == 2
        return content[: -len(footer) - 8] + footer.replace(_varint(said), lie) + content[-8:]
    elif kind == "prefix":
        column = pa.array(["x" * 100_000 + str(number) for number in range(900)])
        pq.write_table(
            pa.table({"a": column}), out, compression="zstd", use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY"
        )
    else:
        pq.write_table(pa.table({"a": np.zeros(10_000_000, dtype="int64")}), out, compression="zstd")
    return out.getvalue()


@pytest.mark.parametrize("kind", ["dictionary", "long text", "footer that lies", "prefix", "numbers"])
def test_parquet_that_unfolds_to_too_much_is_refused_before_it_does(kind: str, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.parquet"
    bomb.write_bytes(parquet_bomb(kind))
    assert bomb.stat().st_size < 1 << 20
    code = (
        "import resource, sys; from pathlib import Path; from churn.files import reader, parquet_size; "
        "import numpy, pyarrow.parquet, pyarrow.compute; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: reader.read(Path(sys.argv[1]), 64 << 20)\n"
        "except reader.ChurnError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "flows")}
    said, kilobytes = subprocess.run(
        [sys.executable, "-c", code, str(bomb)], env=environ, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "larger than 67,108,864 bytes" in said
    assert "raise expanded_megabytes of its [[source]]" in said
    assert int(kilobytes) < 120 << 10
