"""Reads numbers and timestamps written as text, strictly in the described format; nothing is guessed."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from churn.settings.description.spelling import fold

if TYPE_CHECKING:
    import pandas as pd
    from churn.settings.description.column import Cells, Column

UNCLEAR = re.compile(r"[-+]?[1-9]\d{0,2}\.\d{3}")  # 1.234: is the point a decimal mark or a thousands separator?
SINCE_1970 = {"%s": 1_000_000, "%Q": 1_000}  # microseconds per unit: seconds, milliseconds
LATEST = 253_402_300_800 * 1_000_000  # the year 10000
LONGEST = 60  # characters of a number with its unit
_UNIT = r"[^\d\s.,'\u2019()+\-\u2212]{1,12}\.?"
_NUMERAL = re.compile(
    rf"(?P<sign>[-+\u2212]?)\s*(?P<before>{_UNIT})?\s*(?P<inner>[-+\u2212]?)\s*"
    rf"(?P<digits>[.,]?\d(?:[\d.,'\u2019\s]*\d)?(?:[eE][-+]?\d+)?)\s*(?P<after>{_UNIT})?\s*(?P<trailing>[-\u2212]?)"
)
_IN_PARENTHESES = re.compile(r"(?P<before>[^()\d]*)\((?P<inner>[^()]+)\)(?P<after>[^()\d]*)")


@dataclass(frozen=True)
class Numeral:
    """The parts of a number written as text.

    ``digits`` includes decimal mark and separators; ``unit`` ("": none) may stand ``before`` the number; ``minus`` is "" for a
    positive number, else how it is marked as negative: "minus", "parentheses" or "trailing".
    """

    digits: str
    unit: str
    before: bool
    minus: str


def numeral(text: str) -> Numeral | None:
    """The parts of ``text``, or None if it is not a number in any format."""
    if len(text) > LONGEST:
        return None
    if inside := _IN_PARENTHESES.fullmatch(text):
        inner = numeral(f"{inside['before']} {inside['inner']} {inside['after']}".strip())
        return None if inner is None or inner.minus else Numeral(inner.digits, inner.unit, inner.before, "parentheses")
    match = _NUMERAL.fullmatch(text)
    if (
        match is None
        or (match["before"] and match["after"])
        or sum(map(bool, match.group("sign", "inner", "trailing"))) > 1
    ):
        return None
    sign = match["sign"] or match["inner"]
    minus = "trailing" if match["trailing"] else "minus" if sign in ("-", "\u2212") else ""
    return Numeral(match["digits"], match["before"] or match["after"] or "", bool(match["before"]), minus)


def pattern(mark: str) -> str:
    """The regular expression for a thousands separator, with the variants of blanks and apostrophes that spreadsheets write."""
    return {" ": r"[ \u00a0\u2009\u202f]", "'": r"['\u2019]"}.get(mark) or re.escape(mark)


@lru_cache(maxsize=64)
def _digits(decimal: str, thousands: str) -> re.Pattern[str]:
    mark, groups = re.escape(decimal), ""
    if thousands:
        groups = rf"\d{{1,3}}(?:{pattern(thousands)}\d{{3}})+|"
    return re.compile(rf"(?P<whole>{groups}\d+)?(?:{mark}(?P<fraction>\d+))?(?P<power>[eE][-+]?\d+)?")


def unsigned(digits: str, decimal: str, thousands: str) -> float | None:
    """The value of ``digits`` with this decimal mark and thousands separator, or None if they do not fit."""
    match = _digits(decimal, thousands).fullmatch(digits)
    if match is None or not (match["whole"] or match["fraction"]):
        return None
    return float(f"{re.sub(r'[^0-9]', '', match['whole'] or '0')}.{match['fraction'] or '0'}{match['power'] or ''}")


@dataclass(frozen=True)
class NumberFormat:
    """The format of the numbers in a column.

    ``thousands`` is the separator ("": none); every number has one of ``units`` ("": none); ``negative`` numbers are written as
    -5 ("minus"), (5) ("parentheses") or 5- ("trailing").
    """

    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ("",)
    negative: str = "minus"

    @classmethod
    def of(cls, dataset: "Cells", column: "Column") -> "NumberFormat":
        """The format in a column's description."""
        thousands = dataset.thousands if column.thousands is None else column.thousands
        return cls(column.decimal or dataset.decimal, thousands, column.units, column.negative)

    @cached_property
    def _folded(self) -> frozenset[str]:
        return frozenset(map(fold, self.units))

    def read(self, text: str) -> float | None:
        """The value of ``text``, or None if it does not fit."""
        parts = numeral(text.strip())
        return None if parts is None else self.value(parts)

    def value(self, parts: Numeral) -> float | None:
        """The number, or None if it is not in this format.

        With a decimal comma and no thousands separator, 48.9 is accepted too, as it can only mean one number; 1.234 is not.
        """
        if fold(parts.unit) not in self._folded or parts.minus not in ("", "minus", self.negative):
            return None
        value = unsigned(parts.digits, self.decimal, self.thousands)
        if value is None and self.decimal == "," and self.thousands != "." and not UNCLEAR.fullmatch(parts.digits):
            value = unsigned(parts.digits, ".", "")
        return None if value is None else -value if parts.minus else value


def parse_numbers(texts: "pd.Series", form: NumberFormat) -> "pd.Series":
    """The numbers in a column of text as float64, missing where a cell does not fit ``form``."""
    import pandas as pd

    plain = texts  # what pandas reads in one go, with the same result
    if form.decimal == ",":
        plain = texts.mask(texts.str.fullmatch(UNCLEAR.pattern).fillna(False).astype(bool)).str.replace(",", ".")
    if form.thousands == "." or "" not in form.units:
        plain = pd.Series(np.nan, index=texts.index)
    values = pd.to_numeric(plain, errors="coerce").to_numpy(dtype="float64", copy=True)
    rest = np.isnan(values) & texts.notna().to_numpy()
    if rest.any():
        parsed = {text: form.read(text) for text in texts[rest].unique()}
        values[rest] = texts[rest].map(parsed).to_numpy(dtype="float64")
    return pd.Series(values, index=texts.index)


def has_digit(word: str) -> bool:
    """Whether an unreadable value may be a mistyped number or timestamp; "#DIV/0!" is a spreadsheet's error."""
    return not word.startswith("#") and any(letter.isdigit() for letter in word)


def parse_timestamps(texts: "pd.Series", form: str | None = None) -> "pd.Series":
    """Timestamps as datetime64[us] in UTC without a time zone, missing where a text does not fit ``form`` (default: ISO 8601).

    ``form`` is a strftime format, or one of SINCE_1970.
    """
    import pandas as pd

    if form in SINCE_1970:
        numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
        micros = (numbers.where(numbers.abs() < LATEST / SINCE_1970[form]) * SINCE_1970[form]).round()
        return micros.astype("Int64").astype("datetime64[us]")
    parsed = pd.to_datetime(texts, errors="coerce", format=form or "ISO8601", utc=True)
    return parsed.dt.tz_localize(None).astype("datetime64[us]")
