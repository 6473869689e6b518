from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.plan import yaml12


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("1e-3", 0.001),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("+3", 3),
        ("True", True),
        ("~", None),
        ("", None),
        ("'1'", "1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read = yaml12.parse(text)
    assert read == value
    assert type(read) is type(value)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abc on1.e-:"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=8,
)


@given(value=plain)
def test_whatever_json_writes_reads_back(value: object) -> None:
    assert yaml12.parse(json.dumps(value)) == value


def test_lines_are_known_at_every_depth() -> None:
    value, lines = yaml12.load("a:\n  b.c: [1,\n    2]\n  d:\n  - e: 3\n  - {f: 4}")
    assert value == {"a": {"b.c": [1, 2], "d": [{"e": 3}, {"f": 4}]}}
    assert lines == {
        ("a",): 1,
        ("a", "b.c"): 2,
        ("a", "b.c", 0): 2,
        ("a", "b.c", 1): 3,
        ("a", "d"): 4,
        ("a", "d", 0): 5,
        ("a", "d", 0, "e"): 5,
        ("a", "d", 1): 6,
        ("a", "d", 1, "f"): 6,
    }
