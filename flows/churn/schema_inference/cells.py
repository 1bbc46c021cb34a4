"""What the cells of an unknown column are: words for 'missing', codes, levels, numbers and moments, and in which format.

Columns are given as ``counted`` gives them: distinct values (text) with how often they occur.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from churn.data import formats
from churn.data.formats import NumberFormat, Numeral
from churn.settings.spelling import fold, tidy

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "?")
LISTED = 30  # more levels than this are not written out, and so many different numbers are no levels
SAMPLE = 1000  # different cells by which a longer column is judged at first
MOST_WORDS = 5  # different ones among numbers or moments, or a tenth of these
CODE = re.compile(r"0\d+")  # the leading zeros of a postcode mean something
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
Format = TypeVar("Format")


def counted(values: "pd.Series") -> "pd.Series":
    """Distinct values as text with their counts; blank cells are missing."""
    from churn.data.casting import as_text

    return as_text(values).value_counts()


def spellings(counts: "pd.Series") -> dict[str, str]:
    """Each value with its level: of those that differ only in case or blanks the most frequent one."""
    chosen: dict[str, str] = {}
    often = dict(zip(counts.index.tolist(), counts.tolist(), strict=True))
    for text in sorted(often, key=lambda text: (-often[text], text)):
        chosen.setdefault(fold(text), tidy(text))
    return {text: chosen[fold(text)] for text in often}


def missing_words(counts: "pd.Series") -> set[str]:
    """Words for 'missing' in a column that otherwise holds numbers or moments."""
    found = {token for token in MISSING if token in counts.index}
    rest = counts.drop(list(found))
    return found if found and len(rest) and (numbers(rest) or moments(rest)) else set()


@dataclass(frozen=True)
class Reading(Generic[Format]):
    """How a column can be read: ``values`` by cell, in the first of ``formats``; in each other one the same cells would mean
    something else. ``words`` are the cells that cannot be read, with their counts.
    """

    values: "pd.Series"
    formats: tuple[Format, ...]
    words: "pd.Series"

    @property
    def format(self) -> Format:
        return self.formats[0]

    @property
    def clear(self) -> bool:
        return len(self.formats) == 1


def numbers(counts: "pd.Series", decimal: str = "") -> Reading[NumberFormat] | None:
    """The column read as numbers, if that is what it holds; None for codes, levels and texts.

    ``decimal`` is the mark that the rest of the file uses, where that is known: it decides what 1.234 means.
    """
    plain = formats.numbers(counts.index.to_series(), NumberFormat())
    if len(plain) and np.isfinite(plain).all() and (decimal == "." or not _unclear(counts.index)):
        codes = any(CODE.fullmatch(text) for text in counts.index)
        return None if codes else Reading(plain, (NumberFormat(),), counts[:0])
    if len(counts) > SAMPLE and len(_numerals(counts[:SAMPLE])[0]) < SAMPLE / 2:
        return None  # texts, of which a million would be looked at one by one
    numerals, units = _numerals(counts)
    if not numerals or any(CODE.fullmatch(part.digits) and not part.unit for part in numerals.values()):
        return None
    negative = next((part.minus for part in numerals.values() if part.minus not in ("", "minus")), "minus")
    tried = {
        form: {text: form.value(part) for text, part in numerals.items()}
        for form in (NumberFormat(*marks, units, negative) for marks in _marks(numerals.values()))
    }
    found = _best(counts, tried)
    if found is not None and len(found.formats) > 1 and decimal:
        return _best(counts, {form: values for form, values in tried.items() if form.decimal == decimal})
    return found


def mark(found: Reading[NumberFormat]) -> str:
    """The decimal mark that the column leaves no doubt about; "" if it has none."""
    form = found.format
    shown = form.thousands in (".", ",") or any(form.decimal in text for text in found.values.index)
    return form.decimal if found.clear and shown else ""


def _unclear(texts: "pd.Index[str]") -> bool:
    """Whether the points may be decimal ones or stand between thousands."""
    pointed = [text for text in texts if "." in text]
    return bool(pointed) and all(formats.UNCLEAR.fullmatch(text) for text in pointed)


def _numerals(counts: "pd.Series") -> tuple[dict[str, Numeral], tuple[str, ...]]:
    """The cells that are numbers with or without a unit, taken apart, and these units as they are written, the most frequent
    first: none, signs of money, per cent, or one word behind more numbers than levels would be.
    """
    found = {text: part for text in counts.index if (part := formats.numeral(text))}
    cells: dict[str, int] = {}
    written: dict[str, str] = {}
    for text, part in found.items():
        unit = fold(part.unit)
        cells[unit] = cells.get(unit, 0) + int(counts[text])
        written.setdefault(unit, part.unit)
    ordered = sorted(cells, key=lambda unit: (-cells[unit], unit))
    units = {unit: written[unit] for unit in ordered if _counts(unit)}
    if len(found) > LISTED and ordered[0] not in units:
        units = {unit: written[unit] for unit in ordered if not unit or same(unit, ordered[0])}
        found = {text: part for text, part in found.items() if not part.before}
    return {text: part for text, part in found.items() if fold(part.unit) in units}, tuple(units.values())


def _counts(unit: str) -> bool:
    return unit in ("", "%") or bool(MONEY.fullmatch(unit))


def same(unit: str, other: str) -> bool:
    """Whether two units are one word, as month and months."""
    one, two = fold(unit), fold(other)
    return bool(one and two) and (one.startswith(two) or two.startswith(one))


def _marks(numerals: Iterable[Numeral]) -> list[tuple[str, str]]:
    """The decimal marks and those for thousands that may be meant, the simplest first."""
    written = {mark for part in numerals for mark in part.digits if not mark.isdigit()}
    thousands = [mark for mark in ",. '" if any(re.fullmatch(formats.pattern(mark), letter) for letter in written)]
    decimals = ".," if written & {".", ","} else "."
    return [(decimal, mark) for mark in ("", *thousands) for decimal in decimals if decimal != mark]


def moments(counts: "pd.Series") -> Reading[str | None] | None:
    """The column read as dates or moments, if that is what it holds; the format None is ISO 8601."""
    texts = counts.index.to_series()
    texts = texts[texts.str.contains(r"\d\D+\d")]
    if texts.empty:
        return None
    shown, forms = texts.index[: 2 * MOST_WORDS], [date + time for date in DATES for time in TIMES]
    tried = [form for form in forms if any(_fits(text, form) for text in shown)]
    return _best(counts, {form: formats.moments(texts, form) for form in (None, *tried)})


def _fits(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _best(
    counts: "pd.Series", tried: "Mapping[Format, Mapping[str, float | None] | pd.Series]"
) -> Reading[Format] | None:
    """The formats that read the most cells, one for each meaning; None if they are too few for what they leave as words."""
    import pandas as pd

    found = {form: pd.Series(values).dropna() for form, values in tried.items()}
    most = max(len(values) for values in found.values())
    chosen: list[Format] = []
    for form, values in found.items():
        if len(values) == most and not any(values.equals(found[other]) for other in chosen):
            chosen.append(form)
    values = found[chosen[0]]
    words = counts.drop(values.index)
    return Reading(values, tuple(chosen), words) if _enough(counts, words) else None


def _enough(counts: "pd.Series", words: "pd.Series") -> bool:
    """Whether a column is what most of its cells can be read as, and not levels of which some are digits."""
    read = len(counts) - len(words)
    if words.empty or read < 3:
        return words.empty
    few = len(words) <= max(MOST_WORDS, read / 10)
    if read > LISTED:
        return few
    return few and words.sum() <= counts.sum() / 2 and not any(map(formats.has_digit, words.index))


def mixed(counts: "pd.Series") -> str:
    """What most of many different values look like, that cannot be read in one format or unit: "numbers", "dates" or ""."""
    texts = counts.index[:SAMPLE].tolist()
    if len(counts) <= LISTED or any(map(CODE.fullmatch, texts)):
        return ""
    parts = [part for text in texts if (part := formats.numeral(text)) and not part.before and len(part.unit) != 1]
    dates = [text for text in texts if re.match(r"\d{1,4}[-./ ]\w{1,9}[-./ ]\d{2,4}\b", text)]
    found, what = max((len(dates), "dates"), (len(parts), "numbers"))
    return what if found >= len(texts) / 2 else ""
