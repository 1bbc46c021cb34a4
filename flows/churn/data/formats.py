"""How numbers and moments are written as text, and how they are read: strictly, by the description's format, never by guess."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from churn.settings.spelling import fold

if TYPE_CHECKING:
    import pandas as pd
    from churn.settings.column import Cells, Column

UNCLEAR = re.compile(r"[-+]?[1-9]\d{0,2}\.\d{3}")  # 1.234: one and a quarter, or with a point for the thousands?
LONGEST = 60  # characters of a number with its unit
_UNIT = r"[^\d\s.,'\u2019()+\-\u2212]{1,12}\.?"
_NUMERAL = re.compile(
    rf"(?P<sign>[-+\u2212]?)\s*(?P<before>{_UNIT})?\s*(?P<inner>[-+\u2212]?)\s*"
    rf"(?P<digits>[.,]?\d(?:[\d.,'\u2019\s]*\d)?(?:[eE][-+]?\d+)?)\s*(?P<after>{_UNIT})?\s*(?P<trailing>[-\u2212]?)"
)
_IN_PARENTHESES = re.compile(r"(?P<before>[^()\d]*)\((?P<inner>[^()]+)\)(?P<after>[^()\d]*)")


@dataclass(frozen=True)
class Numeral:
    """A number as text, taken apart: its ``digits`` with their marks, its ``unit`` ("": none) and whether that stands
    ``before`` it, and where its minus is: "" (positive), "minus", "parentheses" or "trailing".
    """

    digits: str
    unit: str
    before: bool
    minus: str


def numeral(text: str) -> Numeral | None:
    """``text`` taken apart, or None if it is no number in any format."""
    if len(text) > LONGEST:
        return None
    if inside := _IN_PARENTHESES.fullmatch(text):
        found = numeral(f"{inside['before']} {inside['inner']} {inside['after']}".strip())
        return None if found is None or found.minus else Numeral(found.digits, found.unit, found.before, "parentheses")
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
    """The regular expression of a mark for thousands: blanks and apostrophes as spreadsheets and the Swiss write them too."""
    return {" ": r"[ \u00a0\u2009\u202f]", "'": r"['\u2019]"}.get(mark) or re.escape(mark)


@lru_cache(maxsize=64)
def _digits(decimal: str, thousands: str) -> re.Pattern[str]:
    mark, groups = re.escape(decimal), ""
    if thousands:
        groups = rf"\d{{1,3}}(?:{pattern(thousands)}\d{{3}})+|"
    return re.compile(rf"(?P<whole>{groups}\d+)?(?:{mark}(?P<fraction>\d+))?(?P<power>[eE][-+]?\d+)?")


def unsigned(digits: str, decimal: str, thousands: str) -> float | None:
    """The number that ``digits`` mean with these marks, or None if they do not fit."""
    match = _digits(decimal, thousands).fullmatch(digits)
    if match is None or not (match["whole"] or match["fraction"]):
        return None
    return float(f"{re.sub(r'[^0-9]', '', match['whole'] or '0')}.{match['fraction'] or '0'}{match['power'] or ''}")


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written: the ``decimal`` mark, the mark between ``thousands`` ("": none), the ``units`` of
    which every number has one ("": none), and the ``negative`` numbers, with a minus in front or (5) or 5-.
    """

    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ("",)
    negative: str = "minus"

    @classmethod
    def of(cls, dataset: "Cells", column: "Column") -> "NumberFormat":
        """The format that the description gives a column."""
        thousands = dataset.thousands if column.thousands is None else column.thousands
        return cls(column.decimal or dataset.decimal, thousands, column.units, column.negative)

    @cached_property
    def _folded(self) -> frozenset[str]:
        return frozenset(map(fold, self.units))

    def read(self, text: str) -> float | None:
        """The number that ``text`` is, or None if it does not fit."""
        found = numeral(text.strip())
        return None if found is None else self.value(found)

    def value(self, found: Numeral) -> float | None:
        """The number, or None if it is not in this format. With a decimal comma and no mark for thousands 48.9 is taken too,
        as it means but one number; 1.234 is not.
        """
        if fold(found.unit) not in self._folded or found.minus not in ("", "minus", self.negative):
            return None
        value = unsigned(found.digits, self.decimal, self.thousands)
        if value is None and self.decimal == "," and self.thousands != "." and not UNCLEAR.fullmatch(found.digits):
            value = unsigned(found.digits, ".", "")
        return None if value is None else -value if found.minus else value


def parse_numbers(texts: "pd.Series", form: NumberFormat) -> "pd.Series":
    """The numbers of a column of text as float64, missing where a cell does not fit ``form``."""
    import pandas as pd

    plain = texts  # what pandas can be given: it reads these at once, and the same
    if form.decimal == ",":
        plain = texts.mask(texts.str.fullmatch(UNCLEAR.pattern).fillna(False).astype(bool)).str.replace(",", ".")
    if form.thousands == "." or "" not in form.units:
        plain = pd.Series(np.nan, index=texts.index)
    found = pd.to_numeric(plain, errors="coerce").to_numpy(dtype="float64", copy=True)
    rest = np.isnan(found) & texts.notna().to_numpy()
    if rest.any():
        known = {text: form.read(text) for text in texts[rest].unique()}
        found[rest] = texts[rest].map(known).to_numpy(dtype="float64")
    return pd.Series(found, index=texts.index)


def has_digit(word: str) -> bool:
    """Whether a cell that is no number or moment may be one written wrongly; "#DIV/0!" is a spreadsheet's word."""
    return not word.startswith("#") and any(letter.isdigit() for letter in word)


def parse_timestamps(texts: "pd.Series", form: str | None = None) -> "pd.Series":
    """Moments as datetime64[us] in UTC without a zone, missing where a cell is neither ISO 8601 nor, if given, of ``form``."""
    import pandas as pd

    found = pd.to_datetime(texts, errors="coerce", format=form or "ISO8601", utc=True)
    return found.dt.tz_localize(None).astype("datetime64[us]")
