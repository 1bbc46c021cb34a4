"""Reads the unpacked sizes of a Parquet file's pages from their headers, which is what readers allocate.

The footer states them too, but the author of a file can write anything there. Headers are structs of Thrift's compact
protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_UNPACKED, _PACKED = 2, 3  # fields of a page's header
_ENCODING = {5: 2, 8: 4}  # its fields that describe values, of either version, and in them the field of the encoding
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_WIDTH = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}  # bytes; a boolean field's value is in its type
MOST_DEPTH = 8  # nested structs: a page's header has two


@dataclass(frozen=True)
class Page:
    """A page: its unpacked bytes, and the format's number for the encoding of its values; None for a page without values."""

    unpacked: int
    encoding: int | None


def pages(data: bytes, start: int, length: int) -> Iterator[Page]:
    """The pages of the column chunk of ``length`` bytes from ``start`` on. Raises ValueError for anything but pages."""
    at, end = start, start + length
    while at < end:
        reading = _Header(data, at)
        fields = reading.struct()
        packed, unpacked = fields.get(_PACKED), fields.get(_UNPACKED)
        if not isinstance(packed, int) or not isinstance(unpacked, int) or packed < 0 or unpacked < 0:
            raise ValueError(f"there is no page at byte {at}")
        values = [(fields.get(field), number) for field, number in _ENCODING.items()]
        yield Page(
            unpacked, next((one[number] for one, number in values if isinstance(one, dict) and number in one), None)
        )
        at = reading.at + packed


class _Header:
    """Reads one struct of ``data``, from byte ``at`` on."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self.at = data, at

    def struct(self, deep: int = MOST_DEPTH) -> dict[int, Any]:
        """The integers and structs among its fields, by field number."""
        values: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._integer()
            if head & 15 in _INTEGERS:
                values[field] = self._integer()
            elif head & 15 == _STRUCT and deep:
                values[field] = self.struct(deep - 1)
            else:
                self._pass(head & 15, deep)
        return values

    def _pass(self, kind: int, deep: int) -> None:
        """Skip a value of that type."""
        if kind == _STRUCT and deep:
            self.struct(deep - 1)
        elif kind in (_LIST, _SET) and deep:
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 < 15 else self._varint()):
                self._pass(_BYTE if head & 15 in (_TRUE, _FALSE) else head & 15, deep - 1)
        elif kind in _INTEGERS:
            self._varint()
        elif kind == _BINARY:
            length = self._varint()
            self._skip(length)
        elif kind in _WIDTH:
            self._skip(_WIDTH[kind])
        else:
            raise ValueError(f"there is no header of a page at byte {self.at}")

    def _skip(self, length: int) -> None:
        self.at += length
        if self.at > len(self._data):
            raise ValueError("a page ends beyond the file")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError(f"there is no number at byte {self.at}")

    def _byte(self) -> int:
        self._skip(1)
        return self._data[self.at - 1]
