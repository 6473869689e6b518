from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mlsdm.analysis.statistics import Interval
from mlsdm.errors import DataError, ParameterError
from mlsdm.evidence import claims, judge
from mlsdm.record import MIME, Record, record, records
from mlsdm.recordable import content
from mlsdm.streams import Stream

# The public function of that name may hide the module as an attribute of the package.
module = importlib.import_module("mlsdm.record")
PNG = b"\x89PNG\r\n\x1a\n"
DATASET = {
    "source": "s",
    "events": 3,
    "toxic_share": 0.5,
    "scorer": None,
    "dimension": None,
    "digest": "0" * 64,
}
names = st.from_regex(module._PART, fullmatch=True).filter(
    lambda name: len(name.encode()) <= 200 and name not in module.RESERVED
)
floats = st.floats(width=64)
cells = st.one_of(st.none(), st.booleans(), st.integers(), floats, st.text(max_size=9))
values = st.one_of(
    floats,
    st.builds(
        lambda mean, bounds, n: Interval(mean, min(bounds), max(bounds), n),
        floats,
        st.tuples(floats, floats),
        st.integers(0, 10**6),
    ),
    st.booleans(),
    st.integers(-(10**300), 10**300),
    st.lists(floats, max_size=9),
    st.dictionaries(st.integers(-(2**62), 2**62), floats, min_size=1, max_size=9).map(
        lambda points: pd.Series(points, dtype=float).sort_index()
    ),
    st.integers(0, 4).flatmap(
        lambda rows: st.dictionaries(
            st.text(max_size=5), st.lists(cells, min_size=rows, max_size=rows), max_size=4
        ).map(lambda columns: pd.DataFrame(columns, dtype=object))
    ),
)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """A stream with some of its parts."""
    n = draw(st.integers(0, 5))
    parts: dict[str, Any] = {"moral_values": np.linspace(0, 1, n)}
    if draw(st.booleans()):
        parts["vectors"] = np.ones((n, draw(st.integers(1, 4))), np.float32)
    if draw(st.booleans()):
        parts["toxic"] = np.arange(n) % 2 == 0
    if draw(st.booleans()):
        parts["texts"] = [draw(st.text(max_size=5)) for _ in range(n)]
    return Stream(**parts, source=draw(st.text(max_size=9)), scorer=draw(st.none() | st.text()))


def notebook_of(*made: Record) -> nbformat.NotebookNode:
    outputs = [new_output("display_data", data=module._bundle(one)) for one in made]
    notebook = new_notebook(cells=[new_code_cell("record(…)", outputs=outputs)])
    strict = json.dumps(notebook, allow_nan=False)
    return nbformat.reads(strict, as_version=4)


def made(value: object, name: str = "x", **fields: Any) -> Record:
    return Record(name=name, **content(value), **fields)


@given(name=names, value=values, unit=st.text(max_size=5))
def test_what_is_recorded_is_read_back_exactly(name: str, value: object, unit: str) -> None:
    one = made(value, name, unit=unit)
    read = records(notebook_of(one))
    assert read == [one]
    assert [list(map(repr, row)) for row in read[0].rows] == [
        list(map(repr, row)) for row in one.rows
    ]


@given(numbers=st.lists(floats))
def test_numbers_that_are_not_finite_are_none_and_counted(numbers: list[float]) -> None:
    one = made(numbers)
    assert one.values == tuple(x if math.isfinite(x) else None for x in numbers)
    assert one.nonfinite == sum(not math.isfinite(x) for x in numbers)


@given(numbers=st.lists(floats))
@example(numbers=[sys.float_info.max] * 3)
def test_every_series_can_be_shown(numbers: list[float]) -> None:
    one = made(numbers)
    shown = module._bundle(one)
    assert shown["text/plain"].startswith(f"x: {len(numbers)} values")
    assert "inf" not in shown["text/html"]
    assert "nan" not in shown["text/html"]


@given(stream=streams())
def test_of_a_dataset_what_is_known_is_read_back(stream: Stream) -> None:
    one = made(stream, "data/stream")
    assert records(notebook_of(one)) == [one]
    data = one.dataset
    assert data is not None
    assert (data.events, data.source, data.scorer) == (len(stream), stream.source, stream.scorer)
    known = stream.toxic is not None and len(stream) > 0
    assert data.toxic_share == (stream.need_toxic().mean() if known else None)
    assert data.dimension == (None if stream.vectors is None else stream.vectors.shape[1])
    assert one.text == f"data/stream: {data.text}"


def test_a_digest_tells_datasets_apart() -> None:
    values, toxic = np.array([0.1, 0.9]), np.array([True, False])
    vectors = np.eye(2, dtype=np.float32)
    base = Stream(values, vectors, toxic, ["a", "b"], source="s")
    others = [
        dataclasses.replace(base, moral_values=np.array([0.1, 0.8])),
        dataclasses.replace(base, vectors=vectors[::-1].copy()),
        dataclasses.replace(base, vectors=None),
        dataclasses.replace(base, toxic=~toxic),
        dataclasses.replace(base, toxic=None),
        dataclasses.replace(base, texts=["a", "c"]),
        dataclasses.replace(base, texts=None),
    ]
    digests = [made(stream).dataset.digest for stream in (base, *others)]  # type: ignore[union-attr]
    assert len(set(digests)) == len(digests)
    # Where it lies, what it is called and how its bytes are ordered makes no other dataset.
    swapped = values.astype(">f8")
    strided = np.asfortranarray(vectors)
    same = dataclasses.replace(base, moral_values=swapped, vectors=strided, source="elsewhere")
    assert made(same).dataset.digest == digests[0]  # type: ignore[union-attr]


def test_a_dataset_is_shown_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Stream(
        np.array([0.1, 0.9, 0.8]),
        np.zeros((3, 4), np.float32),
        np.array([True, False, False]),
        source="comments",
        scorer="vader",
    )
    record("data/comments", stream)
    line = "data/comments: 3 events, 33.3% toxic, 4-d vectors, scored by vader; comments\n"
    assert capsys.readouterr().out == line
    record("data/bare", Stream(np.array([0.5])))
    assert capsys.readouterr().out == "data/bare: 1 events; no source given\n"


def test_a_judgement_and_a_figure_are_read_back() -> None:
    judged = made(0.02, unit="ms", judgement=judge("latency.p50", 0.02))
    drawn = Record("figure", "f", png=PNG + b"12")
    assert records(notebook_of(judged, drawn)) == [judged, drawn]
    bundle = module._bundle(drawn)
    assert set(bundle) == {MIME, "text/plain", "image/png"}
    assert "png" not in bundle[MIME]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (True, "metric", {"value": 1.0}),
        (np.float32(0.5), "metric", {"value": 0.5}),
        (np.bool_(False), "metric", {"value": 0.0}),
        (np.array(3), "metric", {"value": 3.0}),
        (10**30, "metric", {"value": 1e30}),
        (float("inf"), "metric", {"value": None, "nonfinite": 1}),
        (Interval(0.3, 0.2, 0.4, 9), "metric", {"value": 0.3, "interval": (0.2, 0.4, 9)}),
        (
            Interval(np.float32(0.5), math.nan, math.nan, np.int64(1)),
            "metric",
            {"value": 0.5, "interval": (None, None, 1), "nonfinite": 0},
        ),
        (
            Interval(math.nan, math.nan, math.nan, 0),
            "metric",
            {"value": None, "interval": (None, None, 0), "nonfinite": 1},
        ),
        ([], "series", {"values": ()}),
        ((1, 2.5), "series", {"values": (1.0, 2.5), "steps": (0, 1)}),
        (np.array([True, False]), "series", {"values": (1.0, 0.0)}),
        (pd.Series([1, 2], index=[10, 20]), "series", {"steps": (10, 20)}),
        (pd.Series([1, 2], index=["a", "b"]), "series", {"steps": (0, 1)}),
        (pd.Series([1, None], dtype="Int64"), "series", {"values": (1.0, None), "nonfinite": 1}),
    ],
)
def test_kind_follows_from_the_type(value: object, kind: str, expected: dict[str, Any]) -> None:
    one = made(value)
    assert one.kind == kind
    assert {key: getattr(one, key) for key in expected} == expected


@pytest.mark.parametrize(
    "value",
    [
        1j,
        "1",
        None,
        [1, "a"],
        [[1], [2, 3]],
        [None],
        {1, 2},
        np.zeros((2, 2)),
        np.timedelta64(1, "s"),
        np.ma.array([1, 2], mask=[False, True]),
        pd.Series([1j]),
        pd.Series(["a"]),
        10**400,
    ],
)
def test_what_is_no_result_is_refused(value: object) -> None:
    with pytest.raises(ParameterError, match=r"^record.value: must be a real number.*\(got \w+\)$"):
        record("x", value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Interval("a", 0.0, 1.0, 2), "must be a real number"),  # type: ignore[arg-type]
        (Interval([1.0], 0.0, 1.0, 2), "an Interval must hold numbers"),  # type: ignore[arg-type]
        (Interval(0.5, 0.0, 1.0, 2.5), "record.value.n: must be a whole"),  # type: ignore[arg-type]
        (Interval(0.5, 0.0, 1.0, -1), "record.value.n: must be a whole number of at least 0"),
        (Interval(0.5, 1.0, 0.0, 2), "its bounds in order"),
    ],
)
def test_intervals_that_are_none_are_refused(value: Interval, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        record("x", value)


@pytest.mark.parametrize("index", [[1, 1], [2, 1]])
def test_steps_must_increase(index: list[int]) -> None:
    with pytest.raises(ParameterError, match="must increase strictly"):
        record("x", pd.Series([0.0, 1.0], index=index))


@pytest.mark.parametrize(
    "name",
    ["", "a(b", "a:b", "..", "../x", "a/../b", "/a", "a/", "a//b", " a", "a\n", "é" * 101, 3, None],
)
def test_names_that_leave_the_folder_or_break_mlflow_are_refused(name: Any) -> None:
    with pytest.raises(ParameterError, match=r"^record.name: must be letters"):
        record(name, 1.0)


@pytest.mark.parametrize("name", [f"{group}/x" for group in module.RESERVED])
def test_names_that_the_tracking_writes_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="are mlsdm's own"):
        record(name, 1.0)


@given(name=st.lists(names, min_size=1, max_size=3).map("/".join))
def test_mlflow_takes_every_name_that_is_taken(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    try:
        checked = module.check_name("x", name)
    except ParameterError:
        assert len(name.encode()) > 200
    else:
        _validate_metric_name(checked)
        assert not Path(checked).is_absolute()


def test_a_table_keeps_its_cells_and_a_named_index() -> None:
    frame = pd.DataFrame(
        {
            "n": [1, 2],
            "x": [0.1, math.inf],
            "who": ["a", None],
            "when": pd.to_datetime(["2020-01-01", None]),
            "mixed": [math.inf, math.nan],
            ("two", "levels"): [True, False],
        },
        index=pd.Index([7, 8], name="seed"),
    )
    frame["mixed"] = frame["mixed"].astype(object)
    one = made(frame)
    assert one.columns == ("seed", "n", "x", "who", "when", "mixed", "two/levels")
    assert one.rows == (
        (7, 1, 0.1, "a", "2020-01-01T00:00:00", None, True),
        (8, 2, None, None, None, None, False),
    )
    assert one.nonfinite == 2  # NaN among objects is a missing text, not a number
    assert made(frame.reset_index(drop=True)).columns[0] == "n"
    assert made(pd.DataFrame({"a": [np.float32(0.5), "x"]})).rows == ((0.5,), ("x",))


def test_a_table_of_anything_else_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"column 'a' must hold .* \(got list\)"):
        record("t", pd.DataFrame({"a": [[1]]}))
    with pytest.raises(ParameterError, match="two columns 'a'"):
        record("t", pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_text_is_short_and_rounded() -> None:
    assert made(2 / 3, unit="ms").text == "x: 0.6667 ms"
    assert made(20000.0).text == "x: 20000"
    assert made(123456.789).text == "x: 123457"
    assert made(math.nan).text == "x: n/a"
    spread = Interval(0.3, 0.29, 0.31, 200)
    assert made(spread).text == "x: 0.3 [0.29, 0.31], 200 seeds"
    assert made(spread, unit="ms").text == "x: 0.3 ms [0.29, 0.31], 200 seeds"
    assert "0.3 [0.29, 0.31], 200 seeds" in module._bundle(made(spread))["text/html"]
    assert made(Interval(2.0, math.nan, math.nan, 1)).text == "x: 2, 1 seed"
    judged = made(Interval(0.02, 0.01, 0.03, 5), judgement=judge("latency.p50", 0.02))
    assert judged.text == "x: 0.02 ms [0.01, 0.03], 5 seeds, stated < 10 ms: met"
    assert made([1.0, 2.0, math.nan], unit="V").text == (
        "x: 3 values, min 1, mean 1.5, max 2, last n/a V, 1 not finite"
    )
    judged = made(0.02, judgement=judge("latency.p50", 0.02))
    assert judged.text == "x: 0.02 ms, stated < 10 ms: met"
    table = module._bundle(made(pd.DataFrame({"a": range(20), "b": 1 / 3})))["text/plain"]
    assert table.splitlines()[:3] == ["x: 20 rows × 2 columns", " a       b", " 0  0.3333"]
    assert table.splitlines()[-1] == "… 8 more rows"


def test_html_is_escaped_and_holds_no_script() -> None:
    frame = pd.DataFrame({"<b>": ["<script>alert(1)</script>"]})
    for one in (made(frame), made(1.0, unit="<script>"), made([1.0, 2.0], unit="<script>")):
        assert "<script" not in module._bundle(one)["text/html"]
    assert "<svg" in module._bundle(made([1.0, 2.0]))["text/html"]


def test_outside_a_notebook_the_text_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    record("a/b", 1.5, unit="ms")
    assert capsys.readouterr().out == "a/b: 1.5 ms\n"


def test_a_metric_is_held_to_what_is_stated(capsys: pytest.CaptureFixture[str]) -> None:
    claim = claims()["moral.toxic_rejection"]
    record("claim", claim.stated, stated=claim.id)
    assert capsys.readouterr().out.endswith(": reproduced\n")
    record("P50", math.nan, stated="latency.p50")
    assert capsys.readouterr().out.endswith(": not met\n")
    with pytest.raises(ParameterError, match=r"did you mean 'latency\.p50'"):
        record("P50", 1.0, stated="latency.p-50")
    with pytest.raises(ParameterError, match=r"record.unit: 'latency.p50' is stated in ms"):
        record("P50", 1.0, unit="s", stated="latency.p50")
    with pytest.raises(ParameterError, match="only a metric can be judged"):
        record("P50", [1.0], stated="latency.p50")
    with pytest.raises(ParameterError, match=r"record.unit: must be text"):
        record("P50", 1.0, unit=3)  # type: ignore[arg-type]


def test_a_figure_becomes_the_same_png_each_time() -> None:
    figure = Figure()
    figure.add_subplot().plot([1, 2])
    assert made(figure).png == made(figure).png
    assert made(figure).png.startswith(PNG)


def test_an_executed_notebook_holds_its_records(recorded: nbformat.NotebookNode) -> None:
    found = {one.name: one for one in records(recorded)}
    assert found["safety/rejection"].value == 0.1 + 0.2
    assert found["no number"].nonfinite == 1
    assert found["P50 latency"].judgement == judge("latency.p50", float(np.float32(0.02)))
    assert found["θ/threshold"].steps == (0, 5, 9)
    assert found["θ/threshold"].values == (0.5, None, 0.4)
    assert found["cells"].rows == ((1, 1 / 3, "é"), (2, None, None))
    assert found["θ/course"].png.startswith(PNG)
    images = [o for c in recorded.cells for o in c.outputs if "image/png" in o.get("data", {})]
    assert len(images) == 1  # closed, so the inline backend does not show it again


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"kind": "metric"}, "name: Missing required argument|name: Field required"),
        ({"kind": "metric", "name": "x", "value": "1"}, "value: Input should be a valid number"),
        ({"kind": "metric", "name": "x"}, "record.value: 'x' holds no number"),
        ({"kind": "metric", "name": "x", "value": math.nan}, "not JSON compliant"),
        ({"kind": "metric", "name": "../x", "value": 1.0}, "record.name: must be letters"),
        (
            {"kind": "metric", "name": "x", "value": 1.0, "interval": [2.0, 1.0, 3]},
            "its bounds in order",
        ),
        (
            {"kind": "metric", "name": "x", "value": 1.0, "interval": [1.0, "2", 3]},
            "interval: 1: Input should be a valid number",
        ),
        (
            {"kind": "series", "name": "x", "interval": [1.0, 2.0, 3]},
            "must belong to a metric",
        ),
        ({"kind": "odd", "name": "x"}, "kind: Input should be"),
        ({"kind": "series", "name": "x", "steps": [1], "values": []}, "lengths in 'x'"),
        ({"kind": "table", "name": "x", "columns": ["a"], "rows": [[1, 2]]}, "lengths in 'x'"),
        ({"kind": "metric", "name": "x", "value": 1.0, "more": 1}, "more: Unexpected"),
        ({"kind": "figure", "name": "x"}, "'x' has no PNG image"),
        ([], "Input should be"),
        ({"kind": "dataset", "name": "x"}, "'x' must hold a dataset"),
        ({"kind": "metric", "name": "x", "value": 1.0, "dataset": DATASET}, "to a dataset"),
        ({"kind": "dataset", "name": "x", "dataset": DATASET, "value": 1.0}, "to a metric"),
        ({"kind": "figure", "name": "x", "steps": [1], "values": [1.0]}, "to a series"),
        ({"kind": "series", "name": "x", "columns": ["a"]}, "to a table"),
        ({"kind": "dataset", "name": "x", "dataset": {}}, "dataset: source: "),
        ({"kind": "dataset", "name": "x", "dataset": {**DATASET, "more": 1}}, "dataset: more: "),
        ({"kind": "dataset", "name": "x", "dataset": {**DATASET, "events": 1.5}}, "events: Input"),
        ({"kind": "dataset", "name": "x", "dataset": {**DATASET, "events": -1}}, "at least 0"),
        ({"kind": "dataset", "name": "x", "dataset": {**DATASET, "digest": "a"}}, "a SHA-256"),
        ({"kind": "dataset", "name": "x", "dataset": {**DATASET, "toxic_share": 2.0}}, "share"),
        ({"kind": "dataset", "name": "x", "dataset": {**DATASET, "dimension": -1}}, "dimensions"),
    ],
)
def test_a_malformed_record_names_its_cell(payload: object, message: str) -> None:
    notebook = notebook_of(made(1.0))
    notebook.cells.append(notebook_of(made(2.0)).cells[0])
    notebook.cells[1].outputs[0].data[MIME] = payload
    with pytest.raises(DataError, match=rf"^notebook: cell 2: .*({message})"):
        records(notebook)


def test_other_outputs_are_no_records() -> None:
    stream = new_output("stream", text="P50: 1 ms\n")
    shown = new_output("display_data", data={"text/plain": "x: 1"})
    cells = [new_code_cell(outputs=[stream, shown]), new_markdown_cell("x: 1")]
    assert records(new_notebook(cells=cells)) == []


def test_nbval_compares_what_is_shown_and_not_the_last_bits(tmp_path: Path) -> None:
    def outcome(stored: float) -> str:
        notebook = notebook_of(made(stored))
        notebook.cells[0].source = "from mlsdm.record import record\nrecord('x', 0.1 + 0.2)"
        notebook.cells[0].execution_count = 1
        nbformat.write(notebook, tmp_path / "n.ipynb")
        settings = Path(__file__).parent.parent / "notebooks" / "conftest.py"
        shutil.copy(settings, tmp_path)
        arguments = ["--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", *arguments, "-c", "/dev/null", "n.ipynb"]
        # Not our own session's options: two sessions would share one coverage file.
        env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        return done.stdout.strip().splitlines()[-1]

    assert "1 passed" in outcome(0.3)
    assert "1 failed" in outcome(0.31)
