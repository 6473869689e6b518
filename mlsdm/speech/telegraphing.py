"""Ordinary text made telegraphic to a known degree."""

from __future__ import annotations

import re

import numpy as np

from mlsdm.checks import as_generator
from mlsdm.engine.inputs import as_fraction
from mlsdm.errors import ParameterError
from mlsdm.speech.reading import is_function_word

__all__ = ["telegraph"]

LEFT = 3  # at most so many other words does a sentence keep that is cut
_WORD = re.compile(r"\s*\S+")
_CORE = re.compile(r"[^\W_](?:.*[^\W_])?")


def telegraph(text: str, dose: float, rng: np.random.Generator) -> str:
    """Return a text from which function words and ends of sentences are left out.

    Each function word is left out with the probability `dose`. With the same probability, sentence
    by sentence, everything is left out behind its first few words that are no function words: one
    to three, drawn. A sentence ends at a word with a stop. From generators in the same state, a
    higher dose leaves out what a lower one does, and more.

    Parameters
    ----------
    text
        Any text, best in whole sentences.
    dose
        From 0, the text as it is, to 1, no function word and no more than three words a sentence.
    rng
        Draws what is left out; how much it draws depends on the text alone.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    if not isinstance(text, str):
        raise ParameterError(f"telegraph.text: must be a text (got {text!r})")
    dose = as_fraction("telegraph.dose", dose)
    rng = as_generator("telegraph.rng", rng)
    words = _WORD.findall(text)
    chances = rng.random(len(words))
    sentence: list[tuple[str, float]] = []
    written: list[str] = []
    for word, chance in zip(words, chances.tolist(), strict=True):
        sentence.append((word, chance))
        if _stop(word):
            written += _shortened(sentence, dose, rng)
            sentence = []
    if sentence:
        written += _shortened(sentence, dose, rng)
    end = text[len(text.rstrip()) :]
    return "".join(written) + end


def _shortened(
    sentence: list[tuple[str, float]], dose: float, rng: np.random.Generator
) -> list[str]:
    """Return what a sentence keeps of its words, each with the space before it."""
    cut, most = rng.random() < dose, int(rng.integers(1, LEFT + 1))
    kept, others = [], 0
    for word, chance in sentence:
        core = _CORE.search(word)
        functional = core is not None and is_function_word(core.group())
        # The place of the cut is no matter of the dose: so a higher one takes nothing back.
        if not (cut and others >= most) and not (functional and chance < dose):
            kept.append(word)
        others += core is not None and not functional
    if not kept or len(kept) == len(sentence):
        return kept
    first, last = sentence[0][0], sentence[-1][0]
    if kept[0] is not first:
        space = first[: len(first) - len(first.lstrip())]
        kept[0] = space + _capital(kept[0].lstrip())
    if kept[-1] is not last:
        kept[-1] = kept[-1].rstrip(",;:-–—") + _stop(last)
    return kept


def _stop(word: str) -> str:
    """Return the stop at the end of a word, with the quotes and brackets behind it; or nothing."""
    closed = word.rstrip("\"'”’»)]")
    bare = closed.rstrip(".!?…")
    return "" if len(bare) == len(closed) else word[len(bare) :]


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]
