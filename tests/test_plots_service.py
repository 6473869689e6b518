"""Pictures of a service under load show what they are given."""

import numpy as np
import pandas as pd
import pytest

from mlsdm import ParameterError
from mlsdm.analysis import plots

LEVELS = ("P50", "P95", "P99", "P99.9")


@pytest.fixture
def table():
    """Three loads, not in order, the highest not carried."""
    frame = pd.DataFrame(
        {
            "offered": [100.0, 1000.0, 10.0],
            "achieved": [100.0, 600.0, 10.0],
            "carried": [True, False, True],
            "server CPU": [0.2, 0.99, 0.02],
            "generator CPU": [0.1, 0.5, 0.01],
        }
    )
    for number, level in enumerate(LEVELS, start=1):
        frame[level] = number * np.array([2.0, 300.0, 1.0])
        frame[f"{level} low"], frame[f"{level} high"] = 0.9 * frame[level], 1.1 * frame[level]
    return frame


def test_percentiles_stand_in_order_with_crosses_where_a_load_is_not_carried(table):
    figure = plots.latency_by(table, "offered", {"P99": 200.0}, "requests/s", "a title")
    (axis,) = figure.axes
    assert axis.get_title(loc="left") == "a title"
    median, carried, not_carried = axis.lines[:3]
    assert list(median.get_xdata()) == [10, 100, 1000]
    assert list(median.get_ydata()) == [1, 2, 300]
    assert (len(carried.get_xdata()), list(not_carried.get_xdata())) == (2, [1000])
    assert [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == "--"] == [200.0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["10", "100", "1000"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [*LEVELS, "not carried"]


def test_what_is_carried_is_drawn_beside_who_works(table):
    rates, used = plots.carried_rates(table).axes
    offered = rates.lines[1]
    assert list(zip(*offered.get_data(), strict=True)) == [(10, 10), (100, 100), (1000, 600)]
    assert [list(line.get_ydata()) for line in used.lines[:2]] == [[2, 20, 99], [1, 10, 50]]


def test_parts_of_the_time_are_bars_the_largest_on_top():
    shares = pd.DataFrame({"part": ["engine", "JSON"], "share": [0.1, 0.9]})
    (axis,) = plots.time_shares(shares, title="where").axes
    assert [bar.get_width() for bar in axis.patches] == [10, 90]
    engine, other = (bar.get_facecolor() for bar in axis.patches)
    assert engine != other
    assert [text.get_text() for text in axis.texts] == ["10.0 %", "90.0 %"]


def test_answers_are_counted_by_the_second_they_were_due_in():
    requests = pd.DataFrame(
        {"due": [-0.5, 0.1, 0.2, 1.5, 1.6, 1.7], "status": [200, 200, 429, 200, 429, 0]}
    )
    figure = plots.answers_course(requests)
    (axis,) = figure.axes
    bars = [[bar.get_height() for bar in container] for container in axis.containers]
    assert bars == [[1, 1], [0, 1], [1, 1]]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["200", "no answer", "429"]


def test_memory_has_a_line_of_the_slope_and_begins_at_nothing():
    usage = pd.DataFrame(
        {"t": [-5.0, 0.0, 60.0, 120.0], "server_bytes": [9e9, 1e8, 1.02e8, 1.04e8]}
    )
    (axis,) = plots.memory_course(usage, slope=2.0).axes
    held, line = axis.lines
    assert list(held.get_ydata()) == pytest.approx([100, 102, 104])
    assert list(line.get_ydata()) == pytest.approx([100, 102, 104])
    assert axis.get_ylim()[0] == 0


@pytest.mark.parametrize(
    "draw",
    [
        lambda t: plots.latency_by(t, "offered", {}, "x"),
        plots.carried_rates,
        plots.time_shares,
        plots.answers_course,
        lambda t: plots.memory_course(t, 0.0),
    ],
)
def test_a_table_without_its_columns_is_refused(draw):
    with pytest.raises(ParameterError, match="must have the column"):
        draw(pd.DataFrame({"nothing": [1]}))
