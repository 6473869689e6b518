from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc, sobol_indices

import mlsdm
from mlsdm.analysis import metrics, plots, sensitivity
from mlsdm.analysis.sensitivity import ENGINE_RANGES, FILTER_RANGES, Range, engine_outcomes, indices
from mlsdm.analysis.sensitivity.engine import with_values
from mlsdm.analysis.sensitivity.sobol import _estimated, _resampled
from mlsdm.errors import ParameterError
from mlsdm.rng import generator
from mlsdm.streams import Stream, moral_stream, rhythm_stream

ANGLE = (-np.pi, np.pi)
ISHIGAMI = {"x1": ANGLE, "x2": ANGLE, "x3": ANGLE}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ishigami(p: pd.DataFrame) -> dict[str, pd.Series]:
    return {"y": np.sin(p.x1) + 7 * np.sin(p.x2) ** 2 + 0.1 * p.x3**4 * np.sin(p.x1)}


def ishigami_indices() -> tuple[np.ndarray, np.ndarray, float]:
    alone = np.array([0.5 * (1 + np.pi**4 / 50) ** 2, 49 / 8, 0.0])
    together = np.pi**8 / 100 * (1 / 18 - 1 / 50)  # of the first and the third
    variance = alone.sum() + together
    total = (alone + together * np.array([1, 0, 1])) / variance
    return alone / variance, total, together / variance


@pytest.fixture(scope="module")
def found() -> sensitivity.Indices:
    return indices(ishigami, ISHIGAMI, rng(), n=1024, pairs=3)


def test_ishigamis_function_has_its_known_indices(found: sensitivity.Indices) -> None:
    first, total, together = ishigami_indices()
    table = found.table("y")
    np.testing.assert_allclose(table["first"], first, atol=0.03)
    np.testing.assert_allclose(table["total"], total, atol=0.03)
    np.testing.assert_allclose(table["interaction"], total - first, atol=0.04)
    np.testing.assert_allclose(found.pairs["second"], [0, together, 0], atol=0.04)
    assert found.pairs[["parameter", "other"]].to_numpy().tolist() == [
        ["x1", "x2"], ["x1", "x3"], ["x2", "x3"],
    ]  # fmt: skip
    assert found.evaluations == 1024 * (2 + 3 + 3)
    additive = found.summary.loc[0, "additive"]
    assert additive == pytest.approx(first.sum(), abs=0.06)
    assert found.summary.loc[0, "sd"] == pytest.approx(np.sqrt(49 / 8 / first[1]), rel=0.02)


def test_sobols_own_function_has_its_known_indices() -> None:
    a = np.array([0.0, 1.0, 4.5, 9.0])
    ranges = {f"x{i}": (0, 1) for i in range(4)}

    def g(p: pd.DataFrame) -> dict[str, np.ndarray]:
        return {"g": np.prod((np.abs(4 * p.to_numpy() - 2) + a) / (1 + a), axis=1)}

    part = 1 / 3 / (1 + a) ** 2
    variance = np.prod(1 + part) - 1
    total = part * np.prod(1 + part) / (1 + part) / variance
    table = indices(g, ranges, rng(), n=1024).table("g")
    np.testing.assert_allclose(table["first"], part / variance, atol=0.03)
    np.testing.assert_allclose(table["total"], total, atol=0.03)
    assert (table["total low"] <= total).all()
    assert (total <= table["total high"]).all()


def test_they_are_scipys(found: sensitivity.Indices) -> None:
    base = qmc.Sobol(6, rng=rng()).random(1024) * 2 * np.pi - np.pi
    a, b = base[:, :3], base[:, 3:]

    def value(points: np.ndarray) -> np.ndarray:
        return ishigami(pd.DataFrame(points, columns=list(ISHIGAMI)))["y"].to_numpy()

    mixed = [np.where(np.arange(3) == i, b, a) for i in range(3)]
    func = {
        "f_A": value(a)[None], "f_B": value(b)[None],
        "f_AB": np.stack([value(m)[None] for m in mixed]),
    }  # fmt: skip
    theirs = sobol_indices(func=func, n=1024)
    np.testing.assert_allclose(found.table("y")["first"], theirs.first_order, rtol=1e-9)
    np.testing.assert_allclose(found.table("y")["total"], theirs.total_order, rtol=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_whole_sample_resampled_is_the_estimate(seed: int, parameters: int) -> None:
    f = rng(seed).normal(3.0, 1.0, (2 + parameters, 16))
    (every,) = np.swapaxes(_resampled(f, np.full((1, 16), 1 / 16)), 0, 1)
    np.testing.assert_allclose(every, _estimated(f), rtol=1e-9, atol=1e-12)


@pytest.mark.long
def test_intervals_cover_what_is_known() -> None:
    first, total, _ = ishigami_indices()
    hits = np.zeros((2, 3))
    for seed in range(200):
        table = indices(ishigami, ISHIGAMI, rng(seed), n=256, resamples=300).table("y")
        for row, (name, known) in enumerate((("first", first), ("total", total))):
            hits[row] += (table[f"{name} low"] <= known + 1e-9) & (known <= table[f"{name} high"])
    assert (hits / 200 > 0.88).all(), hits / 200


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    one, same, other = (indices(ishigami, ISHIGAMI, rng(s), n=64).table() for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert (one["first"] != other["first"]).all()


def test_an_outcome_without_indices_says_why_and_leaves_the_others_theirs() -> None:
    def outcomes(p: pd.DataFrame) -> dict[str, np.ndarray]:
        return {
            "x": p.x1.to_numpy(),
            "constant": np.full(len(p), 0.1) * 3,
            "nowhere": np.full(len(p), np.nan),
            "holes": np.where(p.x1 > 0.9, np.inf, p.x1),
        }

    found = indices(outcomes, {"x1": (0, 1), "x2": (0, 1)}, rng(), n=64, pairs=1)
    notes = found.summary.set_index("outcome")["note"]
    assert notes["x"] == ""
    assert notes["constant"] == "constant"
    assert notes["nowhere"] == "not finite at 256 of 256 points"
    assert notes["holes"].startswith("not finite at ")
    assert found.table("x")["first"].tolist() == pytest.approx([1.0, 0.0], abs=0.05)
    assert found.table("x")["total"].iloc[1] == 0.0
    for name in ("constant", "nowhere", "holes"):
        numbers = found.table(name).drop(columns=["outcome", "parameter"])
        assert numbers.isna().all(axis=None), name
    alone = indices(lambda p: {"c": np.ones(len(p))}, {"x1": (0, 1)}, rng(), n=8)
    assert alone.table()["total"].isna().all()
    assert "parameter" in repr(alone)


def test_all_shapes_of_one_table(found: sensitivity.Indices) -> None:
    assert len(found.table()) == 3
    wide = found.matrix("first")
    assert (list(wide.index), list(wide.columns)) == (["x1", "x2", "x3"], ["y"])
    np.testing.assert_array_equal(wide["y"], found.table("y")["first"])
    assert "x2" in repr(found)
    assert "8192 evaluations" in found._repr_html_()
    low, high = found.table()["total low"], found.table()["total high"]
    assert (low <= found.table()["total"]).all()
    assert (found.table()["total"] <= high).all()
    with pytest.raises(ParameterError, match=r"Indices\.table\.outcome: 'z' is unknown"):
        found.table("z")
    with pytest.raises(ParameterError, match=r"did you mean 'total'\?"):
        found.matrix("totl")  # type: ignore[arg-type]


def test_it_is_cited() -> None:
    indices(ishigami, ISHIGAMI, rng(), n=8)
    assert {"sobol2001", "saltelli2010"} <= set(mlsdm.citations().keys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranges": {}}, "indices.ranges: must map names"),
        ({"ranges": {"x": 3}}, r"indices.ranges\['x'\]: must be a Range"),
        ({"ranges": {3: (0, 1)}}, r"indices.ranges\[3\]: must be a Range"),
        ({"ranges": {"x": (1, 0)}}, "Range.high: must be above low = 1"),
        ({"ranges": {"x": (0, np.nan)}}, "Range.high: must be a finite number"),
        ({"ranges": {"x": ("0", 1)}}, "Range.low: must be a finite number"),
        ({"n": 100}, r"indices.n: must be a power of 2 \(got 100\)"),
        ({"n": 0}, "indices.n: must be a whole number of at least 4"),
        ({"rng": 3}, "indices.rng: must be a numpy.random.Generator"),
        ({"level": 1.0}, r"indices.level: must lie in \(0, 1\)"),
        ({"pairs": 4}, r"indices.pairs: must be a whole number in \[0, 3\]"),
        ({"level": "95 %"}, r"indices.level: must lie in \(0, 1\)"),
        ({"resamples": 0}, "indices.resamples: must be a whole number"),
        ({"outcomes": 3}, "indices.outcomes: must be a function"),
        ({"outcomes": lambda p: p.x1}, r"must return numbers by name \(got Series\)"),
        ({"outcomes": lambda p: {}}, "must return numbers by name"),
        ({"outcomes": lambda p: {"y": [1.0]}}, r"outcomes\['y'\]: must be 40 numbers"),
        ({"outcomes": lambda p: {"y": ["a"] * len(p)}}, r"outcomes\['y'\]: must be 40 numbers"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_sentence(
    change: dict[str, object], message: str
) -> None:
    allowed = {"outcomes": ishigami, "ranges": ISHIGAMI, "rng": rng(), "n": 8}
    with pytest.raises(ParameterError, match=message) as refused:
        indices(**allowed | change)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_outcomes_must_have_the_same_names_for_pairs() -> None:
    calls = iter("ab")
    with pytest.raises(ParameterError, match="must return the same names each time"):
        indices(lambda p: {next(calls): p.x1}, ISHIGAMI, rng(), n=8, pairs=1)


@given(
    st.integers(1, 50), st.integers(1, 50), st.booleans(), st.booleans(),
    st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_a_range_holds_what_it_gives(
    low: int, width: int, log: bool, whole: bool, share: float
) -> None:
    one = Range(low, low + width, log=log, whole=whole)
    values = one.at(np.array([0.0, share, 1.0 - 2**-53]))
    assert values.min() >= low
    assert values.max() <= low + width
    assert values[0] == low
    assert values[2] == pytest.approx(low + width)
    assert values.dtype == (np.int64 if whole else np.float64)


def test_whole_numbers_are_alike_likely_and_logarithms_even() -> None:
    shares = (np.arange(1000) + 0.5) / 1000
    assert np.bincount(Range(1, 4, whole=True).at(shares)).tolist() == [0, 250, 250, 250, 250]
    decades = np.log10(Range(0.01, 10, log=True).at(shares))
    assert np.histogram(decades, 3, (-2, 1))[0].tolist() == pytest.approx([333, 333, 334], abs=1)
    with pytest.raises(ParameterError, match="must be above 0 where log is set"):
        Range(0, 1, log=True)
    with pytest.raises(ParameterError, match=r"Range\.high: must be a whole number"):
        Range(0, 1.5, whole=True)


def stream(n: int = 120, dim: int = 6) -> tuple[Stream, np.ndarray]:
    vectors = rhythm_stream(n + 5, dim, 1).need_vectors()
    return replace(moral_stream(n, 0.3, 1), vectors=vectors[:n]), vectors[n:]


def drawn(n: int = 6) -> pd.DataFrame:
    g = rng(3)
    return pd.DataFrame({name: one.at(g.random(n)) for name, one in ENGINE_RANGES.items()})


def test_dotted_names_reach_every_parameter_and_nothing_else_changes() -> None:
    (point,) = drawn(1).to_dict("records")
    base = mlsdm.EngineParams(dim=4)
    changed = with_values(base, point)
    assert changed.moral.step == point["moral.step"]
    assert changed.synapse.decay[2] == point["synapse.decay.2"]
    assert changed.synapse.threshold == tuple(point[f"synapse.threshold.{i}"] for i in (0, 1))
    assert changed.dim == 4
    assert with_values(base, {}) == base
    assert with_values(base, {"dim": 3}).dim == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("moral.stepp", "did you mean 'step'"),
        ("morall.step", "did you mean 'moral'"),
        ("synapse.decay.3", r"synapse\.decay\.3: must end in a number from 0 to 2"),
        ("synapse.decay.x", "must end in a number from 0 to 2"),
        ("moral.step.0", "step"),
    ],
)
def test_a_wrong_name_is_refused(name: str, message: str) -> None:
    events, _ = stream()
    with pytest.raises(ParameterError, match=message):
        engine_outcomes(events)(pd.DataFrame({name: [0.1]}))


def test_the_ranges_hold_the_published_values_and_only_allowed_ones() -> None:
    published = mlsdm.EngineParams.published()
    for name, one in FILTER_RANGES.items():
        part, field = name.split(".")
        assert one.low <= getattr(getattr(published, part), field) <= one.high, name
    for corner in (0.0, 1.0 - 2**-53):
        point = {name: one.at(np.array([corner]))[0] for name, one in ENGINE_RANGES.items()}
        with_values(published, point)
    numbers = {n for n in FILTER_RANGES if n.startswith("moral.")}
    assert numbers == {f"moral.{n}" for n in mlsdm.MoralParams().field_names() if n != "policy"}


def test_the_engines_outcomes_are_those_of_its_runs() -> None:
    events, queries = stream()
    points = drawn()
    found = engine_outcomes(events, queries=queries)(points)
    for i, point in enumerate(points.to_dict("records")):
        params = with_values(mlsdm.EngineParams(dim=6), point)
        run = mlsdm.simulate(params, events.vectors, events.moral_values)
        toxic = events.need_toxic()
        assert found["toxic passed"][i] == pytest.approx(metrics.toxic_passed(run, toxic))
        assert found["safe refused"][i] == pytest.approx(metrics.false_positives(run, toxic))
        summary = run.summary()
        assert found["asleep"][i] == pytest.approx(summary["share asleep"])
        assert found["committed"][i] == pytest.approx(summary["committed"] / 120)
        assert found["rows"][i] == summary["rows"]
        assert found["level 2"][i] == pytest.approx(run.norms[:, 1].mean())
        recalls = [run.engine.lattice.retrieve(q, params.rhythm.wake_phase) for q in queries]
        expected = metrics.semantic_coherence(recalls)
        assert found["coherence"][i] == pytest.approx(expected)
        assert found["span"][i] == span_by_hand(params, run)


def span_by_hand(params: mlsdm.EngineParams, run: mlsdm.Result) -> int:
    """Keep the ring as a list of the events whose commit wrote each row; None for replays."""
    ring: list[int | None] = []
    wake: list[int] = []
    before = "wake"
    for event, (committed, phase) in enumerate(zip(run.committed, run.phase, strict=True)):
        if committed:
            ring.append(event)
            wake.append(event)
        if phase == "sleep" and before == "wake":
            ring += [None] * min(len(wake), params.lattice.capacity)
            wake = []
        before = phase
    held = [event for event in ring[-params.lattice.capacity :] if event is not None]
    return len(run) - held[0] if held else 0


def test_a_stream_without_vectors_has_the_same_filter() -> None:
    events, _ = stream()
    points = drawn()
    whole = engine_outcomes(events)(points)
    quick = engine_outcomes(replace(events, vectors=None))(points)
    assert set(whole) - set(quick) == {"rows", "level 1", "level 2", "level 3", "span"}
    for name in quick:
        np.testing.assert_allclose(quick[name], whole[name], err_msg=name)
    unlabelled = engine_outcomes(Stream(moral_values=events.moral_values))(points)
    assert set(quick) - set(unlabelled) == {"toxic passed", "safe refused"}


def test_cycles_are_counted_per_hundred_events() -> None:
    events = Stream(moral_values=np.full(4000, 0.6))
    params = mlsdm.EngineParams()
    run = mlsdm.simulate(params, None, events.moral_values)
    cycles = engine_outcomes(events)(pd.DataFrame({"moral.step": [0.05, 0.0]}))["cycles"]
    assert cycles[0] == pytest.approx(100 / metrics.period(run.threshold), rel=0.02)
    assert cycles[1] == 0.0


def test_the_memory_decides_nothing_that_the_filter_does() -> None:
    events, _ = stream(60)
    ranges = {name: ENGINE_RANGES[name] for name in ("moral.target_rate", "synapse.decay.0")}
    found = indices(engine_outcomes(events), ranges, generator(0, "sensitivity"), n=32)
    total = found.matrix()
    assert total.loc["synapse.decay.0", "accepted"] == 0.0
    assert total.loc["moral.target_rate", "accepted"] == pytest.approx(1.0, abs=0.2)
    assert total.loc["synapse.decay.0", "level 1"] > 0.5


def test_engine_outcomes_refuses_what_it_cannot_run() -> None:
    events, queries = stream()
    with pytest.raises(ParameterError, match=r"engine_outcomes\.stream: must be a Stream"):
        engine_outcomes(events.moral_values)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"engine_outcomes\.stream: must be a Stream"):
        engine_outcomes(Stream(moral_values=np.array([])))
    with pytest.raises(ParameterError, match="the stream has no vectors"):
        engine_outcomes(replace(events, vectors=None), queries=queries)
    with pytest.raises(ParameterError, match=r"engine_outcomes\.params: must be EngineParams"):
        engine_outcomes(events, 3)  # type: ignore[arg-type]
    for points in (3, pd.DataFrame({"moral.step": []})):
        with pytest.raises(ParameterError, match=r"engine_outcomes\.points: must be a DataFrame"):
            engine_outcomes(events)(points)  # type: ignore[arg-type]
    for whole, part in (("moral", "moral.step"), ("synapse.decay", "synapse.decay.0")):
        with pytest.raises(ParameterError, match=rf"with_values\.{part}: is given twice"):
            engine_outcomes(events)(pd.DataFrame({whole: [0.1], part: [0.1]}))


def test_bars_show_both_indices_with_their_intervals(found: sensitivity.Indices) -> None:
    figure = plots.index_bars(found.table(), most=2, title="Ishigami")
    axis = figure.axes[0]
    assert axis.get_title(loc="left") == "y"
    assert [text.get_text() for text in axis.get_yticklabels()] == ["x1", "x2"]
    widths = [patch.get_width() for patch in axis.patches]
    top = found.table().nlargest(2, "total")
    assert widths == pytest.approx([*top["total"], *top["first"]])
    with pytest.raises(ParameterError, match=r"index_bars\.outcomes: 'z' is not in the table"):
        plots.index_bars(found.table(), ["z"])
    with pytest.raises(ParameterError, match="must have the column"):
        plots.index_bars(found.table().drop(columns="total low"))


def test_the_map_has_a_cell_for_each_and_writes_what_matters() -> None:
    matrix = pd.DataFrame({"y": [0.7, 0.01], "c": [np.nan, np.nan]}, index=["a", "b"])
    axis = plots.index_map(matrix).axes[0]
    assert [text.get_text() for text in axis.texts] == ["0.70"]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["y", "c"]
    with pytest.raises(ParameterError, match=r"index_map\.matrix: must have a parameter"):
        plots.index_map(matrix.iloc[:0])
