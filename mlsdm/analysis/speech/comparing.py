"""One preset against another, against length alone, and beside what was stated of the detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlsdm.analysis.speech.judging import CHILD, SCORES, Presets, judged, negatives_of, sides
from mlsdm.analysis.statistics import as_level
from mlsdm.checks import as_generator, as_whole
from mlsdm.evidence import claims
from mlsdm.speech.detector import SpeechParams
from mlsdm.streams.quality import auc, auc_interval
from mlsdm.streams.texts import as_texts

__all__ = ["advantage", "beside_stated", "beyond_length", "function_words_alone", "swept"]

ENOUGH = 5  # texts of each side, our own choice: of fewer the share of function words says nothing
Floats = NDArray[np.float64]


def advantage(
    table: pd.DataFrame,
    negatives: Sequence[str],
    rng: np.random.Generator,
    *,
    ours: str = "default",
    baseline: str = "published",
    level: float = 0.95,
    resamples: int = 2000,
) -> pd.DataFrame:
    """Compare two presets on the same texts; the texts of each kind are drawn again, in pairs.

    Parameters
    ----------
    table
        What `judged` returns of both.
    negatives
        The kinds to be left alone that count, each alike.
    rng
        Draws the resamples.
    ours, baseline
        The presets compared.
    level
        Level of the percentile interval, in (0, 1).
    resamples
        Bootstrap resamples.

    Returns
    -------
    DataFrame
        measure, kind, a column for each preset, their difference mean, low and high, and whether
        ours is better: whether the interval lies above 0. The measures are "balanced accuracy" and
        "auc" over all kinds alike, then "right" (the share of texts judged rightly) and "auc" of
        each kind.
    """
    level, draws = as_level("advantage.level", level), _Draws(rng, resamples)
    kinds = [CHILD, *negatives]
    measured: dict[str, dict[tuple[str, str], Floats]] = {}
    for preset in (baseline, ours):
        of_kind = {
            kind: table[(table["preset"] == preset) & (table["kind"] == kind)] for kind in kinds
        }
        right = {
            kind: draws.mean(kind, rows["telegraphic"].to_numpy() == (kind == CHILD))
            for kind, rows in of_kind.items()
        }
        severity = {kind: rows["severity"].to_numpy() for kind, rows in of_kind.items()}
        areas = {
            kind: draws.area(CHILD, -severity[CHILD], kind, -severity[kind]) for kind in negatives
        }
        others = np.mean([right[kind] for kind in negatives], axis=0)
        measured[preset] = {
            ("balanced accuracy", "all"): (right[CHILD] + others) / 2,
            ("auc", "all"): np.mean(list(areas.values()), axis=0),
            **{("right", kind): values for kind, values in right.items()},
            **{("auc", kind): values for kind, values in areas.items()},
        }
    rows = []
    for key, values in measured[ours].items():
        before = measured[baseline][key]
        difference = _interval(values - before, level)
        rows.append((*key, before[0], values[0], *difference, bool(difference[1] > 0)))
    columns = ["measure", "kind", baseline, ours, "mean", "low", "high", "better"]
    return pd.DataFrame(rows, columns=columns)


def beyond_length(
    table: pd.DataFrame, rng: np.random.Generator, level: float = 0.95, resamples: int = 2000
) -> pd.DataFrame:
    """Return by how much severity tells texts apart better than their sentences' length alone.

    Parameters
    ----------
    table
        What `judged` returns.
    rng
        Draws the resamples.
    level
        Level of the percentile interval, in (0, 1).
    resamples
        Bootstrap resamples.

    Returns
    -------
    DataFrame
        preset, kind, severity and length (the areas under their ROC curves), and their difference
        mean, low and high.
    """
    level, draws = as_level("beyond_length.level", level), _Draws(rng, resamples)
    rows = []
    for preset in table["preset"].unique():
        for kind in negatives_of(table):
            both, is_child = sides(table, preset, kind)
            areas = []
            for score in ("severity", "average_sentence_length"):
                values = SCORES[score] * both[score].to_numpy()
                areas.append(draws.area(CHILD, values[is_child], kind, values[~is_child]))
            severity, length = areas
            difference = _interval(severity - length, level)
            rows.append((preset, kind, severity[0], length[0], *difference))
    columns = ["preset", "kind", "severity", "length", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


class _Draws:
    """How often each text of a kind is in each resample; the first one is the sample itself.

    A kind is drawn once: that is what makes comparisons on its texts paired.
    """

    def __init__(self, rng: np.random.Generator, resamples: int) -> None:
        self.rng = as_generator("resamples.rng", rng)
        self.resamples = as_whole("resamples", resamples, 1)
        self.drawn: dict[str, Floats] = {}

    def _of(self, kind: str, n: int) -> Floats:
        if kind not in self.drawn:
            counts = self.rng.multinomial(n, np.full(n, 1 / n), self.resamples)
            self.drawn[kind] = np.vstack([np.ones(n), counts])
        return self.drawn[kind]

    def mean(self, kind: str, values: ArrayLike) -> Floats:
        """Return the mean of one value a text in each resample."""
        array = np.asarray(values, dtype=np.float64)
        return self._of(kind, len(array)) @ array / len(array)

    def area(self, kind: str, lower: Floats, other: str, higher: Floats) -> Floats:
        """Return the probability that the other kind's value is higher, ties counted half."""
        wins = np.sign(higher[None] - lower[:, None]) / 2 + 0.5
        weights = self._of(kind, len(lower)), self._of(other, len(higher))
        pairs = ((weights[0] @ wins) * weights[1]).sum(axis=1)
        return np.asarray(pairs / wins.size)


def _interval(values: Floats, level: float) -> tuple[float, float, float]:
    """Return the value of the sample, and the percentile interval of its resamples."""
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return float(values[0]), float(low), float(high)


def function_words_alone(
    child: Sequence[str], adult: Sequence[str], size: int, presets: Presets = ("default",)
) -> pd.DataFrame:
    """Return how well function words alone tell the child from adults at one sentence length.

    Parameters
    ----------
    child, adult
        Utterances. Those of one length, in words, that follow one another make the texts.
    size
        Utterances a text.
    presets
        Names of presets, or parameters by name; what counts is their reading.

    Returns
    -------
    DataFrame
        preset, words, child and adult (texts of each), auc of the share of function words, low and
        high (DeLong). Lengths of which either has fewer than five texts are left out.
    """
    size = as_whole("function_words_alone.size", size, 1)
    by_length: list[dict[int, list[str]]] = []
    for texts in (child, adult):
        of_length: dict[int, list[str]] = {}
        for text in as_texts(texts, "function_words_alone"):
            of_length.setdefault(len(text.split()), []).append(text)
        by_length.append({words: _joined(same, size) for words, same in of_length.items()})
    rows = []
    for words in sorted(by_length[0].keys() & by_length[1].keys()):
        kinds = {CHILD: by_length[0][words], "adult": by_length[1][words]}
        if min(map(len, kinds.values())) < ENOUGH:
            continue
        table = judged(kinds, presets)
        for preset in presets:
            both, is_child = sides(table, preset, "adult")
            values = both["function_word_ratio"].to_numpy()
            area = auc(is_child, values), *auc_interval(is_child, values)
            rows.append((preset, words, *map(len, kinds.values()), *area))
    columns = ["preset", "words", "child", "adult", "auc", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _joined(texts: list[str], size: int) -> list[str]:
    starts = range(0, len(texts) - size + 1, size)
    return [" ".join(texts[start : start + size]) for start in starts]


def swept(
    kinds: Mapping[str, Sequence[str]],
    negatives: Sequence[str],
    grids: Mapping[str, Sequence[float]],
    params: SpeechParams | None = None,
) -> pd.DataFrame:
    """Return what becomes of the errors where one threshold alone is moved.

    Parameters
    ----------
    kinds
        Texts by kind.
    negatives
        The kinds to be left alone that count, each alike.
    grids
        Values to try, by field of `SpeechParams`.
    params
        The other thresholds; by default the default ones.

    Returns
    -------
    DataFrame
        field, value, found (share of the child's texts flagged), left_alone (of the others not
        flagged, the mean over their kinds) and balanced_accuracy.
    """
    start = params or SpeechParams()
    wanted = {kind: kinds[kind] for kind in (CHILD, *negatives)}
    rows: list[tuple[Any, ...]] = []
    for field, values in grids.items():
        for value in values:
            table = judged(wanted, {"swept": start.replace({field: value})})
            flagged = table.groupby("kind")["telegraphic"].mean()
            found, alone = flagged[CHILD], 1.0 - flagged[list(negatives)].mean()
            rows.append((field, value, found, alone, (found + alone) / 2))
    columns = ["field", "value", "found", "left_alone", "balanced_accuracy"]
    return pd.DataFrame(rows, columns=columns)


def beside_stated(summary: pd.DataFrame, negatives: Sequence[str]) -> pd.DataFrame:
    """Return what was stated of hand-made texts beside the same measures on real ones.

    The stated figures are of other texts, which were never published: no row reproduces another.

    Parameters
    ----------
    summary
        What `judging.shares` returns.
    negatives
        Kinds to be left alone.

    Returns
    -------
    DataFrame
        id, statement and stated; real_texts, which the next are of; and a column for each preset.
    """
    means = summary.set_index(["preset", "kind", "measure"])["mean"]
    presets = list(summary["preset"].unique())
    rows = []
    for claim in claims().values():
        of_texts = claim.id.startswith(("speech.ten.", "speech.hundred."))
        measure = claim.id.rpartition(".")[2]
        if not of_texts:
            continue
        on_child = measure in ("true_positives", "severity")
        for kind in [CHILD] if on_child else negatives:
            found = []
            for preset in presets:
                right = 1.0 - means[preset, kind, "telegraphic"]
                of_child = means[preset, CHILD, "telegraphic"]
                values = {
                    "true_positives": of_child,
                    "true_negatives": right,
                    "accuracy": (of_child + right) / 2,
                    "severity": means[preset, CHILD, "severity"],
                }
                found.append(float(values[measure]))
            rows.append((claim.id, claim.statement, claim.stated, kind, *found))
    return pd.DataFrame(rows, columns=["id", "statement", "stated", "real_texts", *presets])
