from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import shares

from mlsdm import DataError, EngineParams, ParameterError, Stream, simulate
from mlsdm.streams.published import moral_stream, rhythm_stream

seeds = st.integers(0, 2**32 - 1)


def test_moral_stream_is_drawn_like_the_originals_list() -> None:
    for n, share in ((200, 0.3), (7, 0.5), (1, 0.0), (300, 1.0)):
        draw = np.random.RandomState(7)
        n_toxic = int(n * share)
        values = list(draw.uniform(0.1, 0.4, n_toxic)) + list(draw.uniform(0.6, 0.95, n - n_toxic))
        draw.shuffle(values)
        assert moral_stream(n, share, seed=7).moral_values.tolist() == values


@given(st.integers(0, 300), shares, seeds)
def test_moral_stream_properties(n: int, share: float, seed: int) -> None:
    stream = moral_stream(n, share, seed)
    toxic = stream.need_toxic()
    assert len(stream) == n
    assert toxic.sum() == int(n * share)
    assert ((stream.moral_values >= 0.1) & (stream.moral_values < 0.4))[toxic].all()
    assert ((stream.moral_values >= 0.6) & (stream.moral_values < 0.95))[~toxic].all()
    assert stream.vectors is None
    again = moral_stream(n, share, seed)
    np.testing.assert_array_equal(again.moral_values, stream.moral_values)


def test_seeds_matter_and_the_global_generator_does_not() -> None:
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # type: ignore[index,union-attr] # noqa: NPY002
    first, second = moral_stream(50, 0.5, 1), moral_stream(50, 0.5, 2)
    rhythm_stream(5, 8)
    assert first.moral_values.tolist() != second.moral_values.tolist()
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index,union-attr] # noqa: NPY002


@given(st.integers(1, 40), st.integers(2, 50), seeds)
def test_rhythm_stream_properties(n: int, dim: int, seed: int) -> None:
    stream = rhythm_stream(n, dim, seed)
    vectors = stream.need_vectors()
    assert vectors.shape == (n, dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(n), abs=1e-6)
    assert set(stream.moral_values.tolist()) == {0.8}
    longer = rhythm_stream(n + 3, dim, seed).need_vectors()
    np.testing.assert_array_equal(longer[:n], vectors)  # queries are the first vectors


def test_rhythm_streams_scatter_about_three_centroids() -> None:
    """The noise is six times the centroid at 384 dimensions: one centroid tells itself, barely."""
    vectors = rhythm_stream(600, 384).need_vectors().astype(np.float64)
    cosines = vectors @ vectors.T
    same = np.equal.outer(np.arange(600) % 3, np.arange(600) % 3)
    off_diagonal = ~np.eye(600, dtype=bool)
    assert cosines[same & off_diagonal].mean() == pytest.approx(1 / (1 + 0.09 * 384), abs=0.005)
    assert abs(cosines[~same].mean()) < 0.01


def test_they_say_where_they_come_from_and_the_engine_takes_them() -> None:
    stream = moral_stream(20, 0.5, 3)
    assert stream.source == "moral_stream(n=20, toxic_share=0.5, seed=3)"
    assert repr(stream) == f"Stream(20 events, 50.0% toxic; {stream.source})"
    rhythm = rhythm_stream(4, 8)
    assert rhythm.source == "rhythm_stream(n=4, dim=8, seed=42)"
    assert len(simulate(EngineParams(dim=8), rhythm.vectors, rhythm.moral_values)) == 4


@pytest.mark.parametrize("n", [-1, 2.0, "3", True, None])
def test_counts_are_whole_numbers(n: Any) -> None:
    with pytest.raises(ParameterError, match=r"^moral_stream\.n: .*\(got "):
        moral_stream(n, 0.5)
    with pytest.raises(ParameterError, match=r"^rhythm_stream\.n: .*\(got "):
        rhythm_stream(n)


@pytest.mark.parametrize("share", [-0.1, 1.1, "0.5", None, float("nan")])
def test_shares_lie_in_0_to_1(share: Any) -> None:
    with pytest.raises(ParameterError, match=r"^moral_stream\.toxic_share: .*\(got "):
        moral_stream(10, share)


def test_parts_of_a_stream_have_one_length() -> None:
    values = np.zeros(3)
    with pytest.raises(DataError, match=r"^Stream\.vectors: holds 2 .*moral_values holds 3"):
        Stream(values, vectors=np.zeros((2, 4), np.float32))
    with pytest.raises(DataError, match=r"^Stream\.toxic: holds 4 "):
        Stream(values, toxic=np.zeros(4, bool))
    with pytest.raises(DataError, match=r"^Stream\.texts: holds 1 "):
        Stream(values, texts=["a"])


def test_missing_parts_are_named_when_needed() -> None:
    stream = Stream(np.zeros(3), source="a test")
    with pytest.raises(DataError, match=r"^Stream\.vectors: needed .*a test"):
        stream.need_vectors()
    with pytest.raises(DataError, match=r"^Stream\.toxic: labels .*a test"):
        stream.need_toxic()


@pytest.mark.parametrize("seed", [None, -1, 1.5, 2**32, True, [1]])
def test_seeds_are_those_of_the_legacy_generator(seed: Any) -> None:
    with pytest.raises(ParameterError, match=r"^moral_stream\.seed: must be a whole number in"):
        moral_stream(10, 0.5, seed)
    with pytest.raises(ParameterError, match=r"^rhythm_stream\.seed: must be a whole number in"):
        rhythm_stream(10, seed=seed)


@pytest.mark.parametrize("dim", [0, -1, 2.5, "8"])
def test_a_dimension_is_a_whole_number(dim: Any) -> None:
    with pytest.raises(ParameterError, match=r"^rhythm_stream\.dim: must be a whole number"):
        rhythm_stream(10, dim=dim)


def test_an_empty_stream_can_be_shown() -> None:
    assert "0 events" in repr(moral_stream(0, 0.5))
