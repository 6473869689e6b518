import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import mlsdm
from mlsdm.analysis import plots
from mlsdm.streams import moral_stream, roc


@pytest.fixture(scope="module")
def runs():
    stream = moral_stream(120, 0.3)
    vectors = np.random.default_rng(0).standard_normal((120, 6))
    return {
        name: mlsdm.simulate(params, vectors, stream.moral_values)
        for name, params in (
            ("published", mlsdm.EngineParams.published(6)),
            ("default", mlsdm.EngineParams(6)),
        )
    }


def interval_table(**columns):
    return pd.DataFrame({**columns, "mean": 0.5, "low": 0.4, "high": 0.7})


def labels(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_the_phase_timeline_has_a_strip_per_run_and_shades_sleep(runs):
    figure = plots.phase_timeline(runs, n_events=50)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["published", "default"]
    strip = figure.axes[0]
    drawn = sum(len(lines.get_segments()) for lines in strip.collections[1:])
    assert drawn == 50
    assert strip.collections[0].get_paths()  # the published engine falls asleep


def test_lattice_rows_draws_what_the_run_holds(runs):
    (axis,) = plots.lattice_rows(runs).axes
    assert labels(axis) == ["published", "default"]
    np.testing.assert_array_equal(axis.lines[1].get_ydata(), runs["default"].lattice_size)


def test_interval_bars_put_the_mean_and_its_interval():
    table = interval_table(engine=["a", "a", "b", "b"], phase=["wake", "sleep"] * 2)
    (axis,) = plots.interval_bars(table, group="engine", bar="phase", ylabel="coherence").axes
    assert [patch.get_height() for patch in axis.patches] == [0.5] * 4
    assert axis.get_ylabel() == "coherence"
    whiskers = axis.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([segment[:, 1] for segment in whiskers], [[0.4, 0.7]] * 2)


def test_error_rates_draw_both_errors_in_their_own_colours():
    table = interval_table(
        toxic_share=[0.1, 0.2] * 2, measure=["toxic passed"] * 2 + ["safe refused"] * 2
    )
    (axis,) = plots.error_rates(table).axes
    colours = dict(zip(labels(axis), [line.get_color() for line in axis.lines], strict=True))
    assert colours == {"toxic passed": plots.RED, "safe refused": plots.BLUE}


def test_threshold_band_draws_the_mean_over_seeds():
    thresholds = np.random.default_rng(0).random((30, 80))
    figure = plots.threshold_band({"one": thresholds, "two": thresholds}, n_events=60)
    assert len(figure.axes) == 2
    mean = figure.axes[0].lines[1].get_ydata()
    np.testing.assert_allclose(mean, thresholds[:, :60].mean(axis=0))


def test_the_limit_cycle_is_the_orbit_of_average_and_threshold(runs):
    figure = plots.limit_cycle(runs, target=0.5, dead_band=0.05, start=10, stop=90)
    for axis, result in zip(figure.axes, runs.values(), strict=True):
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), result.threshold[10:90])
        np.testing.assert_array_equal(axis.lines[0].get_xdata(), result.acceptance_rate[10:90])


def test_without_a_dead_band_the_threshold_has_no_region_to_rest_in(runs):
    banded = plots.limit_cycle(runs, target=0.5, dead_band=0.05).axes[0]
    free = plots.limit_cycle(runs, target=0.5, dead_band=0.0).axes[0]
    assert [len(axis.patches) for axis in (banded, free)] == [1, 0]
    assert free.get_legend() is None


def test_roc_curves_hold_curves_points_and_chance():
    stream = moral_stream(100, 0.4)
    curves = {"scorer": roc(stream.toxic, stream.moral_values)}
    (axis,) = plots.roc_curves(curves, {"adaptive": (0.3, 0.9)}).axes
    assert labels(axis) == ["scorer", "adaptive", "chance"]
    assert axis.lines[1].get_xydata().tolist() == [[0.3, 0.9]]


def test_the_trade_off_has_a_panel_per_measure_and_a_line_per_policy():
    table = interval_table(
        policy=["a", "a", "b", "b"] * 2,
        toxic_share=[0.1, 0.9] * 4,
        measure=["toxic passed"] * 4 + ["safe refused"] * 4,
    )
    figure = plots.trade_off(table)
    assert [len(axis.lines) for axis in figure.axes] == [2, 2]
    assert figure.axes[1].get_ylabel() == "share: safe refused"


def test_the_latency_distribution_falls_from_one_and_shows_the_targets():
    times = np.array([3.0, 1.0, 2.0, 4.0])
    (axis,) = plots.latency_distribution({"call": times}, [("P50 < 10 ms", 0.5, 10.0)]).axes
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [1, 0.75, 0.5, 0.25])
    assert [text.get_text() for text in axis.texts] == ["P50 < 10 ms"]


def test_more_series_than_colours_are_all_drawn(runs):
    many = {f"run {i}": runs["default"] for i in range(9)}
    (axis,) = plots.lattice_rows(many).axes
    assert len(axis.lines) == 9


def test_a_short_run_shows_the_second_half_of_its_orbit(runs):
    short = mlsdm.simulate(mlsdm.EngineParams(), None, np.full(50, 0.8))
    (axis,) = plots.limit_cycle({"short": short}, target=0.5, dead_band=0.05).axes
    assert len(axis.lines[0].get_ydata()) == 25


def test_the_pictures_are_loaded_when_they_are_drawn():
    code = "import sys; from mlsdm.analysis import plots; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert all(hasattr(plots, name) for name in plots.__all__)
    with pytest.raises(AttributeError):
        plots.pie  # noqa: B018


def plane_table():
    """Two policies at three toxic shares; the first share has no toxic event."""
    rows = []
    for policy, offset in (("adaptive", 0.1), ("fixed", 0.0)):
        for share in (0.0, 0.2, 0.8):
            for measure, mean in (("safe refused", 0.5 - share / 2), ("toxic passed", share / 2)):
                if share or measure == "safe refused":
                    rows.append((policy, share, measure, mean + offset))
    table = pd.DataFrame(rows, columns=["policy", "toxic_share", "measure", "mean"])
    return table.assign(low=table["mean"] - 0.01, high=table["mean"] + 0.02)


def test_the_errors_plane_has_a_line_a_policy_and_a_point_a_toxic_share():
    figure = plots.errors_plane(plane_table(), "t")
    (axis,) = figure.axes
    lines = {bars.get_label(): bars.lines[0] for bars in axis.containers}
    np.testing.assert_allclose(lines["adaptive"].get_xydata(), [[0.5, 0.2], [0.2, 0.5]])
    np.testing.assert_allclose(lines["fixed"].get_xydata(), [[0.4, 0.1], [0.1, 0.4]])
    assert [text.get_text() for text in axis.texts] == ["0.2", "0.8"] * 2
    assert axis.get_xlabel() == "safe refused, share of safe events"
    assert axis.get_ylabel() == "toxic passed, share of toxic events"
    (horizontal, vertical) = axis.containers[0].lines[2]
    np.testing.assert_allclose(horizontal.get_segments()[0], [[0.49, 0.2], [0.52, 0.2]])
    np.testing.assert_allclose(vertical.get_segments()[0], [[0.5, 0.19], [0.5, 0.22]])


def test_toxic_shares_in_one_place_have_one_label():
    table = plane_table()
    table.loc[table["policy"] == "fixed", ["mean", "low", "high"]] = 0.0
    (axis,) = plots.errors_plane(table).axes
    assert [text.get_text() for text in axis.texts] == ["0.2", "0.8", "0.2 to 0.8"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (plane_table().drop(columns="low"), "must have the column 'low'"),
        (plane_table().query("measure == 'safe refused'"), "must hold both errors"),
        (pd.concat([plane_table()] * 2), "must hold each policy, toxic share and measure once"),
        (plane_table().iloc[:0], "at least one row"),
    ],
)
def test_the_errors_plane_refuses_what_it_cannot_draw(table, message):
    with pytest.raises(mlsdm.ParameterError, match=rf"errors_plane\.table: .*{message}"):
        plots.errors_plane(table)


def test_level_norms_have_a_panel_a_run_and_dash_the_gates_by_norm(runs):
    figure = plots.level_norms(runs, n_events=100)
    published, default = figure.axes
    for axis, result in zip(figure.axes, runs.values(), strict=True):
        for line, norms in zip(axis.lines[:3], result.norms[:100].T, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), norms)
        assert axis.get_ylabel() == "Euclidean norm"
        assert axis.get_yscale() == "symlog"
        assert axis.get_ylim()[0] < 0  # an empty level shows
    assert [line.get_ydata()[0] for line in default.lines[3:]] == [1.2, 2.5]
    assert [text.get_text() for text in default.texts] == ["gate of L1: 1.2", "gate of L2: 2.5"]
    assert len(published.lines) == 3
    assert default.get_xlabel() == "event"


def test_level_norms_refuse_a_run_without_vectors(runs):
    empty = mlsdm.simulate(mlsdm.EngineParams(), None, np.full(5, 0.8))
    with pytest.raises(mlsdm.ParameterError, match=r"vectors=None in 'empty'"):
        plots.level_norms({**runs, "empty": empty})


def test_recall_by_phase_shows_held_and_found_and_says_where_nothing_is():
    table = interval_table(
        engine=["a"] * 3 + ["b"] * 4,
        phase=["wake", "wake", "sleep", "wake", "wake", "sleep", "sleep"],
        measure=["held", "found", "held", "held", "found", "held", "found"],
    )
    held, found = plots.recall_by_phase(table).axes
    assert held.get_ylabel() == "held, share of what was stored"
    assert found.get_ylabel() == "found, share of what is held"
    assert [bar.get_height() for bar in held.patches] == [0.5] * 4
    np.testing.assert_array_equal(
        [bar.get_height() for bar in found.patches], [0.5, 0.5, np.nan, 0.5]
    )
    assert [text.get_text() for text in found.texts if text.get_text() == "none"] == ["none"]
    assert [label.get_text() for label in found.get_xticklabels()] == ["a", "b"]


@pytest.mark.parametrize(("column", "wrong"), [("phase", "dusk"), ("measure", "rows")])
def test_recall_by_phase_refuses_another_phase_or_measure(column, wrong):
    table = interval_table(engine=["a"], phase=["wake"], measure=["held"]).assign(**{column: wrong})
    with pytest.raises(mlsdm.ParameterError, match=rf"{column} must be .* \(got '{wrong}'\)"):
        plots.recall_by_phase(table)
