import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.errors import DataError, ParameterError
from mlsdm.streams import Stream, moral_stream, resample


@given(st.integers(0, 300), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_a_resampled_stream_has_the_share_asked_for_and_keeps_labels_with_values(n, share, seed):
    source = moral_stream(100, 0.4)
    drawn = resample(source, n, share, np.random.default_rng(seed))
    assert len(drawn) == n
    assert drawn.need_toxic().sum() == round(n * share)
    np.testing.assert_array_equal(drawn.need_toxic(), drawn.moral_values < 0.4)
    assert np.isin(drawn.moral_values, source.moral_values).all()


def test_without_a_share_events_are_drawn_alike_with_all_that_belongs_to_them():
    values = np.linspace(0, 1, 50)
    source = Stream(
        values, np.c_[values, values].astype(np.float32), values < 0.5, [f"{v}" for v in values]
    )
    drawn = resample(source, 500, None, np.random.default_rng(1))
    np.testing.assert_array_equal(drawn.need_vectors()[:, 0], drawn.moral_values.astype(np.float32))
    assert drawn.texts == [f"{v}" for v in drawn.moral_values]
    assert 0.3 < drawn.need_toxic().mean() < 0.7


def test_a_class_that_is_not_there_cannot_be_drawn():
    with pytest.raises(DataError, match="no toxic event"):
        resample(moral_stream(50, 0.0), 10, 0.5, np.random.default_rng(0))


def test_a_share_needs_labels():
    with pytest.raises(DataError, match="labels"):
        resample(Stream(np.full(5, 0.5)), 10, 0.5, np.random.default_rng(0))


def test_a_share_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"resample.toxic_share: .* in \[0, 1\]"):
        resample(moral_stream(50, 0.5), 10, 1.5, np.random.default_rng(0))


@pytest.mark.parametrize("share", [None, 0.5])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n": -1}, r"^resample\.n: must be a whole number of at least 0 \(got -1\)"),
        ({"n": 5.0}, r"^resample\.n: .*got 5\.0"),
        ({"rng": None}, r"^resample\.rng: must be a numpy\.random\.Generator \(got None\)"),
    ],
)
def test_other_arguments_are_refused_too(arguments, said, share):
    usual = {"n": 5, "toxic_share": share, "rng": np.random.default_rng(0)}
    with pytest.raises(ParameterError, match=said):
        resample(moral_stream(50, 0.5), **usual | arguments)


@pytest.mark.parametrize("share", [None, 0.5])
def test_from_no_events_only_none_are_drawn(share):
    empty, rng = moral_stream(0, 0.5), np.random.default_rng(0)
    assert len(resample(empty, 0, share, rng)) == 0
    with pytest.raises(DataError, match="event to draw from"):
        resample(empty, 3, share, rng)
