from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.display import html_table, short, sparkline, text_table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "n/a"),
        (True, "True"),
        ("as it is", "as it is"),
        (12345678, "12345678"),
        (-0.0, "0"),
        (1e6, "1000000"),
        (9999.96, "10000"),
        (123456.7, "123457"),
        (0.30000000000000004, "0.3"),
        (1.5e20, "1.5e+20"),
        (1e-9 / 3, "3.333e-10"),
    ],
)
def test_numbers_are_short(value: object, text: str) -> None:
    assert short(value) == text


@given(st.floats(-1e300, 1e300))
def test_four_digits_are_right(value: float) -> None:
    assert float(short(value)) == pytest.approx(value, rel=5.1e-4)


def test_tables_are_aligned_and_cut() -> None:
    rows = [(i, 0.5) for i in range(3)]
    assert text_table(["n", "long"], rows, most=2) == "n  long\n0   0.5\n1   0.5\n… 1 more rows"
    assert text_table([], []) == ""
    html = html_table("<b>t</b>", ["<n>"], [["<x>"]])
    assert html == (
        "<table><caption><b>t</b></caption><tr><th>&lt;n&gt;</th></tr>"
        "<tr><td>&lt;x&gt;</td></tr></table>"
    )


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=300))
def test_a_sparkline_stays_in_its_frame(values: list[float]) -> None:
    points = re.findall(r"([-\w.]+),([-\w.]+)", sparkline(values))
    assert 2 <= len(points) <= 120
    for x, y in points:
        assert 0 <= float(x) <= 120
        assert 1 <= float(y) <= 19
        assert math.isfinite(float(y))


def test_one_number_has_no_course() -> None:
    assert sparkline([1.0]) == ""
