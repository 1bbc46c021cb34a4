"""What a Parquet file takes in memory, told before it is read: dictionaries and runs may expand without limit."""

from typing import TYPE_CHECKING, Any

from churn.files import parquet_pages

if TYPE_CHECKING:
    import pyarrow.parquet as pq

WIDTH = 8  # bytes of a number, a moment or a place in a dictionary
MANY, FEW = 1 << 20, 256  # values at once: places in a dictionary, and texts that share their beginnings
DICTIONARIES, PREFIXES = {2, 8}, 7  # encodings that repeat what is there once: of the format's numbers


def exceeds(data: bytes, metadata: "pq.FileMetaData", most_bytes: int) -> bool:
    """Whether the table, text as text, takes more than ``most_bytes``.

    No more than the dictionaries of a row group and the places of its values are in memory to find out. Raises ValueError for
    a damaged file.
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
    """Where a column chunk begins."""
    dictionary = chunk.dictionary_page_offset or 0
    return dictionary if 0 < dictionary < chunk.data_page_offset else int(chunk.data_page_offset)


def _text_bytes(data: bytes, group: int, columns: list[str], dictionaries: bool, most_bytes: int) -> int:
    """Bytes of a row group's columns of text; counted no further than beyond ``most_bytes``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, total = pq.ParquetFile(pa.BufferReader(data), read_dictionary=columns if dictionaries else None), 0
    for batch in file.iter_batches(MANY if dictionaries else FEW, row_groups=[group], columns=columns):
        total += sum(_decoded(array) for array in batch.columns)
        if total > most_bytes:
            break
    return total


def _decoded(array: Any) -> int:
    """Bytes of an array's values, those of a dictionary as often as they occur."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    lengths = pc.fill_null(pc.binary_length(array.dictionary), 0).to_numpy(zero_copy_only=False)
    places = array.indices.drop_null().to_numpy()
    return int((np.bincount(places, minlength=len(lengths)) * lengths).sum()) if len(places) else 0
