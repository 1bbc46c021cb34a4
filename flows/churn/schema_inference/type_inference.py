"""Infers what an unknown column holds: words for 'missing', codes, levels, numbers or timestamps, and their format.

Columns are given as ``value_counts`` returns them: distinct values (text) with their frequencies.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from churn.data import formats
from churn.data.formats import NumberFormat, Numeral
from churn.settings.description.spelling import fold, tidy

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "?")
LISTED = 30  # levels to list, at most; more distinct numbers than this are not levels
SAMPLE = 1000  # distinct values from which a longer column is first assessed
MOST_WORDS = 5  # distinct words allowed among numbers or timestamps, or a tenth of those if more
CODE = re.compile(r"0\d+")  # a postcode's leading zeros are significant
MONEY = re.compile(  # signs and codes of currencies, folded
    r"[a-z]{0,2}[$€£¥₹]|aud|brl|cad|chf|cny|czk|dkk|eur|gbp|huf|inr|jpy|krw|mxn|nok|nzd|pln|rub|sek|sgd|try|usd|zar|"
    r"kr\.?|zł|kč|ft|rs\.?|fr\."
)
DATES = (
    *("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y"),
    *("%m-%d-%y", "%y-%m-%d", "%d %m %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
    *("%b %d %Y", "%B %d %Y", "%d. %m. %Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S", ", %H:%M", " %I:%M %p", " %I:%M:%S %p")
PACKED = {  # dates and months without separators, 20231022 and 202310, and how many distinct ones prove it
    "%Y%m%d": (re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"), 3),
    "%Y%m": (re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])"), 6),
}
NO_DATE = re.compile(r"0+|9{6,}|99991231")  # placeholder for an unknown date
EPOCH = {"seconds": 1, "milliseconds": 1000}  # since 1970, in these units
SENTINEL = re.compile(r"-(1|9+)|9{2,}")  # numbers that often stand for "not known"
Format = TypeVar("Format")


def value_counts(values: "pd.Series") -> "pd.Series":
    """Distinct values as text with their frequencies, most frequent first; blank values count as missing."""
    from churn.data.casting import as_text

    return as_text(values).value_counts()


def spellings(counts: "pd.Series") -> dict[str, str]:
    """The level of each value: the most frequent among the values that differ only in case or blanks."""
    chosen: dict[str, str] = {}
    often = dict(zip(counts.index.tolist(), counts.tolist(), strict=True))
    for text in sorted(often, key=lambda text: (-often[text], text)):
        chosen.setdefault(fold(text), tidy(text))
    return {text: chosen[fold(text)] for text in often}


def missing_words(counts: "pd.Series") -> set[str]:
    """The words for 'missing' in a column that otherwise holds numbers or timestamps."""
    present = {token for token in MISSING if token in counts.index}
    rest = counts.drop(list(present))
    return present if present and len(rest) and (infer_numbers(rest) or infer_timestamps(rest)) else set()


@dataclass(frozen=True)
class Interpretation(Generic[Format]):
    """The ways to read a column.

    ``values`` maps each text to its value in the first of ``formats``; every other format gives the same texts another meaning.
    ``words`` are the unreadable texts, with their frequencies.
    """

    values: "pd.Series"
    formats: tuple[Format, ...]
    words: "pd.Series"

    @property
    def format(self) -> Format:
        """The first format."""
        return self.formats[0]

    @property
    def clear(self) -> bool:
        """Whether there is only one format."""
        return len(self.formats) == 1


def infer_numbers(counts: "pd.Series", decimal: str = "") -> Interpretation[NumberFormat] | None:
    """The column read as numbers, or None for codes, levels and text.

    ``decimal`` is the decimal mark of the rest of the file, if known; it decides what 1.234 means.
    """
    plain = formats.parse_numbers(counts.index.to_series(), NumberFormat())
    if len(plain) and np.isfinite(plain).all() and (decimal == "." or not _unclear(counts.index)):
        codes = any(CODE.fullmatch(text) for text in counts.index)
        return None if codes else Interpretation(plain, (NumberFormat(),), counts[:0])
    if len(counts) > SAMPLE and len(_numerals(counts[:SAMPLE])[0]) < SAMPLE / 2:
        return None  # text: parsing a million values one by one would be too slow
    numerals, units = _numerals(counts)
    if not numerals or any(CODE.fullmatch(part.digits) and not part.unit for part in numerals.values()):
        return None
    negative = next((part.minus for part in numerals.values() if part.minus not in ("", "minus")), "minus")
    tried = {
        form: {text: form.value(part) for text, part in numerals.items()}
        for form in (NumberFormat(*marks, units, negative) for marks in _marks(numerals.values()))
    }
    best = _best(counts, tried)
    if best is not None and len(best.formats) > 1 and decimal:
        return _best(counts, {form: values for form, values in tried.items() if form.decimal == decimal})
    return best


def decimal_mark(column: Interpretation[NumberFormat]) -> str:
    """The decimal mark of a column that can be read in only one way; "" if it has none."""
    form = column.format
    visible = form.thousands in (".", ",") or any(form.decimal in text for text in column.values.index)
    return form.decimal if column.clear and visible else ""


def _unclear(texts: "pd.Index[str]") -> bool:
    """Whether the points could be either decimal points or thousands separators."""
    pointed = [text for text in texts if "." in text]
    return bool(pointed) and all(formats.UNCLEAR.fullmatch(text) for text in pointed)


def _numerals(counts: "pd.Series") -> tuple[dict[str, Numeral], tuple[str, ...]]:
    """The texts that are numbers, with or without a unit, split into parts, and their units, most frequent first.

    A unit is empty, a currency, per cent, or one word that follows more distinct numbers than levels would have.
    """
    parts = {text: part for text in counts.index if (part := formats.numeral(text))}
    rows: dict[str, int] = {}
    written: dict[str, str] = {}
    for text, part in parts.items():
        unit = fold(part.unit)
        rows[unit] = rows.get(unit, 0) + int(counts[text])
        written.setdefault(unit, part.unit)
    by_frequency = sorted(rows, key=lambda unit: (-rows[unit], unit))
    units = {unit: written[unit] for unit in by_frequency if _counts(unit)}
    if len(parts) > LISTED and by_frequency[0] not in units:
        units = {unit: written[unit] for unit in by_frequency if not unit or same_unit(unit, by_frequency[0])}
        parts = {text: part for text, part in parts.items() if not part.before}
    return {text: part for text, part in parts.items() if fold(part.unit) in units}, tuple(units.values())


def _counts(unit: str) -> bool:
    return unit in ("", "%") or bool(MONEY.fullmatch(unit))


def same_unit(unit: str, other: str) -> bool:
    """Whether two units are forms of one word, such as month and months."""
    one, two = fold(unit), fold(other)
    return bool(one and two) and (one.startswith(two) or two.startswith(one))


def _marks(numerals: Iterable[Numeral]) -> list[tuple[str, str]]:
    """The possible pairs of decimal mark and thousands separator, simplest first."""
    written = {mark for part in numerals for mark in part.digits if not mark.isdigit()}
    thousands = [mark for mark in ",. '" if any(re.fullmatch(formats.pattern(mark), letter) for letter in written)]
    decimals = ".," if written & {".", ","} else "."
    return [(decimal, mark) for mark in ("", *thousands) for decimal in decimals if decimal != mark]


def infer_timestamps(counts: "pd.Series") -> Interpretation[str | None] | None:
    """The column read as dates or timestamps, or None; the format None is ISO 8601."""
    texts = counts.index.to_series()
    texts = texts[texts.str.contains(r"\d\D+\d")]
    if texts.empty:
        return None
    sample, forms = texts.index[: 2 * MOST_WORDS], [date + time for date in DATES for time in TIMES]
    tried = [form for form in forms if any(_fits(text, form) for text in sample)]
    return _best(counts, {form: formats.parse_timestamps(texts, form) for form in (None, *tried)})


def _fits(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _best(
    counts: "pd.Series", tried: "Mapping[Format, Mapping[str, float | None] | pd.Series]"
) -> Interpretation[Format] | None:
    """The formats that read the most texts, one for each meaning; None if they leave too many texts unread."""
    import pandas as pd

    readings = {form: pd.Series(values).dropna() for form, values in tried.items()}
    most = max(len(values) for values in readings.values())
    chosen: list[Format] = []
    for form, values in readings.items():
        if len(values) == most and not any(values.equals(readings[other]) for other in chosen):
            chosen.append(form)
    values = readings[chosen[0]]
    words = counts.drop(values.index)
    return Interpretation(values, tuple(chosen), words) if _enough(counts, words) else None


def _enough(counts: "pd.Series", words: "pd.Series") -> bool:
    """Whether so few texts are ``words`` that the column cannot be levels that happen to include digits."""
    read = len(counts) - len(words)
    if words.empty or read < 3:
        return words.empty
    few = len(words) <= max(MOST_WORDS, read / 10)
    if read > LISTED:
        return few
    return few and words.sum() <= counts.sum() / 2 and not any(map(formats.has_digit, words.index))


def packed_dates(counts: "pd.Series", inferred: Interpretation[NumberFormat]) -> Interpretation[str | None] | None:
    """Numbers such as 20231022 or 202310 read as dates of 1900 to 2099; None unless all are, save those of NO_DATE."""
    texts = inferred.values.index[[not NO_DATE.fullmatch(text) for text in inferred.values.index]]
    for form, (written, least) in PACKED.items():
        if len(texts) >= least and all(map(written.fullmatch, texts)):
            dates = formats.parse_timestamps(texts.to_series(), form)
            return None if dates.isna().any() else Interpretation(dates, (form,), counts.drop(texts))
    return None


def epoch_unit(values: "pd.Series") -> str:
    """The EPOCH unit that puts all whole numbers, more than LISTED, in the years 2000 to 2034; "" if there is none."""
    if len(values) <= LISTED or (values % 1 != 0).any():
        return ""
    low, high = values.min(), values.max()
    return next((unit for unit, n in EPOCH.items() if 946_684_800 * n <= low and high < 2_051_222_400 * n), "")


def sentinels(counts: "pd.Series", values: "pd.Series") -> list[str]:
    """The texts of ``values`` that may stand for "not known": repeated -1 or nines far from all other numbers.

    That is, below 0 where nothing else is, or further above the largest other number than that is above the smallest.
    """
    suspected = values[[value % 1 == 0 and bool(SENTINEL.fullmatch(f"{value:.0f}")) for value in values]]
    others = values.drop(suspected.index)
    if others.nunique() <= 2:
        return []
    low, high = others.min(), others.max()
    apart = suspected[(suspected < 0) & (low >= 0) | (suspected - high > high - low)]
    return [text for text in apart.index if counts[text] > 1]


def mixed_formats(counts: "pd.Series") -> str:
    """What most of many distinct values without a common format or unit look like: "numbers", "dates" or ""."""
    texts = counts.index[:SAMPLE].tolist()
    if len(counts) <= LISTED or any(map(CODE.fullmatch, texts)):
        return ""
    parts = [part for text in texts if (part := formats.numeral(text)) and not part.before and len(part.unit) != 1]
    dates = [text for text in texts if re.match(r"\d{1,4}[-./ ]\w{1,9}[-./ ]\d{2,4}\b", text)]
    count, what = max((len(dates), "dates"), (len(parts), "numbers"))
    return what if count >= len(texts) / 2 else ""
