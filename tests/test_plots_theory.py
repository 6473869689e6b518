"""Pictures of theory show what they are given."""

import numpy as np
import pandas as pd
import pytest

from mlsdm import MoralParams, ParameterError
from mlsdm.analysis import plots
from mlsdm.analysis.theory import stationary, uniforms


def test_the_law_of_the_threshold_has_a_bar_and_a_dot_for_each_threshold():
    found = stationary(MoralParams(), uniforms((1, 0, 1)))
    seen = np.repeat(found.threshold_values + 1e-15, 2)
    (axis,) = plots.threshold_law({"one": found}, {"one": seen}).axes
    heights = [bar.get_height() for bar in axis.patches]
    assert heights == pytest.approx(found.threshold_probabilities)
    (dots,) = axis.lines
    assert dots.get_ydata() == pytest.approx(np.full(len(heights), 1 / len(heights)))


def test_a_threshold_that_never_moves_can_be_drawn():
    found = stationary(MoralParams(step=0.0), uniforms((1, 0, 1)))
    (axis,) = plots.threshold_law({"still": found}).axes
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([1.0])
    assert not axis.lines


def test_theory_is_a_line_and_simulation_points_with_intervals():
    table = pd.DataFrame(
        {
            "stream": ["a", "a", "b"],
            "toxic_share": [0.8, 0.2, 0.5],
            "measure": "toxic passed",
            "theory": [0.6, 0.1, 0.3],
            "mean": [0.61, 0.12, 0.31],
            "low": 0.1,
            "high": 0.7,
        }
    )
    figure = plots.theory_beside_simulation(table)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["a", "b"]
    line, points = figure.axes[0].lines[:2]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0.2, 0.8], [0.1, 0.6])
    assert list(points.get_ydata()) == [0.12, 0.61]
    with pytest.raises(ParameterError, match="'theory'"):
        plots.theory_beside_simulation(table.drop(columns="theory"))


def test_measures_are_drawn_against_a_parameter_but_for_what_is_infinite():
    table = pd.DataFrame(
        {
            "smoothing": [0.1, 0.01, 1.0],
            "period": [20.0, 300.0, np.inf],
            "amplitude": [0.2, 0.3, 0.1],
            "share": 0.5,
        }
    )
    figure = plots.by_parameter(table, "smoothing", ["period", "amplitude"], "share")
    wide, narrow = figure.axes
    assert list(wide.lines[0].get_xdata()) == [0.01, 0.1]
    assert list(narrow.lines[0].get_ydata()) == [0.3, 0.2, 0.1]
    assert (wide.get_yscale(), narrow.get_yscale()) == ("log", "linear")
