from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlsdm import ParameterError
from mlsdm.analysis import forgetting, plots


def labels(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_curves_are_lines_where_exact_and_dots_of_their_colour_where_measured():
    ages = forgetting.log_ages(50)
    slow, fast = (forgetting.leaky(decay).retention(ages, 100).snr(0) for decay in (0.1, 0.5))
    (axis,) = plots.forgetting_curves({"slow": slow}, {"slow": slow, "fast": fast}).axes
    line, same, other = axis.lines[:3]
    assert labels(axis) == ["slow", "slow, measured", "fast, measured"]
    np.testing.assert_array_equal(line.get_ydata(), slow.snr)
    np.testing.assert_array_equal(line.get_xdata(), ages + 1)
    assert (line.get_marker(), same.get_marker()) == ("None", "o")
    assert line.get_color() == same.get_color() != other.get_color()
    assert axis.get_xlim()[1] < 51  # nothing to see in older ones


def test_lifetimes_by_size_say_how_they_grow():
    table = forgetting.by_size([100, 10_000])
    (axis,) = plots.lifetime_by_size(table, forgetting.growth(table)).axes
    assert labels(axis)[0] == "leaky, decay 1/2: N^0.16"
    first = table[table["memory"] == "leaky, decay 1/2"]
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), first["lifetime"])


def test_the_trade_off_has_the_front_its_bound_and_a_point_a_memory():
    front = pd.DataFrame({"initial": [1.0, 2.0], "lifetime": [9.0, 8.0], "bound": [30.0, 29.0]})
    memories = pd.DataFrame(
        {"memory": ["a", "b"], "initial": [1.0, 2.0], "mean": [3.0, 4.0], "low": 2.0, "high": 5.0}
    )
    figure = plots.lifetime_trade_off(front, memories)
    (axis,) = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][2:] == ["a", "b"]
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), front["bound"])
    np.testing.assert_array_equal(axis.lines[1].get_ydata(), front["lifetime"])
    drawn = [bars.lines[0].get_ydata()[0] for bars in axis.containers]
    assert drawn == [3.0, 4.0]


def test_lifetimes_by_threshold_are_a_line_a_memory():
    table = pd.DataFrame(
        {"memory": ["a", "a", "b"], "threshold": [0.1, 1.0, 0.1], "lifetime": [5.0, 4.0, 3.0]}
    )
    (axis,) = plots.lifetime_by_threshold(table).axes
    assert labels(axis) == ["a", "b"]
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), [5.0, 4.0])


@pytest.mark.parametrize(
    "draw",
    [
        lambda table: plots.lifetime_by_size(table, {}),
        plots.lifetime_by_threshold,
        lambda table: plots.lifetime_trade_off(table, table),
    ],
)
def test_a_table_without_the_columns_is_refused(draw):
    with pytest.raises(ParameterError, match="must have the column"):
        draw(pd.DataFrame({"memory": [1]}))
