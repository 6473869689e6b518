"""Texts of several utterances each, and a control with the same sentence lengths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlsdm.checks import as_generator, as_whole
from mlsdm.errors import DataError
from mlsdm.streams.texts import as_texts

__all__ = ["Matched", "blocks", "matched"]


@dataclass(frozen=True)
class Matched:
    """Blocks of other utterances with the sentence lengths of given blocks.

    Parameters
    ----------
    texts
        A text for each block.
    exact
        Share of the utterances that have just the wanted number of words; the others have the
        nearest there is.
    uses
        How often an utterance that was drawn was drawn, on average; 1 means no repetition.
    """

    texts: tuple[str, ...]
    exact: float
    uses: float


def blocks(texts: Sequence[str], size: int, rng: np.random.Generator) -> list[str]:
    """Return texts of `size` utterances each that were said in a row, none of them in two.

    Parameters
    ----------
    texts
        Utterances in their order.
    size
        Utterances a block.
    rng
        Draws where the first block begins, among the utterances that are too many.

    Raises
    ------
    ParameterError
        When `size` is not at least 1.
    DataError
        When the utterances are no texts, or too few for one block.
    """
    return [" ".join(block) for block in _parted("blocks", texts, size, rng)]


def matched(
    texts: Sequence[str], others: Sequence[str], size: int, rng: np.random.Generator
) -> Matched:
    """Return blocks of `others` with the sentence lengths, in words, of the `blocks` of `texts`.

    For each utterance one of the same number of words is drawn, or where there is none, of the
    nearest. Of those, none is drawn again before all have been.

    Parameters
    ----------
    texts
        Utterances whose blocks are matched; with a generator in the same state, `blocks` gives
        these very blocks.
    others
        Utterances to draw from.
    size
        Utterances a block.
    rng
        Draws the blocks, then the utterances.

    Raises
    ------
    ParameterError
        When `size` is not at least 1.
    DataError
        When the utterances are no texts, or too few for one block.
    """
    parted = _parted("matched", texts, size, rng)
    by_length: dict[int, list[str]] = defaultdict(list)
    for other in as_texts(others, "matched.others"):
        by_length[len(other.split())].append(other)
    if not by_length:
        raise DataError("matched.others: must hold at least one utterance (got none)")
    dealt = {length: _deal(same, rng) for length, same in sorted(by_length.items())}

    exact, drawn, found = 0, set[tuple[int, int]](), []
    for block in parted:
        row = []
        for text in block:
            wanted = len(text.split())
            length = min(by_length, key=lambda known: (abs(known - wanted), known))
            place = next(dealt[length])
            exact += length == wanted
            drawn.add((length, place))
            row.append(by_length[length][place])
        found.append(" ".join(row))
    n = len(parted) * size
    return Matched(tuple(found), exact / n, n / len(drawn))


def _parted(
    owner: str, texts: Sequence[str], size: int, rng: np.random.Generator
) -> list[list[str]]:
    rng, size = as_generator(f"{owner}.rng", rng), as_whole(f"{owner}.size", size, 1)
    said = as_texts(texts, f"{owner}.texts")
    if len(said) < size:
        raise DataError(f"{owner}.texts: must hold at least {size} utterances (got {len(said)})")
    first = int(rng.integers(len(said) % size + 1))
    return [said[start : start + size] for start in range(first, len(said) - size + 1, size)]


def _deal(texts: Sequence[str], rng: np.random.Generator) -> Iterator[int]:
    """Yield the places of texts without end, each once before any comes again."""
    while True:
        yield from rng.permutation(len(texts)).tolist()
