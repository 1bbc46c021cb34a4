"""The customer to find, and how to recognise the id in tables, in text and in the prediction log."""

import html
import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from churn.data import casting
from churn.errors import ChurnError
from churn.storage import checksums, keyed_ids

if TYPE_CHECKING:
    import pandas as pd

SHORT = 5  # characters below which an id is only searched for in id columns: '17' occurs in every text
PARQUET = b"PAR1"
REDACTED = "[erased]"
_CHECKED: Any = {"page_checksum_verification": True}


class Unreadable(ChurnError):
    """A table is damaged, so whose rows it holds is unknown."""


@dataclass(frozen=True)
class Subject:
    """A customer's ``id`` as typed. ``columns`` are the names of id columns; ``dataset`` limits the search to one data set."""

    id: str
    columns: frozenset[str]
    dataset: str = ""
    predictions: set[str] = field(default_factory=set)  # the customer's prediction ids that lists and runs reveal

    @property
    def short(self) -> bool:
        """Whether the id is too short to search for in text."""
        return len(self.id) < SHORT

    @cached_property
    def keyed(self) -> str | None:
        """The id as the log keeps it, if the key is available."""
        secret = keyed_ids.key()
        return None if secret is None else keyed_ids.keyed(self.id, secret)

    @cached_property
    def _forms(self) -> list[bytes]:
        """The id as written in text, JSON, HTML and URLs."""
        forms = {self.id, html.escape(self.id), json.dumps(self.id)[1:-1], quote(self.id, safe="")}
        return [form.encode() for form in sorted(forms)]

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        return re.compile(rb"(?<![0-9A-Za-z])(?:%s)(?![0-9A-Za-z])" % b"|".join(map(re.escape, self._forms)))

    def within(self, content: bytes) -> bool:
        """Whether the id's bytes are anywhere in the content, even adjacent to others, as in databases and Arrow files."""
        return not self.short and any(form in content for form in self._forms)

    def named_in(self, text: bytes | str) -> bool:
        """Whether the text names the customer."""
        content = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        return not self.short and self._pattern.search(content) is not None

    def redacted(self, text: bytes) -> bytes:
        """The text without the id."""
        return self._pattern.sub(REDACTED.encode(), text)

    def masked(self, text: bytes) -> bytes:
        """The text with the id masked at the same length, for formats that count bytes."""
        return self._pattern.sub(lambda match: b"*" * len(match[0]), text)

    def rows(self, table: "pd.DataFrame") -> np.ndarray:
        """Which rows are the customer's, bool of shape (n,).

        Rows are matched by an id column, by any text column unless the id is short, or by prediction id.
        """
        matched = np.zeros(len(table), dtype=bool)
        for name, values in table.items():  # not by name: names may repeat
            if self._telling([str(name)], [not _number(values)]):
                matched |= self._cells(values)
        return matched

    def _telling(self, names: Iterable[str], textual: Iterable[bool]) -> list[str]:
        ids = {_plain(name) for name in self.columns} | {"prediction_id"}
        return [n for n, text in zip(names, textual, strict=True) if _plain(n) in ids or (text and not self.short)]

    def _cells(self, values: "pd.Series") -> np.ndarray:
        texts = casting.as_text(values).astype("str")
        if _number(values):
            wanted = {str(int(self.id))} if self.id.isdigit() else {self.id}
            return texts.isin(wanted).to_numpy(dtype=bool)
        wanted = {self.id, *self.predictions, *([f"{self.id}.0"] if self.id.isdigit() else [])}
        wanted |= {self.keyed} if self.keyed is not None else set()
        return texts.isin(wanted).to_numpy(dtype=bool)

    def parquet_rows(self, content: bytes) -> np.ndarray:
        """``rows`` of a Parquet file; reads only the relevant columns. Raises Unreadable."""
        with _undamaged():
            return self._parquet_rows(content)

    def _parquet_rows(self, content: bytes) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.parquet as pq

        metadata = pq.read_metadata(io.BytesIO(content))
        if not checksums.intact(content, metadata.serialized_size):
            raise Unreadable("its checksum is another")
        schema = metadata.schema.to_arrow_schema()
        textual = [pa.types.is_string(f.type) or pa.types.is_large_string(f.type) for f in schema]
        columns = self._telling(schema.names, textual)
        if not columns:
            return np.zeros(metadata.num_rows, dtype=bool)
        table = pq.read_table(io.BytesIO(content), columns=columns, read_dictionary=columns, **_CHECKED)
        return self.rows(table.to_pandas(ignore_metadata=True))


def without(content: bytes, rows: np.ndarray) -> bytes:
    """A Parquet file without ``rows`` (bool of shape (n,)), with the same types; sealed if it was.

    Raises Unreadable rather than turn a damaged file into an intact one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _undamaged():
        if not checksums.intact(content, pq.read_metadata(io.BytesIO(content)).serialized_size):
            raise Unreadable("its checksum is another")
        table: pa.Table = pq.read_table(io.BytesIO(content), **_CHECKED)
    out = io.BytesIO()
    pq.write_table(table.filter(pa.array(~rows)), out, compression="zstd", write_page_checksum=True)
    return checksums.sealed(out.getvalue()) if checksums.is_sealed(content) else out.getvalue()


@contextmanager
def _undamaged() -> Iterator[None]:
    """Turn Arrow's errors about a damaged file into Unreadable."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Unreadable(" ".join(str(error).split())) from error


def _number(values: "pd.Series") -> bool:
    kind = values.cat.categories.dtype.kind if hasattr(values, "cat") else values.dtype.kind
    return kind in "iuf"


def _plain(name: str) -> str:
    """A column's name, normalised across spellings."""
    return re.sub(r"[\W_]", "", name.casefold())
