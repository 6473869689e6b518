"""The detector of telegraphic speech: short sentences, few function words, fragments."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from mlsdm.display import html_table
from mlsdm.errors import ParameterError, nearest
from mlsdm.parameters import Count, Parameters, Share, parameters
from mlsdm.speech.reading import READINGS, Read, Reading
from mlsdm.streams.texts import as_texts

__all__ = ["FLAGS", "Flag", "SpeechParams", "SpeechReport", "analyze", "analyze_many", "as_preset"]

Flag = Literal[
    "short_sentences",
    "low_function_words",
    "high_fragment_ratio",
    "empty_text",
    "no_sentence_boundaries",
    "unsupported_script",
]
FLAGS: tuple[Flag, ...] = get_args(Flag)
Floats = NDArray[np.float64]


@parameters
class SpeechParams(Parameters):
    """Parameters of the detector; the defaults are our own choice.

    Beyond each default threshold lies at most one in ten ordinary texts of a kind (news articles,
    comments, ten utterances of an adult to a child), on the half of them that notebook 11 does not
    judge the detector by; the one for function words was chosen anew, there, after a look at
    telegraphed articles of the other half. Shorter texts vary more: every answer of one word is
    telegraphic.

    Parameters
    ----------
    reading
        How a text is cut: ``"default"`` as English is written; ``"published"`` at stops and white
        space alone, with a list of 26 function words (MLSDM v1.2).
    min_sentence_length
        Average words a sentence below which the sentences are short.
    min_function_words
        Share of function words among all words below which they are too few.
    max_fragments
        Share of fragments among the sentences above which they are too many.
    fragment_length
        Words that a sentence must have not to be a fragment.
    """

    reading: Reading = "default"
    min_sentence_length: Annotated[float, Field(ge=0)] = 2.5
    min_function_words: Share = 0.25
    max_fragments: Share = 0.8
    fragment_length: Count = 4

    @classmethod
    def published(cls) -> Self:
        """Return the rule of the released code."""
        return cls(
            reading="published",
            min_sentence_length=6.0,
            min_function_words=0.15,
            max_fragments=0.5,
            fragment_length=4,
        )


@dataclass(frozen=True)
class SpeechReport:
    """What the detector says of one text; it describes a text and diagnoses nobody.

    Parameters
    ----------
    telegraphic
        Whether any flag is up that speaks of the text; `unsupported_script` does not.
    severity
        From 0 to 1: the mean of how far each measure lies beyond its threshold.
    average_sentence_length
        Words a sentence; like the two ratios, NaN for a text in a script that the rules do not
        know.
    function_word_ratio, fragment_ratio
        Share of function words among the words, of fragments among the sentences.
    flags
        Names out of `FLAGS`.
    """

    telegraphic: bool
    severity: float
    average_sentence_length: float
    function_word_ratio: float
    fragment_ratio: float
    flags: tuple[Flag, ...]

    def _repr_html_(self) -> str:
        shown = {**vars(self), "flags": ", ".join(self.flags) or "none"}
        return html_table("SpeechReport", ("of the text", "value"), list(shown.items()))


def analyze(text: str, preset: str | SpeechParams = "default") -> SpeechReport:
    """Return what the detector says of a text, in time that grows with its length alone.

    Parameters
    ----------
    text
        Any text; English is understood.
    preset
        ``"default"``, ``"published"``, or parameters of your own.

    Raises
    ------
    ParameterError
        When `text` is no text, or the preset is unknown.
    """
    if not isinstance(text, str):
        raise ParameterError(f"analyze.text: must be a text (got {type(text).__name__})")
    judged = _judged([text], as_preset("analyze.preset", preset))
    row = {name: column[0].item() for name, column in judged.items()}
    flags = tuple(flag for flag in FLAGS if row.pop(flag))
    return SpeechReport(**row, flags=flags)


def analyze_many(texts: Iterable[str], preset: str | SpeechParams = "default") -> pd.DataFrame:
    """Return what the detector says of many texts: a row each, a bool column for each flag.

    Parameters
    ----------
    texts
        Any number of texts.
    preset
        ``"default"``, ``"published"``, or parameters of your own.

    Raises
    ------
    DataError
        When `texts` is one text, or holds what is none.
    ParameterError
        When the preset is unknown.
    """
    params = as_preset("analyze_many.preset", preset)
    return pd.DataFrame(_judged(as_texts(texts, "analyze_many.texts"), params))


def as_preset(name: str, preset: Any) -> SpeechParams:
    """Return the parameters that a preset stands for, or refuse it in the name of `name`."""
    if isinstance(preset, SpeechParams):
        return preset
    presets = {"default": SpeechParams, "published": SpeechParams.published}
    if not isinstance(preset, str) or preset not in presets:
        raise ParameterError(f"{name}: {preset!r} is unknown{nearest(str(preset), presets)}")
    return presets[preset]()


def _judged(texts: list[str], params: SpeechParams) -> dict[str, NDArray[Any]]:
    """Read each text, and judge all of them at once."""
    read = READINGS[params.reading]
    columns = [_measured(read(text), params) for text in texts]
    average, function, fragments, supported = np.array(columns, dtype=np.float64).reshape(-1, 4).T
    spoken = supported == 1
    empty = np.array([not text.strip() for text in texts], dtype=bool)
    flags = {
        "short_sentences": average < params.min_sentence_length,
        "low_function_words": function < params.min_function_words,
        "high_fragment_ratio": fragments > params.max_fragments,
    }
    no_sentence = spoken & (average == 0)
    flags = {name: up & spoken & ~no_sentence for name, up in flags.items()}
    flags["empty_text"] = empty
    flags["no_sentence_boundaries"] = no_sentence & ~empty
    telegraphic = np.any(list(flags.values()), axis=0)
    severity = np.where(no_sentence, 1.0, _severity(average, function, fragments, params))
    return {
        "telegraphic": telegraphic,
        "severity": np.where(spoken, severity, 0.0),
        "average_sentence_length": average,
        "function_word_ratio": function,
        "fragment_ratio": fragments,
        **flags,
        "unsupported_script": ~spoken,
    }


def _measured(read: Read, params: SpeechParams) -> tuple[float, float, float, bool]:
    """Return the three measures of a text, and whether it could be read."""
    if not read.supported:
        return math.nan, math.nan, math.nan, False
    if not read.lengths.size:
        return 0.0, 0.0, 1.0, True
    words = int(read.lengths.sum())
    fragments = np.count_nonzero(read.lengths < params.fragment_length)
    n = read.lengths.size
    return words / n, read.function_words / words, fragments / n, True


def _severity(average: Floats, function: Floats, fragments: Floats, params: SpeechParams) -> Floats:
    """Return how far the three measures lie beyond their thresholds, on average; at most 1."""
    shorter = _beyond(params.min_sentence_length - average, params.min_sentence_length)
    fewer = _beyond(params.min_function_words - function, params.min_function_words)
    more = _beyond(fragments - params.max_fragments, 1.0 - params.max_fragments)
    return np.minimum(1.0, (shorter + fewer + more) / 3)


def _beyond(excess: Floats, scale: float) -> Floats:
    """Return what lies beyond a threshold, as a share of all that can; 0 where nothing can."""
    return np.maximum(0.0, excess) / scale if scale > 0 else np.zeros_like(excess)
