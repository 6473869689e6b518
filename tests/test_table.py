from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import outcome

from mlsdm.errors import DataError
from mlsdm.sweep.table import tidy, write

names = st.text(st.characters(exclude_characters=".", exclude_categories=["Cs"]), max_size=4)
plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)
)
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
parameters = st.dictionaries(names, values | st.dictionaries(names, values, max_size=3), max_size=4)
metrics = st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=3)
outcomes = st.builds(
    outcome,
    metrics,
    status=st.sampled_from(["FINISHED", "FAILED", "KILLED"]),
    seed=st.none() | st.integers(0, 2**63 - 1),
    parameters=parameters,
    cause=st.text(st.characters(), max_size=9),
)


@given(st.lists(outcomes, max_size=5))
def test_a_table_comes_back_from_parquet(
    tmp_path_factory: pytest.TempPathFactory, made: list[Any]
) -> None:
    frame = tidy(made)
    assert len(frame) == len(made)
    assert frame["run_id"].tolist() == [run.run_id for run in made]
    path = tmp_path_factory.getbasetemp() / "table.parquet"
    write(frame, path, "parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)
    write(frame, path, "csv")
    assert path.stat().st_size > 0


@given(st.lists(metrics, min_size=1, max_size=5))
def test_every_metric_has_a_column(made: list[dict[str, float]]) -> None:
    frame = tidy([outcome(one) for one in made])
    columns = [name for name in frame.columns if name.startswith("metrics.")]
    assert columns == sorted({f"metrics.{name}" for one in made for name in one})
    for name in columns:
        expected = [one.get(name.removeprefix("metrics."), math.nan) for one in made]
        assert list(map(repr, frame[name].tolist())) == list(map(repr, expected))


def test_one_row_per_run() -> None:
    engine = {"dim": 8, "moral": {"step": 0.1}, "empty": {}}
    made = [
        outcome(
            {"x": 1.0, "dim": 2.0},
            run_id="a",
            parameters={"seed": 7, "engine": engine, "seeds": [1, 2], "on": True, "name": "é"},
            seconds=2.5,
        ),
        outcome(
            {"y": 1.0},
            run_id="b",
            status="FAILED",
            cause="dead",
            parameters={"seed": None, "engine": {"dim": 9}, "on": None, "mixed": 1},
        ),
    ]
    frame = tidy(made)
    assert frame.dtypes.map(str).to_dict() == {
        "run_id": "string",
        "status": "string",
        "cause": "string",
        "seed": "Int64",
        "seconds": "float64",
        "params.seed": "Int64",
        "params.engine.dim": "Int64",
        "params.engine.moral.step": "float64",
        "params.engine.empty": "string",
        "params.seeds": "string",
        "params.on": "boolean",
        "params.name": "string",
        "params.mixed": "Int64",
        "metrics.dim": "float64",
        "metrics.x": "float64",
        "metrics.y": "float64",
    }
    first, second = frame.astype(object).where(frame.notna(), None).to_dict("records")
    assert first == {
        "run_id": "a",
        "status": "FINISHED",
        "cause": "",
        "seed": 7,
        "seconds": 2.5,
        "params.seed": 7,
        "params.engine.dim": 8,
        "params.engine.moral.step": 0.1,
        "params.engine.empty": "{}",
        "params.seeds": "[1, 2]",
        "params.on": True,
        "params.name": "é",
        "params.mixed": None,
        "metrics.dim": 2.0,
        "metrics.x": 1.0,
        "metrics.y": None,
    }
    assert (second["seed"], second["cause"], second["params.engine.dim"]) == (None, "dead", 9)


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        ([1, 2.5], "float64", [1.0, 2.5]),
        ([1, "1"], "string", ["1", '"1"']),
        ([[1], "a"], "string", ["[1]", '"a"']),
        ([True, 1], "string", ["true", "1"]),
        ([2**70, 1], "string", [str(2**70), "1"]),
        ([2**63 - 1, -(2**63)], "Int64", [2**63 - 1, -(2**63)]),
        (["b\ud800", "a"], "string", ["b?", "a"]),
    ],
)
def test_a_parameter_of_several_types_is_json(
    given: list[Any], dtype: str, expected: list[Any]
) -> None:
    column = tidy([outcome(parameters={"p": value}) for value in given])["params.p"]
    assert str(column.dtype) == dtype
    assert column.tolist() == expected


@pytest.mark.parametrize(
    ("seeds", "dtype"), [([1, None], "Int64"), ([None], "Int64"), ([2**64], "string")]
)
def test_seeds_may_be_absent_or_large(seeds: list[int | None], dtype: str) -> None:
    column = tidy([outcome(seed=seed) for seed in seeds])["seed"]
    assert str(column.dtype) == dtype
    assert [None if pd.isna(seed) else int(seed) for seed in column] == seeds


def test_nothing_is_a_table_without_rows() -> None:
    assert list(tidy([]).columns) == ["run_id", "status", "cause", "seed", "seconds"]


def test_a_csv_file_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")
    write(tidy([outcome({"x": 0.1}, run_id="a", status="FAILED", cause='a,"b"\nc')]), path, "csv")
    read = pd.read_csv(path)
    assert read.loc[0, ["run_id", "cause", "metrics.x"]].tolist() == ["a", 'a,"b"\nc', 0.1]
    assert [found.name for found in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, to: Any) -> None:
    with pytest.raises(DataError, match=r"absent/t: cannot be written: No such file"):
        write(tidy([]), tmp_path / "absent" / "t", to)
    (tmp_path / "t").mkdir()
    with pytest.raises(DataError, match=r"t: cannot be written: "):
        write(tidy([outcome()]), tmp_path / "t", to)
    assert [found.name for found in tmp_path.iterdir()] == ["t"]
