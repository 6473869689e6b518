from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import citing
from mlsdm.errors import DataError
from mlsdm.streams import embedding
from mlsdm.streams.embedding import EMBEDDING_DIM, embed

ANY_TEXT = st.text(st.characters(), max_size=60)  # with lone surrogates


@given(st.lists(ANY_TEXT, max_size=6))
def test_rows_have_unit_length_or_are_zero(texts):
    vectors = embed(texts)
    assert vectors.shape == (len(texts), EMBEDDING_DIM)
    assert vectors.dtype == np.float32
    norms = np.linalg.norm(vectors, axis=1)
    assert all(abs(n - 1) < 1e-5 or (n == 0 and not t) for n, t in zip(norms, texts, strict=True))


@given(st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_a_vector_depends_on_its_text_alone(texts):
    one_by_one = np.concatenate([embed([text]) for text in texts])
    assert embed(texts).tobytes() == one_by_one.tobytes()


def test_like_texts_are_closer_than_unlike_ones():
    dog, puppy, tax = embed(["the dog sleeps", "a puppy is sleeping", "annual income tax report"])
    assert dog @ puppy > 0.4 > dog @ tax


def test_it_is_the_librarys_own_embedding():
    texts = ["one short text", "another, which is longer than the first"]
    np.testing.assert_allclose(embed(texts), embedding._model().embed(texts, norm=True), atol=1e-6)


def test_the_import_leaves_logging_as_it_was_and_says_nothing():
    script = (
        "import logging; from mlsdm.streams.embedding import embed; embed(['a text'])\n"
        "print(logging.getLogger().handlers, logging.getLogger().level == logging.WARNING)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[] True\n", "")


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    handlers = logging.getLogger().handlers[:]
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(DataError, match=r"wordllama: is not installed; pip install mlsdm\[text\]"):
        embedding._model.__wrapped__()
    assert logging.getLogger().handlers == handlers


def test_only_a_sequence_of_texts_is_taken():
    with pytest.raises(DataError, match="a sequence of texts"):
        embed("one text")
    with pytest.raises(DataError, match=r"must be text \(got 3 at row 1, counted from 0\)"):
        embed(["a", 3])


def test_the_word_vectors_are_cited(monkeypatch):
    monkeypatch.setattr(citing, "_used", {})
    embed(["a text"])
    assert citing.citations().keys == ("miller2024",)
