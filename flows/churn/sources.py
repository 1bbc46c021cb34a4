"""Reading customers: from CSV and Parquet files, or from the generator. Tables travel between steps as Parquet bytes."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from churn.config import DataConfig, Source
from churn.dataset import Dataset
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd


def choose(config: DataConfig, path: str) -> list[Source]:
    """The sources of config, or the one file at ``path`` if that is given."""
    return [Source(kind="file", path=path)] if path else list(config.source)


def concatenate(tables: Iterable[bytes]) -> "pd.DataFrame":
    """The rows of several sources under one another."""
    import pandas as pd

    return pd.concat([from_bytes(table) for table in tables], ignore_index=True)


def read(source: Source, dataset: Dataset) -> "pd.DataFrame":
    """The rows of one source. Raises ChurnError naming the source if it cannot be read or holds no rows.

    CSV cells arrive as text (checked and typed by ``quality.conform``); Parquet keeps its types.
    """
    if source.kind == "generate":
        from churn.generator import generate

        return generate(dataset, source.rows, source.seed)
    path = Path(source.path).expanduser()
    if not path.is_file():
        raise ChurnError(f"{path}: no such file; give an existing CSV or Parquet file with --source")
    if path.stat().st_size == 0:
        raise ChurnError(f"{path}: the file is empty; it needs a header line and one line per customer")
    frame = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    if frame.empty:
        raise ChurnError(f"{path}: has a header ({len(frame.columns)} columns) but no rows; export it again")
    return frame


def _csv(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        # Everything as text: a cell that does not fit its column's type is then reported as it was written.
        return pd.read_csv(path, dtype="str", keep_default_na=False, encoding="utf-8", encoding_errors="strict")
    except UnicodeDecodeError:
        raise ChurnError(_not_utf8(path)) from None
    except pd.errors.EmptyDataError:
        raise ChurnError(f"{path}: the file is empty; it needs a header line and one line per customer") from None
    except pd.errors.ParserError as error:
        raise ChurnError(f"{path}: not a readable CSV file: {error}; check its quotes and commas there") from None


def _not_utf8(path: Path) -> str:
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as bad:
            cell = line[: bad.start].count(b",")
            name, value = (row.decode("latin-1").split(",")[cell:][:1] for row in (lines[0], line))
            return (
                f"{path}: line {number}, column {', '.join(name)!r}: {', '.join(value)!r} is not UTF-8; convert the file "
                f"first: iconv -f LATIN1 -t UTF-8 {path.name} > utf8.csv"
            )
    return f"{path}: is not UTF-8; convert it first: iconv -f LATIN1 -t UTF-8 {path.name} > utf8.csv"


def _parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow

    try:
        return pd.read_parquet(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ChurnError(f"{path}: not a readable Parquet file, perhaps cut short ({error}); copy it again") from None


def to_bytes(frame: "pd.DataFrame") -> bytes:
    """The table as Parquet (zstd): the same table gives the same bytes with the same library versions."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def from_bytes(data: bytes) -> "pd.DataFrame":
    """The table that ``to_bytes`` wrote."""
    import pandas as pd

    return pd.read_parquet(io.BytesIO(data))
