"""Sentence embeddings without a network: wordllama's static word vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.citing import cites
from mlsdm.streams.texts import as_texts, text_extra

__all__ = ["EMBEDDING_DIM", "embed"]

EMBEDDING_DIM = 256


@lru_cache(maxsize=1)
def _model() -> Any:
    # Its import calls logging.basicConfig, which does nothing where the root has a handler.
    root, shield = logging.getLogger(), logging.NullHandler()
    root.addHandler(shield)
    try:
        with text_extra("wordllama"):
            import wordllama
    finally:
        root.removeHandler(shield)
    folder = Path(wordllama.__file__).parent  # the wheel's own weights and tokenizer
    return wordllama.WordLlama.load(cache_dir=folder, dim=EMBEDDING_DIM, disable_download=True)


@cites("miller2024")
def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return one (256,) float32 vector a text: unit length, or zero for an empty text.

    Raises
    ------
    DataError
        When `texts` is not a sequence of strings, or wordllama is not installed.
    """
    # The tokenizer refuses lone surrogates.
    plain = [text.encode("utf-8", "replace").decode() for text in as_texts(texts)]
    vectors = np.zeros((len(plain), EMBEDDING_DIM), dtype=np.float32)
    for vector, text in zip(vectors, plain, strict=True):
        # One at a time: batches are padded to their longest text, slow and without a bound.
        vector[:] = _model().embed(text)[0]
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(norms > 0, norms, 1)
    return vectors
