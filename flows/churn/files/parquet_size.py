"""The memory that a Parquet file needs, computed before reading: dictionaries and runs may expand without limit."""

from typing import TYPE_CHECKING, Any

from churn.files import parquet_pages

if TYPE_CHECKING:
    import pyarrow.parquet as pq

WIDTH = 8  # bytes of a number, a moment or a dictionary index
MANY, FEW = 1 << 20, 256  # values per batch: dictionary indices, and texts with shared prefixes
DICTIONARIES, PREFIXES = {2, 8}, 7  # the format's numbers for encodings that expand


def exceeds(data: bytes, metadata: "pq.FileMetaData", most_bytes: int) -> bool:
    """Whether the table, text as text, takes more than ``most_bytes``.

    Holds at most one row group's dictionaries and indices in memory. Raises ValueError for a damaged file.
    """
    total, unfolding = 0, []
    for group in range(metadata.num_row_groups):
        names: dict[bool, list[str]] = {True: [], False: []}  # by whether there are dictionaries
        for column in range(metadata.num_columns):
            about, chunk = metadata.schema.column(column), metadata.row_group(group).column(column)
            total += max(chunk.num_values, metadata.row_group(group).num_rows) * max(WIDTH, about.length)
            pages = list(parquet_pages.pages(data, _start(chunk), chunk.total_compressed_size))
            unpacked = sum(page.unpacked for page in pages)
            if unpacked > most_bytes:
                return True
            if chunk.physical_type != "BYTE_ARRAY":
                continue
            if repeats := {*DICTIONARIES, PREFIXES} & {page.encoding for page in pages}:
                names[bool(repeats & DICTIONARIES)].append(about.path)
            else:
                total += unpacked
        unfolding += [(group, kind, columns) for kind, columns in names.items() if columns]
    for group, kind, columns in unfolding:
        if total <= most_bytes:
            total += _text_bytes(data, group, columns, kind, most_bytes - total)
    return total > most_bytes


def _start(chunk: Any) -> int:
    """The offset of a column chunk."""
    dictionary = chunk.dictionary_page_offset or 0
    return dictionary if 0 < dictionary < chunk.data_page_offset else int(chunk.data_page_offset)


def _text_bytes(data: bytes, group: int, columns: list[str], dictionaries: bool, most_bytes: int) -> int:
    """Bytes of a row group's text columns; counting stops once beyond ``most_bytes``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, total = pq.ParquetFile(pa.BufferReader(data), read_dictionary=columns if dictionaries else None), 0
    for batch in file.iter_batches(MANY if dictionaries else FEW, row_groups=[group], columns=columns):
        total += sum(_decoded(array) for array in batch.columns)
        if total > most_bytes:
            break
    return total


def _decoded(array: Any) -> int:
    """Bytes of an array's values, counting dictionary values as often as they occur."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    lengths = pc.fill_null(pc.binary_length(array.dictionary), 0).to_numpy(zero_copy_only=False)
    places = array.indices.drop_null().to_numpy()
    return int((np.bincount(places, minlength=len(lengths)) * lengths).sum()) if len(places) else 0
