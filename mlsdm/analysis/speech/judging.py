"""Real texts by kind, what presets say of them, and how well that tells a child's from the others.

A text of a child is what should be found; every other kind of text should be left alone. The unit
of all intervals is the text; those of one recording come from one family, so that none of them
says anything about other speakers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.analysis.significance import paired_improvement
from mlsdm.analysis.statistics import summarise
from mlsdm.checks import as_generator, as_whole
from mlsdm.errors import ParameterError
from mlsdm.speech import corpora
from mlsdm.speech.blocking import blocks, matched
from mlsdm.speech.detector import FLAGS, SpeechParams, analyze_many
from mlsdm.streams.quality import auc, auc_interval, calibration, roc

__all__ = [
    "CHILD", "PRESETS", "SCORES", "Presets", "Texts", "curves", "discrimination", "judged",
    "negatives_of", "real_texts", "reliability", "shares", "sides",
]  # fmt: skip

CHILD = "child"
PRESETS = ("published", "default")
Presets = Mapping[str, SpeechParams] | Sequence[str]
SCORES = {
    "severity": -1.0,
    "average_sentence_length": 1.0,
    "function_word_ratio": 1.0,
    "fragment_ratio": -1.0,
}
"""What a text can be judged by, and the sign that makes more of it more ordinary."""


class Texts(NamedTuple):
    """Real texts by kind, and how well the lengths of a control match the child's.

    `exact` and `uses` are those of `mlsdm.speech.blocking.Matched`.
    """

    kinds: dict[str, list[str]]
    exact: float
    uses: float


def real_texts(
    size: int,
    n_comments: int,
    rng: np.random.Generator,
    half: corpora.Half | None = "evaluation",
) -> Texts:
    """Return real texts by kind: ``"child"`` first, then what should be left alone.

    Parameters
    ----------
    size
        Utterances, or noun phrases, a text.
    n_comments
        Comments to draw.
    rng
        Draws comments, and where blocks begin.
    half
        The half of each corpus to take; the detector's defaults were chosen on "calibration".

    Raises
    ------
    ParameterError
        When an argument is not allowed, or there are fewer comments than wanted.
    DataError
        When a corpus is not installed, or too small for one text.
    """
    child, adult = (corpora.utterances(speaker, half) for speaker in ("child", "adult"))
    everything = corpora.comments(half)
    n_comments = as_whole("real_texts.n_comments", n_comments, 2)
    if n_comments > len(everything):
        raise ParameterError(
            f"real_texts.n_comments: must be at most {len(everything)} (got {n_comments})"
        )
    seed = int(as_generator("real_texts.rng", rng).integers(2**63))
    # Twice the same draw: it is the blocks of the one whose lengths the other matches.
    spoken = blocks(child, size, np.random.default_rng(seed))
    control = matched(child, adult, size, np.random.default_rng(seed))
    drawn = rng.choice(len(everything), n_comments, replace=False)
    names = corpora.fragments(half)
    kinds = {
        CHILD: spoken,
        "adult": blocks(adult, size, rng),
        "adult, same lengths": list(control.texts),
        "news": corpora.prose(half),
        "comments": [everything[row] for row in drawn],
        "noun phrases": blocks([f"{name}." for name in names], size, rng),
        "list of phrases": [
            "\n".join(f"- {name}" for name in names[start : start + size])
            for start in range(0, len(names) - size + 1, size)
        ],
    }
    return Texts(kinds, control.exact, control.uses)


def judged(
    kinds: Mapping[str, Iterable[str]],
    presets: Presets = PRESETS,
) -> pd.DataFrame:
    """Return what each preset says of each text: columns preset, kind, text, and its report's.

    Parameters
    ----------
    kinds
        Texts by kind.
    presets
        Names of presets, or parameters by name.

    Raises
    ------
    ParameterError
        When a preset is unknown.
    """
    known = presets if isinstance(presets, Mapping) else {name: name for name in presets}
    tables = []
    for name, preset in known.items():
        for kind, texts in kinds.items():
            table = analyze_many(texts, preset)
            table.insert(0, "text", range(len(table)))
            table.insert(0, "kind", kind)
            table.insert(0, "preset", name)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def shares(
    table: pd.DataFrame, rng: np.random.Generator, by: Sequence[str] = ("preset", "kind")
) -> pd.DataFrame:
    """Return per group the shares of texts flagged, and the mean severity.

    Parameters
    ----------
    table
        What `judged` or `dose_response` returns.
    rng
        Draws the resamples of the mean severity's interval; those of shares are Wilson's, which
        stay apart where no text or each is flagged.
    by
        Columns that make a group.

    Returns
    -------
    DataFrame
        `by`, measure ("severity", "telegraphic" or a flag), mean, low, high and n.
    """
    rows = []
    for key, group in table.groupby(list(by), sort=False):
        for measure in ("telegraphic", *FLAGS):
            found = paired_improvement(np.where(group[measure], 1.0, -1.0))
            cells = {**dict(zip(by, key, strict=True)), "measure": measure}
            rows.append(cells | found._asdict())
    severity = summarise(table, list(by), ["severity"], rng)
    return pd.concat([severity, pd.DataFrame(rows)], ignore_index=True)


def sides(
    table: pd.DataFrame, preset: object, kind: object
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Return the rows of the child's texts and of a kind under a preset, and which are hers."""
    both = table[(table["preset"] == preset) & table["kind"].isin([CHILD, kind])]
    return both, (both["kind"] == CHILD).to_numpy()


def negatives_of(table: pd.DataFrame) -> list[str]:
    """Return the kinds of texts that should be left alone, in their order."""
    return [kind for kind in table["kind"].unique() if kind != CHILD]


def discrimination(table: pd.DataFrame) -> pd.DataFrame:
    """Return how well severity, and each measure by itself, tells the child's texts from others.

    Parameters
    ----------
    table
        What `judged` returns.

    Returns
    -------
    DataFrame
        preset, kind, score, auc, low and high: the probability that the child's text is the more
        telegraphic by that score, ties counted half, with DeLong's interval. It has no width where
        the score keeps them apart completely.
    """
    rows = []
    for preset in table["preset"].unique():
        for kind in negatives_of(table):
            both, is_child = sides(table, preset, kind)
            for score, sign in SCORES.items():
                values = sign * both[score].to_numpy()
                low, high = auc_interval(is_child, values)
                rows.append((preset, kind, score, auc(is_child, values), low, high))
    return pd.DataFrame(rows, columns=["preset", "kind", "score", "auc", "low", "high"])


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Return the ROC curves of severity: preset, kind, threshold, alarms and found.

    Parameters
    ----------
    table
        What `judged` returns.
    """
    parts = []
    for preset in table["preset"].unique():
        for kind in negatives_of(table):
            both, is_child = sides(table, preset, kind)
            curve = roc(is_child, 1.0 - both["severity"].to_numpy())
            parts.append(
                pd.DataFrame(
                    {
                        "preset": preset,
                        "kind": kind,
                        "threshold": 1.0 - curve["threshold"],
                        "alarms": curve["safe_refused"],
                        "found": curve["toxic_refused"],
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def reliability(
    table: pd.DataFrame, negatives: Sequence[str], rng: np.random.Generator, bins: int = 10
) -> pd.DataFrame:
    """Return severity against the share of the child's texts, as if it were a probability.

    Parameters
    ----------
    table
        What `judged` returns.
    negatives
        Kinds of other texts; of each as many are drawn as the child has texts, at most.
    rng
        Draws them.
    bins
        Bins of equal width.

    Returns
    -------
    DataFrame
        preset, and the columns of `mlsdm.streams.calibration`.
    """
    n = len(table[(table["kind"] == CHILD) & (table["preset"] == table["preset"].iloc[0])])
    texts = {CHILD: np.arange(n)}
    for kind in negatives:
        known = table.loc[table["kind"] == kind, "text"].unique()
        texts[kind] = rng.permutation(known)[:n]
    chosen = pd.concat(
        table[(table["kind"] == kind) & table["text"].isin(rows)] for kind, rows in texts.items()
    )
    parts = []
    for preset in table["preset"].unique():
        rows = chosen[chosen["preset"] == preset]
        found = calibration(
            (rows["kind"] == CHILD).to_numpy(), 1.0 - rows["severity"].to_numpy(), bins
        )
        found.insert(0, "preset", preset)
        parts.append(found)
    return pd.concat(parts, ignore_index=True)
