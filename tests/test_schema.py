from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import make_notebook

from mlsdm.errors import DataError, ParameterError
from mlsdm.plan.parameter import Range
from mlsdm.plan.schema import Schema, read_schema

CELL = '''"""What the notebook takes."""
from typing import Literal

n: int = 2000  # events, in [1, 100000]
share: float = 0.3  # toxic share, in (0, 1]
seed: int | None = None  # drawn when None; >= 0
shares: list[float] = [0.1, 0.2]  # each in [0, 1)
sizes: list[int] = [8]  # >= 1
names: list[str] = ["a"]
clock: Literal["event", "commit"] = "event"
level: Literal[1, 2] | None = None
label: str = "plain"  # text, in [0, 1], which is no range of a text
fast: bool = False
extra: dict = {}
many: list[int] = [
    1,
    2,
]  # on the last line, < 10
'''


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    return read_schema(make_notebook(tmp_path_factory.mktemp("nb") / "02-moral.ipynb", CELL))


def test_the_cell_is_read_in_order_with_its_comments_and_lines(schema: Schema) -> None:
    assert list(schema.parameters)[:3] == ["n", "share", "seed"]
    share = schema.parameters["share"]
    assert (share.annotation, share.default, share.line) == ("float", 0.3, 5)
    assert share.comment == "toxic share, in (0, 1]"
    assert schema.parameters["many"].comment == "on the last line, < 10"
    assert schema.defaults["shares"] == [0.1, 0.2]


def test_the_notebook_is_never_run(tmp_path: Path) -> None:
    path = make_notebook(tmp_path / "a.ipynb", "n: int = print('ran') or 1")
    with pytest.raises(DataError, match="literal"):
        read_schema(path)


def test_a_notebook_without_a_tagged_cell_has_no_parameters(tmp_path: Path) -> None:
    path = make_notebook(tmp_path / "a.ipynb", "n: int = 1")
    content = json.loads(path.read_text())
    for cell in content["cells"]:
        cell["metadata"] = {}
    path.write_text(json.dumps(content))
    schema = read_schema(path)
    assert schema.validate({}) == {}
    with pytest.raises(ParameterError, match="unknown parameter; it has none"):
        schema.validate({"n": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 1),
        ("n", 100_000),
        ("share", 1),
        ("seed", None),
        ("seed", 0),
        ("shares", []),
        ("shares", [0, 0.5]),
        ("names", ["1"]),
        ("clock", "commit"),
        ("level", None),
        ("level", 2),
        ("label", ""),
        ("fast", True),
        ("extra", {"a": [1, None, {"b": "c"}]}),
    ],
)
def test_what_is_allowed_is_kept_as_it_is(schema: Schema, name: str, value: object) -> None:
    full = schema.validate({name: value})
    assert full[name] == value
    assert type(full[name]) is type(value)
    assert list(full) == list(schema.parameters)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("n", 0, "02-moral.n: must be int, in [1, 100000] (got 0; line 4 of the parameters cell)"),
        ("n", 100_001, "in [1, 100000] (got 100001"),
        ("n", "7", "must be int, in [1, 100000] (got '7'"),
        ("n", 3.0, "(got 3.0"),
        ("n", True, "(got True"),
        ("n", None, "(got None"),
        ("share", 0, "must be float, in (0, 1] (got 0"),
        ("share", math.nan, "(got nan"),
        ("share", math.inf, "(got inf"),
        ("share", "0.1", "(got '0.1'"),
        ("seed", -1, "must be int | None, >= 0 (got -1"),
        ("shares", [0.5, 1], "must be list[float], each in [0, 1) (got [0.5, 1]"),
        ("shares", (0.5,), "(got (0.5,)"),
        ("shares", [0.5, None], "(got [0.5, None]"),
        ("sizes", [True], "(got [True]"),
        ("sizes", [1, 0], "each >= 1 (got [1, 0]"),
        ("names", [1], "must be list[str] (got [1]"),
        ("clock", "evnt", "must be Literal['event', 'commit'] (got 'evnt'"),
        ("level", True, "(got True"),
        ("label", 7, "must be str (got 7"),
        ("fast", 1, "must be bool (got 1"),
        ("extra", {"a": math.nan}, "must be dict (got {'a': nan}"),
        ("extra", {1: 2}, "must be dict (got {1: 2}"),
        ("extra", [], "must be dict (got []"),
        ("many", [10], "each < 10 (got [10]"),
        ("sed", 1, "02-moral.sed: unknown parameter; did you mean 'seed'?"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_sentence(
    schema: Schema, name: str, value: object, sentence: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        schema.validate({name: value})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_that_was_given_cannot_change_later(schema: Schema) -> None:
    given_shares = [0.5]
    full = schema.validate({"shares": given_shares})
    given_shares.append(7.0)
    full["extra"]["later"] = 1
    assert full["shares"] == [0.5]
    assert schema.defaults["extra"] == {}


def test_only_what_differs_is_named(schema: Schema) -> None:
    full = schema.validate({"n": 5, "share": 0.3, "shares": [0.1, 0.2]})
    assert schema.differing(full) == {"n": 5}
    assert schema.differing({}) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n=3", 3),
        ("share=1e-3", 0.001),
        ("share=1", 1),
        ("seed=null", None),
        ("seed=None", None),
        ("shares=[0.1, 0.2]", [0.1, 0.2]),
        ("names=[7, on]", ["7", "on"]),
        ("clock=commit", "commit"),
        ("level=2", 2),
        ("label=7", "7"),
        ("label=a=b # c", "a=b # c"),
        ("label=", ""),
        ("fast=true", True),
        ("extra={a: 1}", {"a": 1}),
    ],
)
def test_the_text_of_a_value_is_read_by_its_type(schema: Schema, text: str, value: object) -> None:
    name = text.partition("=")[0]
    parsed = schema.parse([text])[name]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["n=x"], "must be int, in [1, 100000] (got 'x'"),
        (["n=3.0"], "(got 3.0"),
        (["n=010"], "(got '010'"),
        (["share=.nan"], "(got nan"),
        (["fast=yes"], "must be bool (got 'yes'"),
        (["shares=[0.1"], "(got '[0.1'"),
        (["clock=Event"], "(got 'Event'"),
        (["n"], "'n' must be written name=value"),
        (["n=1", "n=2"], "02-moral.n: is given twice"),
        (["events=1"], "unknown parameter; known are"),
    ],
)
def test_texts_that_do_not_fit_are_refused(schema: Schema, texts: list[str], sentence: str) -> None:
    with pytest.raises(ParameterError) as caught:
        schema.parse(texts)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("n = 3", "line 1 of the parameters cell: must be 'name: type = literal' (got 'n = 3')"),
        ("n: int", "must be 'name: type = literal' (got 'n: int')"),
        ("n: int = 1\nm: int = n * 2", "line 2 of the parameters cell: the default of 'm'"),
        ("n: int = '3'", "the default of 'n' must be int (got '3')"),
        ("n: int = 0  # in [1, 5]", "the default of 'n' must be int, in [1, 5] (got 0)"),
        (
            "m: int = 1\nn: int = 1  # in [0, 2**32 - 1]",
            "line 2 of the parameters cell: the range of 'n' must be written 'in [a, b]', with "
            "numbers (got 'in [0, 2**32 - 1]')",
        ),
        ("n: int = 1  # in [0; 1]", "the range of 'n' must be written 'in [a, b]'"),
        ("n: int = 1  # in (0, 1", "the range of 'n' must be written 'in [a, b]'"),
        ("n: int = 1  # in [1, 2, 3]", "the range of 'n' must be written 'in [a, b]'"),
        ("n: int = 1  # in [a, 3]", "the range of 'n' must be written 'in [a, b]'"),
        ("n: int = 1  # < 2**32", "the range of 'n' must be written with plain numbers"),
        ("n: int | None = None  # in [5, 1]", "the range of 'n' admits no number"),
        ("n: list[int] = []  # > 5, < 5", "the range of 'n' admits no number"),
        ("n: list[int] = []  # in [inf, inf]", "the range of 'n' admits no number"),
        ("n: complex = 1j", "the type of 'n' must be int, float"),
        ("n: list[bool] = []", "the type of 'n' must be int, float"),
        ("n: Literal[__import__('os')] = 1", "the type of 'n' must be int, float"),
        ("n: int = 1\nn: int = 2", "'n' is declared twice"),
        ("import os", "must be 'name: type = literal' (got 'import os')"),
        ("%matplotlib inline", "line 1 of the parameters cell: invalid syntax"),
    ],
)
def test_a_cell_with_anything_else_is_refused(tmp_path: Path, cell: str, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        read_schema(make_notebook(tmp_path / "a.ipynb", cell))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("a.ipynb: line ")


def test_two_tagged_cells_are_refused(tmp_path: Path) -> None:
    path = make_notebook(tmp_path / "a.ipynb", "n: int = 1", "m: int = 1")
    content = json.loads(path.read_text())
    content["cells"][2]["metadata"]["tags"] = ["parameters"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"must have one cell tagged 'parameters' \(got 2\)"):
        read_schema(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cells": [1]}', "not json"])
def test_what_is_not_a_notebook_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    with pytest.raises(DataError, match="is not a notebook that can be read"):
        read_schema(path)
    with pytest.raises(DataError, match="is not a notebook that can be read"):
        read_schema(tmp_path / "absent.ipynb")


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        ("events, in [1, 100000]", "in [1, 100000]"),
        ("in (0, 1]", "in (0, 1]"),
        ("in [-1.5, 1e3)", "in [-1.5, 1000)"),
        ("in [0, inf)", ">= 0"),
        ("in (-∞, 0]", "<= 0"),
        ("seeds, >= 1", ">= 1"),
        ("> 0, <= 1_000", "in (0, 1000]"),
        ("≥ 2", ">= 2"),
        ("one of [1, 2]", None),
        ("time in (s), in [0, 9]", "in [0, 9]"),
        ("wake in (seconds, rounded)", None),
        ("speed in [m/s2]", None),
        ("0 -> 5", None),
        ("x => 5, 1 << 3", None),
        ("in [5, 5]", "in [5, 5]"),
        ("", None),
    ],
)
def test_ranges_are_read_from_comments(comment: str, text: str | None) -> None:
    found = Range.read(comment)
    assert (str(found) if found else None) == text


finite = st.floats(-1e9, 1e9)


@given(low=finite, width=st.floats(0, 1e9), value=finite, left=st.booleans(), right=st.booleans())
def test_a_written_range_reads_back_as_itself(
    low: float, width: float, value: float, left: bool, right: bool
) -> None:
    high = low + width
    text = f"in {'(' if left else '['}{low!r}, {high!r}{')' if right else ']'}"
    if low == high and (left or right):
        with pytest.raises(ValueError, match="admits no number"):
            Range.read(text)
        return
    found = Range.read(text)
    assert found == Range(low, high, left, right)
    above = low < value if left else low <= value
    below = value < high if right else value <= high
    assert (value in found) == (above and below)


@given(
    low=st.floats(-9, 9),
    width=st.floats(0.1, 9),
    first=st.integers(-9, 9),
    count=st.integers(0, 20),
    left=st.booleans(),
    right=st.booleans(),
)
def test_the_integers_of_a_range(
    low: float, width: float, first: int, count: int, left: bool, right: bool
) -> None:
    limits = Range(low, low + width, left, right)
    asked = range(first, first + count)
    assert list(limits.integers(first, first + count - 1)) == [n for n in asked if n in limits]
    assert Range().integers(first, first + count - 1) == asked


json_like: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(value=json_like)
def test_whatever_is_admitted_survives_json_unchanged(schema: Schema, value: object) -> None:
    for parameter in schema.parameters.values():
        if parameter.admits(value):
            assert json.loads(json.dumps(value, allow_nan=False)) == value
