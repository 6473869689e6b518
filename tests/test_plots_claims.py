import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from audit_rows import VERDICTS, audit_table
from matplotlib.backends.backend_agg import FigureCanvasAgg

import mlsdm
from mlsdm.analysis import plots
from mlsdm.analysis.interval import Interval

SECTIONS = {"A": "Performance targets", "B": "Moral filter"}


@pytest.fixture(scope="module")
def table():
    return audit_table()


@pytest.fixture(scope="module")
def figure(table):
    return plots.forest(table, SECTIONS)


def texts(figure):
    return [text for axis in figure.axes for text in axis.texts]


def written(figure):
    return [text.get_text().replace("\n", " ") for text in texts(figure)]


def dots(axis, verdict):
    """Return (points, 2) where the measured values of a verdict stand."""
    colour, marker = plots.VERDICTS[verdict]
    lines = [line for line in axis.lines if line.get_marker() == marker]
    assert {line.get_color() for line in lines} <= {colour}
    return np.array([line.get_xydata()[0] for line in lines]).reshape(-1, 2)


def diamonds(axis):
    return np.array([line.get_xydata()[0] for line in axis.lines if line.get_marker() == "D"])


def test_the_verdicts_differ_in_colour_and_in_marker():
    assert tuple(plots.VERDICTS) == VERDICTS
    colours, markers = zip(*plots.VERDICTS.values(), strict=True)
    assert len(set(colours)) == len(set(markers)) == 4
    assert set(colours) <= {*plots.CYCLE, plots.GREY}
    assert "D" not in markers  # the stated value's


def test_the_forest_names_every_claim_its_id_and_its_section(figure, table):
    found = written(figure)
    assert not set(table["id"]) - set(found)
    assert not set(table["statement"]) - set(found)
    headings = [text for text in found if text[:1] in "ABCDEFG" and text[1:3] in ("", "  ")]
    assert headings == ["B  Moral filter", "C", "F", "A  Performance targets", "C", "E", "D", "G"]


def test_the_forest_has_a_dot_a_testable_claim_and_counts_the_others(figure, table):
    shares, multiples, untested = figure.axes
    counts = table["verdict"].value_counts()
    zero = table[(table["stated"] == 0) & (table["verdict"] != VERDICTS[3])]
    assert written(figure).count("no multiple of it") == len(zero)
    for verdict in VERDICTS[:3]:
        drawn = len(dots(shares, verdict)) + len(dots(multiples, verdict))
        assert drawn == counts[verdict] - sum(zero["verdict"] == verdict)
    assert not untested.lines
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert {f"{verdict} ({counts[verdict]})" for verdict in VERDICTS[:3]} <= set(labels)
    assert f"not testable here ({counts[VERDICTS[3]]}), listed below" in labels
    assert "95 % interval" in legend.get_title().get_text()
    (tested,) = plots.forest(table[table["verdict"] != VERDICTS[3]]).legends
    assert not any("not testable" in text.get_text() for text in tested.get_texts())


def test_the_forest_draws_shares_as_they_are_and_the_rest_as_multiples(table):
    rows = table.drop_duplicates("statement").set_index("id", drop=False)
    shares, multiples = plots.forest(
        rows.loc[["moral.comprehensive.toxic_rejection", "latency.p50", "throughput.requests"]]
    ).axes
    assert diamonds(shares)[:, 0].tolist() == [0.978]
    assert dots(shares, VERDICTS[1])[:, 0].tolist() == [0.923]
    assert multiples.get_xscale() == "log"
    assert diamonds(multiples)[:, 0].tolist() == [1, 1]
    np.testing.assert_allclose(dots(multiples, VERDICTS[0])[:, 0], [0.094, 1.13])
    interval = next(line for line in shares.lines if len(line.get_xdata()) == 2)
    np.testing.assert_allclose(interval.get_xdata(), [0.917, 0.929])
    below, above = (patch for patch in multiples.patches if patch.get_facecolor()[3] == 0.3)
    left, right = multiples.get_xlim()
    np.testing.assert_allclose(
        sorted((below.get_x(), below.get_x() + below.get_width())), [left, 1]
    )
    np.testing.assert_allclose((above.get_x(), above.get_x() + above.get_width()), [1, right])
    assert "≥ 1000 requests/s → 1130" in [text.get_text() for text in multiples.texts]


def test_a_claim_without_seeds_shows_what_the_stated_set_up_gives(table):
    row = table[table["id"] == "moral.toxic_stream.drift"].assign(
        mean=np.nan, low=np.nan, high=np.nan, regenerated=0.5, n_seeds=0
    )
    (axis,) = plots.forest(row).axes
    assert dots(axis, VERDICTS[0])[:, 0].tolist() == [0.5]
    strip = plots.claim_strip(row.iloc[0]).axes[0]
    assert dots(strip, VERDICTS[0])[:, 0].tolist() == [0.5]


@pytest.mark.parametrize("dpi", [72, 100])
def test_no_text_of_the_forest_is_clipped_or_runs_into_another(table, dpi):
    figure = plots.forest(table, SECTIONS)
    figure.dpi = dpi
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    drawn = [*(text for text in texts(figure) if text.get_text()), *figure.legends]
    boxes = np.array([artist.get_window_extent(renderer).extents for artist in drawn])
    low, high = boxes[:, :2], boxes[:, 2:]
    assert (low >= 0).all()
    assert (high <= figure.get_size_inches() * dpi).all()
    # Lines of text may share a pixel or two between them.
    shared = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
    touching = (shared > 0.025 * dpi).all(axis=2)
    assert np.array_equal(touching, np.eye(len(boxes), dtype=bool))


def test_the_height_of_the_forest_grows_with_its_rows_only(figure, table):
    width, height = figure.get_size_inches()
    assert width == 7.5
    assert height < 0.3 * len(table)
    assert plots.forest(table.iloc[:10]).get_size_inches()[1] < height / 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="stated"), "must have the column 'stated'"),
        (lambda t: t.iloc[:0], "must have at least one row"),
        (lambda t: t.assign(verdict="reproducd"), "did you mean 'reproduced'"),
    ],
)
def test_the_forest_refuses_what_is_no_audit_table(table, change, message):
    with pytest.raises(mlsdm.ParameterError, match=rf"forest\.table: .*{message}"):
        plots.forest(change(table))


def test_a_table_read_back_from_a_file_gives_the_same_forest(table, figure, tmp_path):
    table.to_csv(tmp_path / "audit.csv", index=False)  # no unit becomes NaN
    again = plots.forest(pd.read_csv(tmp_path / "audit.csv"), SECTIONS)
    assert plots.svg(again, "f") == plots.svg(figure, "f")


def test_a_strip_shows_stated_and_mean_with_its_interval(table):
    row = table.set_index("id").loc["moral.comprehensive.toxic_rejection"]
    strip = plots.claim_strip(row)
    assert strip.get_size_inches().tolist() == [3.0, 0.5]
    (axis,) = strip.axes
    assert diamonds(axis)[:, 0].tolist() == [0.978]
    assert dots(axis, VERDICTS[1])[:, 0].tolist() == [0.923]
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [row["low"], row["high"]])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0 %", "50 %", "100 %"]


def test_a_strip_shades_where_a_target_is_met_and_names_the_unit(table):
    rows = table.set_index("id")
    (axis,) = plots.claim_strip(rows.loc["latency.p50"]).axes
    (span,) = axis.patches
    assert span.get_x() + span.get_width() == 10
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "5", "10 ms"]
    (axis,) = plots.claim_strip(rows.loc["throughput.requests"]).axes
    assert axis.patches[0].get_x() == 1000
    (axis,) = plots.claim_strip(rows.loc["throughput.achieved"]).axes
    assert not axis.patches


def test_every_row_has_a_strip_also_without_numbers(table):
    nothing = dict.fromkeys(("stated", "regenerated", "mean", "low", "high"), np.nan)
    for _, row in table.drop_duplicates("statement").iterrows():
        for change in ({}, nothing, {"unit": np.nan, "relation": "<="} | nothing):
            strip = plots.claim_strip({**row, **change})
            assert "nan" not in plots.svg(strip, "s")


def test_a_strip_refuses_a_row_that_is_none(table):
    row = dict(table.iloc[0])
    with pytest.raises(mlsdm.ParameterError, match=r"claim_strip\.row: 'true' is no verdict"):
        plots.claim_strip({**row, "verdict": "true"})
    del row["low"]
    with pytest.raises(mlsdm.ParameterError, match="must have the column 'low'"):
        plots.claim_strip(row)


def test_an_svg_is_the_same_text_every_time_whatever_the_settings(table):
    row = table.iloc[0]
    first = plots.svg(plots.claim_strip(row), "latency.p50")
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": None, "font.size": 20}):
        assert plots.svg(plots.claim_strip(row), "latency.p50") == first
    assert first.startswith("<svg ")
    assert first.rstrip().endswith("</svg>")
    assert "<metadata" not in first
    assert mpl.__version__ not in first
    assert ">10 ms</text>" in first  # text stays text


def test_the_ids_of_two_svgs_are_apart_and_each_is_defined_once(table):
    ids = []
    for name in ("one", "two"):
        drawn = plots.svg(plots.claim_strip(table.iloc[0]), name)
        own = re.findall(r'\bid="([^"]+)"', drawn)
        assert set(re.findall(r"(?:url\(|href=\")#([\w.-]+)", drawn)) == set(own)
        ids += own
    assert len(ids) == len(set(ids)) > 4


def test_an_svg_lets_the_page_show_through_and_says_what_it_is(table):
    strip = plots.claim_strip(table.iloc[0])
    drawn = plots.svg(strip, "p50", 'median "latency" < 10 ms')
    assert 'role="img" aria-label="median &quot;latency&quot; &lt; 10 ms"' in drawn
    assert "fill: #ffffff" not in drawn
    assert 'aria-label="p50"' in plots.svg(strip, "p50")


def test_the_distribution_shows_the_seeds_the_control_and_three_values():
    values = np.linspace(0.8, 1.0, 50)
    figure = plots.claim_distribution(
        [*values, np.nan], 0.978, 0.9778, Interval(0.9, 0.88, 0.92, 50),
        xlabel="toxic events refused, share", title="t", control=values[:20] - 0.5,
    )  # fmt: skip
    (axis,) = figure.axes
    assert axis.get_xlabel() == "toxic events refused, share"
    assert axis.get_ylabel() == "share of the seeds"
    seeds, control = axis.containers
    for bars, colour in ((seeds, plots.BLUE), (control, plots.GREY)):
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
        assert mpl.colors.to_hex(bars[0].get_facecolor()) == colour.lower()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "50 seeds", "20 seeds of the control", "regenerated: 0.9778", "stated: 0.978",
        "mean and interval:\n0.9 [0.88, 0.92]",
    ]  # fmt: skip
    assert [line.get_xdata()[0] for line in axis.lines] == [0.9778, 0.978, 0.88, 0.9]


@pytest.mark.parametrize(
    ("values", "bars"),
    [([6, 7, 9, 9], 4), ([0.3] * 5, 41), ([0.0] * 5, 1), ([-2.5], 41), ([0, 1e6], 41)],
)
def test_counts_have_a_bar_each_and_what_never_varies_one(values, bars):
    interval = Interval(float(np.mean(values)), np.nan, np.nan, len(values))
    figure = plots.claim_distribution(values, np.nan, np.nan, interval, xlabel="events")
    (axis,) = figure.axes
    heights = [bar.get_height() for bar in axis.patches]
    assert len(heights) == bars
    assert sum(height > 0 for height in heights) == len(set(values))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert not any("stated" in label for label in labels)


def test_a_distribution_needs_a_finite_value():
    with pytest.raises(mlsdm.ParameterError, match=r"claim_distribution\.values: must hold a fin"):
        plots.claim_distribution([np.nan], 1, 1, Interval(1, 1, 1, 1), xlabel="x")
