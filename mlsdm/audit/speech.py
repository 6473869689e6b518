"""The claims about the speech detector: the published rule on real texts.

The hand-made texts that the figures are stated of are not ours to pass on. Blocks of a child's
utterances stand for the telegraphic ones, and three kinds of text, each alike, for ordinary ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from mlsdm.audit.measured import Floats, Measured, Sample, repeated
from mlsdm.evidence import claims
from mlsdm.rng import generator
from mlsdm.speech import corpora
from mlsdm.speech.blocking import blocks, matched
from mlsdm.speech.detector import analyze_many
from mlsdm.streams.published import PUBLISHED_SEED

__all__ = ["speech"]

SIZE = 10  # utterances a block
OF_EACH = {"ten": 5, "hundred": 50}  # texts of either side, as stated
ORDINARY = ("news", "comments", "adults")
Judged = Mapping[str, Floats]  # of each kind (texts, 3): called telegraphic, called short, severity


def speech(seeds: Sequence[int]) -> dict[str, Measured]:
    """Measure the claims about telegraphic and ordinary texts, by id.

    Each seed cuts the recording into blocks anew, and draws as many texts as stated, none twice.
    The regenerated figure and the facts are over all texts.

    Raises
    ------
    DataError
        When a corpus is not installed; the error names the extra that brings it.
    """
    figures, facts = _over_all(_cut(PUBLISHED_SEED))
    drawn = [_samples(seed) for seed in seeds]
    return {
        id: repeated([samples[id] for samples in drawn], figures[id.rpartition(".")[2]], facts)
        for id in drawn[0]
    }


def _judge(texts: Sequence[str]) -> Floats:
    found = analyze_many(texts, "published")
    return found[["telegraphic", "short_sentences", "severity"]].to_numpy(np.float64)


@cache
def _written() -> Judged:
    """Judge what is no recording: once, for it is the same with every seed."""
    return {"news": _judge(corpora.prose()), "comments": _judge(corpora.comments())}


def _cut(seed: int) -> Judged:
    """Judge every text, the recording cut by a seed; `matched` has a text for each of the child."""
    child, adults = corpora.utterances("child"), corpora.utterances("adult")

    def rng() -> np.random.Generator:  # in one state each time: what is matched are these blocks
        return generator(seed, "splits")

    return {
        **_written(),
        "child": _judge(blocks(child, SIZE, rng())),
        "matched": _judge(matched(child, adults, SIZE, rng()).texts),
        "adults": _judge(blocks(adults, SIZE, rng())),
    }


def _over_all(judged: Judged) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures over all texts, each kind of ordinary text alike, and these by kind."""
    found, _, severity = judged["child"].mean(axis=0).tolist()
    alone = {kind: 1.0 - float(judged[kind][:, 0].mean()) for kind in ORDINARY}
    spared = sum(alone.values()) / len(alone)
    figures = {
        "true_positives": found,
        "true_negatives": spared,
        "accuracy": (found + spared) / 2,
        "severity": severity,
    }
    return figures, alone


def _samples(seed: int) -> dict[str, Sample]:
    """Return the samples of one seed for every claim about so many texts."""
    judged, rng = _cut(seed), generator(seed, "comments")
    samples = {
        f"speech.{name}.{measure}": sample
        for name, n in OF_EACH.items()
        for measure, sample in _drawn(
            judged, n, claims()[f"speech.{name}.true_negatives"].stated, rng
        ).items()
    }
    return {id: sample for id, sample in samples.items() if id in claims()}


def _drawn(judged: Judged, n: int, stated: float, rng: np.random.Generator) -> dict[str, Sample]:
    """Return the samples of `n` and `n` texts; `stated` is the share of true negatives."""

    def rows(kind: str, size: int) -> Floats:
        return judged[kind][rng.choice(len(judged[kind]), size, replace=False)]

    chosen = rng.choice(len(judged["child"]), n, replace=False)
    child, as_long = (judged[kind][chosen].mean(axis=0) for kind in ("child", "matched"))
    of_each = np.full(len(ORDINARY), n // len(ORDINARY))
    of_each[rng.permutation(len(ORDINARY))[: n % len(ORDINARY)]] += 1
    parts = [rows(kind, int(size)) for kind, size in zip(ORDINARY, of_each, strict=True)]
    ordinary, adults = np.concatenate(parts).mean(axis=0), rows("adults", n).mean(axis=0)

    # By the whole rule, and by its flag of short sentences alone.
    accuracy, by_length = ((child + 1.0 - ordinary) / 2)[:2].tolist()
    return {
        "true_positives": Sample(child[0], 1.0 - as_long[0], 1.0 - as_long[0] - stated),
        "true_negatives": Sample(1.0 - ordinary[0], 1.0 - adults[0], 1.0 - adults[0] - stated),
        "accuracy": Sample(accuracy, by_length, accuracy - by_length),
        "severity": Sample(child[2], as_long[2], child[2] - as_long[2]),
    }
