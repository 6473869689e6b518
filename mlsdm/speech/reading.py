"""How a text is cut into sentences and words, and which of them are function words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from mlsdm.citing import cites

__all__ = ["READINGS", "Read", "Reading", "function_words"]

Reading = Literal["published", "default"]


class Read(NamedTuple):
    """What is counted of one text.

    `lengths` are the words of each sentence, (sentences,) int64; a sentence has at least one.
    """

    lengths: NDArray[np.int64]
    function_words: int
    supported: bool  # whether the rules know the script that most letters belong to


@cache
@cites("huddleston2002")
def function_words(reading: Reading = "default") -> frozenset[str]:
    """Return the function words, in lower case: the 26 of the released code, or all we know.

    The closed classes of English are those of Huddleston & Pullum 2002 (10.1017/9781316423530).
    """
    content = files("mlsdm.speech").joinpath("function_words.toml").read_text(encoding="utf-8")
    classes: dict[str, list[str]] = tomllib.loads(content)
    published = classes.pop("published")
    if reading == "published":
        return frozenset(published)
    return frozenset(word for words in classes.values() for word in words)


def is_function_word(word: str) -> bool:
    """Return whether a word, of any case, is one of a closed class, or a contraction of such."""
    plain = word.lower().replace("’", "'")
    known = function_words()
    if plain in known:
        return True
    base, apostrophe, rest = plain.rpartition("'")
    if not apostrophe:
        return False
    return (rest == "t" and base.endswith("n")) or (rest in _CLITICS and base in known)


_CLITICS = {"s", "m", "re", "ve", "ll", "d"}
_STOPS = re.compile(r"[.!?]+")

# Each alternative without a way back, so that the time grows with the length alone.
_PIECE = regex.compile(
    r"""(?P<latin>\p{Latin}[\p{L}\p{N}\p{M}]*+)
      | (?P<other>[\p{L}\p{N}][\p{L}\p{N}\p{M}]*+)
      | (?P<stop>[.!?…]++)
      | (?P<line>\n[^\S\n]*+(?=\n|[-*•][^\S\n]))""",
    regex.VERBOSE,
)
_CLOSING = regex.compile(r"""["'”’»)\]]*+""")
_JOINING = frozenset("'’-‐‑")
LONGEST = 16  # letters of an abbreviation, or of the number of an item
# Before a capital these may end a sentence, as may letters with points between (U.S., p.m.); the
# others never do.
_MAY_END = frozenset(["etc", "inc", "ltd", "co", "corp", "jr", "sr"])
_ABBREVIATIONS = _MAY_END.union(
    ["mr", "mrs", "ms", "messrs", "dr", "prof", "rev", "hon", "gen", "col", "capt", "lt", "sgt"],
    ["gov", "sen", "rep", "pres", "st", "mt", "ph", "vs", "v", "cf", "e.g", "i.e", "viz", "al"],
    ["dept", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"],
)
# Before a number these are abbreviations, and elsewhere words that may end a sentence.
_OF_NUMBERS = frozenset(["no", "nos", "fig", "figs", "vol", "pp", "ed", "est", "ca", "approx"])


def published(text: str) -> Read:
    """Read a text as the released code does: stops end sentences, white space ends words."""
    known = function_words("published")
    sentences = [piece.split() for piece in _STOPS.split(text.lower())]
    lengths = [len(words) for words in sentences if words]
    found = sum(word in known for words in sentences for word in words)
    return Read(np.array(lengths, dtype=np.int64), found, supported=True)


def default(text: str) -> Read:
    """Read a text as English is written, whatever is in it.

    Punctuation is no part of a word. Points in decimals, after abbreviations, initials and the
    number of a list's item end no sentence, nor does "No." before a number; three points, or a stop
    within quotes, do before a capital only; a blank line and the start of an item do.
    """
    lengths: list[int] = []
    words = found = latin = letters = 0
    last, waiting = "", ""  # the word before; what a stop needs behind it to end the sentence
    for kind, start, end in _tokens(text):
        ends = kind == "line"
        if kind == "stop":
            ends, waiting = _ends(text, start, end, last, words)
        elif kind != "line":
            last = text[start:end]
            ends = _SUCH[waiting](text[start])
        if ends and words:
            lengths.append(words)
            words = 0
        if kind in ("latin", "other"):
            waiting = ""
            words += 1
            found += is_function_word(last)
            if not last[0].isdigit():
                letters += end - start
                latin += end - start if kind == "latin" else 0
    if words:
        lengths.append(words)
    return Read(np.array(lengths, dtype=np.int64), found, supported=2 * latin >= letters)


def _tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the words, stops and ends of lines of a text, with their places."""
    kind, start, end = "", 0, 0  # the word that is being put together
    for piece in _PIECE.finditer(text):
        first, behind = piece.span()
        if kind and piece.lastgroup == "stop":
            if first == end and behind == end + 1 and _is_joint(text, end):
                continue
        elif kind and piece.lastgroup != "line" and first <= end + 1:
            between = text[end:first]
            digits = text[end - 1].isdigit() and text[first].isdigit()
            if not between or between in _JOINING or between == "." or (between == "," and digits):
                end = behind
                continue
        if kind:
            yield kind, start, end
            kind = ""
        assert piece.lastgroup is not None
        if piece.lastgroup in ("stop", "line"):
            yield piece.lastgroup, first, behind
        else:
            kind, start, end = piece.lastgroup, first, behind
    if kind:
        yield kind, start, end


def _is_joint(text: str, point: int) -> bool:
    """Return whether a point stands within a number, or between single letters as in U.S."""
    before, after = text[max(point - 2, 0) : point], text[point + 1 : point + 3]
    if not after[:1].isalnum():
        return False
    if before[-1].isdigit() and after[0].isdigit():
        return True
    single = before[-1].isalpha() and not before[:-1].isalnum()
    return single and after[0].isalpha() and not after[1:].isalnum()


_SUCH: dict[str, Callable[[str], bool]] = {
    "": lambda letter: False,
    "capital": str.isupper,
    "no number": lambda letter: not letter.isdigit(),
}


def _ends(text: str, start: int, end: int, last: str, words: int) -> tuple[bool, str]:
    """Return whether a stop ends the sentence, or else what must follow for it to do so.

    The sentence has so many words so far, the last of which is given.
    """
    if not words:
        return False, ""
    closing = _CLOSING.match(text, end)
    behind = closing.end() if closing else end
    after = text[behind : behind + 1]
    if text[start:end] == ".":
        short = last if len(last) <= LONGEST else ""  # else every stop would read a long word again
        plain = short.lower()
        if plain in _ABBREVIATIONS:
            return False, "capital" if plain in _MAY_END else ""
        if plain in _OF_NUMBERS:
            return False, "no number"
        if "." in short and short[0].isalpha():
            return False, "capital"
        initial = len(short) == 1 and short.isupper() and short != "I"
        if initial or (words == 1 and short.isdigit()):  # the latter is the number of an item
            return False, ""
        if after and not after.isspace() and not (after.isupper() and len(last) > 1):
            return False, ""
        paused = False
    else:
        paused = set(text[start:end]) <= {".", "…"}
    waiting = paused or behind > end
    return not waiting, "capital" if waiting else ""


READINGS = {"published": published, "default": default}
