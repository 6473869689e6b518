from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.report.words import SAME, VARIES, amount, interval, seed_place, stable


def row(**values: Any) -> dict[str, Any]:
    usual = {"unit": "share", "mean": 0.61234, "low": 0.6, "high": 0.625, "n_seeds": 200}
    return {**usual, "quantile": 0.5, "regenerated": 0.7, "varies": False, **values}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.933333, "share", "93.33 %"),
        (1.0, "share", "100 %"),
        (0.5461, "", "0.5461"),
        (29.37, "MiB", "29.37 MiB"),
        (19720.6, "ops/s", "19721 ops/s"),
        (math.nan, "ms", ""),
    ],
)
def test_a_number_is_written_in_its_unit(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text


def test_a_mean_is_written_with_its_interval() -> None:
    assert interval(row()) == "61.2 % [60.0, 62.5]"
    assert interval(row(unit="ms")) == "0.612 ms [0.600, 0.625]"
    assert interval(row(unit="")) == "0.612 [0.600, 0.625]"
    assert interval(row(mean=0.7, low=0.7, high=0.7)) == "70 % [70, 70]"
    assert interval(row(low=math.nan)) == "61.23 %"
    assert interval(row(mean=math.nan)) == ""
    assert interval(row(n_seeds=1)) == "", "a single one is no mean"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "An ordinary value: 50 % of 200 seeds give this or less."),
        ({"quantile": 0.95}, "An ordinary value: 95 % of 200 seeds give this or less."),
        ({"quantile": 0.02}, "An unusually low value: only 2 % of 200 seeds give this or less."),
        ({"quantile": 0}, "All of 200 seeds give more."),
        ({"quantile": 1}, "None of 200 seeds gives more."),
        (
            {"quantile": 1, "low": 0.7, "high": 0.7},
            "All 200 seeds give the same.",
        ),
        ({"quantile": math.nan}, ""),
        ({"n_seeds": 1}, ""),
        ({"varies": True}, ""),
    ],
)
def test_where_the_stated_set_up_lies_among_the_seeds(values: dict[str, Any], text: str) -> None:
    assert seed_place(row(**values)) == text


def test_how_a_picture_is_drawn_is_left_out() -> None:
    assert stable('<p>a</p>\n<svg y="1"><g>\n</g></svg>b<svg>2</svg>') == "<p>a</p>\nb"


@given(st.lists(st.tuples(st.text("ab\n"), st.text("xy\n"))))
def test_what_varies_is_left_out_and_nothing_else(parts: list[tuple[str, str]]) -> None:
    text = "".join(f"{same}{VARIES}{varies}{SAME}" for same, varies in parts)
    assert stable(text) == "".join(same for same, _ in parts)
