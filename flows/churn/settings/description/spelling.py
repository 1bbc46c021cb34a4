"""The spellings of a level: values that differ only in case or blanks mean the same level."""

import unicodedata
from collections.abc import Mapping

_NO_WIDTH = "\u200b\u2060\ufeff"  # blanks that str.split does not recognise
BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + _NO_WIDTH
INVISIBLE = dict.fromkeys(map(ord, _NO_WIDTH), " ")


def tidy(text: str) -> str:
    """``text`` stripped, with each run of blanks of any kind as one blank."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(INVISIBLE)
    return " ".join(text.split())


def fold(text: str) -> str:
    """``tidy`` text, case-folded: 'YES ' and 'yes' are equal."""
    return tidy(text).casefold()


class Spellings:
    """The levels of one column by spelling.

    A spelling is matched by its ``fold``, or exactly if two spellings of different levels have the same fold.
    """

    def __init__(self, spellings: Mapping[str, str], fold_unknown: bool = False) -> None:
        """``spellings`` maps spellings to levels; an unknown spelling is folded if ``fold_unknown``, else kept."""
        self._known = {fold(text): level for text, level in spellings.items()}
        self._exact = clashes(spellings)
        if self._exact:
            self._known = dict(spellings)
        self._fold_unknown = fold_unknown

    def level(self, text: str) -> str:
        """The level that ``text`` spells."""
        key = text.strip(BLANKS) if self._exact else fold(text)
        return self._known.get(key, key if self._fold_unknown else text)


def clashes(spellings: Mapping[str, str]) -> bool:
    """Whether two spellings of different levels differ only in case or blanks."""
    folded: dict[str, str] = {}
    return any(folded.setdefault(fold(text), level) != level for text, level in spellings.items())
