"""Real comments with human labels as a stream of events."""

from __future__ import annotations

import numpy as np

from mlsdm.checks import as_generator, as_whole
from mlsdm.citing import cites
from mlsdm.engine.inputs import as_fraction
from mlsdm.errors import ParameterError
from mlsdm.streams.corpus import PACKAGE, corpus, corpus_version
from mlsdm.streams.embedding import embed as embed_texts
from mlsdm.streams.scorers import scorer_label, scorer_named
from mlsdm.streams.stream import Stream

__all__ = ["comments"]


def _at_most(wanted: int, kind: str, available: int) -> None:
    if wanted > available:
        raise ParameterError(
            f"comments.n: {wanted} {kind}comments wanted, but only {available} are held out"
        )


@cites("davidson2017", "wulczyn2017")
def comments(
    n: int,
    rng: np.random.Generator,
    *,
    scorer: str = "classifier",
    context: str | None = None,
    toxic_share: float | None = None,
    embed: bool = True,
) -> Stream:
    """Return `n` human-labelled comments that no trained scorer has seen.

    Parameters
    ----------
    n
        Comments, drawn without replacement.
    rng
        Draws the comments and their order.
    scorer
        Who gives the moral values: a name in `SCORERS`.
    context
        Who gives the context, a second opinion for policies that ask for one: a name in `SCORERS`.
    toxic_share
        Share of toxic comments in [0, 1], met to the nearest comment; None draws from all
        held-out comments alike, of which a fifth is toxic.
    embed
        Whether to embed the texts as (n, 256) vectors.

    Raises
    ------
    ParameterError
        When an argument is out of range.
    DataError
        When the corpus or another package of the extra `text` is not installed.
    """
    rng, n = as_generator("comments.rng", rng), as_whole("comments.n", n, 1)
    if toxic_share is not None:
        toxic_share = as_fraction("comments.toxic_share", toxic_share)
    score = scorer_named(scorer)
    second = None if context is None else scorer_named(context)

    _, held_out = corpus()
    if toxic_share is None:
        _at_most(n, "", len(held_out))
        rows = rng.choice(len(held_out), n, replace=False)
    else:
        wanted = round(n * toxic_share)
        toxic, safe = np.flatnonzero(held_out.toxic), np.flatnonzero(~held_out.toxic)
        _at_most(wanted, "toxic ", len(toxic))
        _at_most(n - wanted, "safe ", len(safe))
        parts = ((toxic, wanted), (safe, n - wanted))
        drawn = [rng.choice(part, size, replace=False) for part, size in parts]
        rows = rng.permutation(np.concatenate(drawn))

    texts = held_out.texts[rows].tolist()
    share = "" if toxic_share is None else f", toxic_share={toxic_share:g}"
    also = "" if context is None else f", context={scorer_label(context)}"
    drawn_from = f"{PACKAGE} {corpus_version()}, held-out comments"
    return Stream(
        moral_values=score(texts),
        vectors=embed_texts(texts) if embed else None,
        toxic=held_out.toxic[rows],
        texts=texts,
        source=f"{drawn_from}, n={n}{share}, scorer={scorer_label(scorer)}{also}",
        scorer=scorer,
        context=None if second is None else second(texts),
    )
