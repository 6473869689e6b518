import numpy as np
import pytest

from mlsdm import DataError, ParameterError, Stream


def stream():
    values = np.linspace(0, 1, 5)
    return Stream(values, np.c_[values, values].astype(np.float32), values < 0.5, list("abcde"))


def test_held_out_events_are_the_last_with_all_that_belongs_to_them():
    kept, held = stream().hold_out(2)
    assert kept.texts == ["a", "b", "c"]
    assert held.texts == ["d", "e"]
    np.testing.assert_array_equal(held.moral_values, [0.75, 1])
    np.testing.assert_array_equal(held.need_vectors()[:, 0], [0.75, 1])
    np.testing.assert_array_equal(kept.need_toxic(), [True, True, False])


@pytest.mark.parametrize("n", [0, 5, 6])
def test_no_side_of_a_hold_out_is_empty(n):
    with pytest.raises(DataError, match=r"^Stream\.hold_out\.n: must leave events on both sides"):
        stream().hold_out(n)


def test_parts_of_another_length_are_refused():
    with pytest.raises(DataError, match=r"^Stream\.toxic: holds 2 events, but"):
        Stream(np.zeros(3), toxic=np.array([True, False]))


@pytest.mark.parametrize("need", ["need_vectors", "need_toxic"])
def test_what_a_stream_lacks_is_named(need):
    with pytest.raises(DataError, match="needed here"):
        getattr(Stream(np.zeros(3), source="nowhere"), need)()


@pytest.mark.parametrize("n", [-1, 2.0, True, "2"])
def test_a_hold_out_counts_in_whole_numbers(n):
    with pytest.raises(ParameterError, match=r"^Stream\.hold_out\.n: must be a whole number"):
        stream().hold_out(n)


def test_a_stream_is_shown_as_a_table():
    html = stream()._repr_html_()
    assert "<td>events</td><td>5</td>" in html
    assert "<td>toxic share</td><td>0.4</td>" in html
