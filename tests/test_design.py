from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from mlsdm.errors import ParameterError
from mlsdm.plan.content import SweepFile
from mlsdm.plan.design import draw, merged, names, number, points, spread
from mlsdm.plan.forms import Design

METHODS = ("sobol", "halton", "latin-hypercube")


def design(method: str, count: int, seed: int, **ranges: object) -> Design:
    values = {"method": method, "points": count, "seed": seed, "ranges": ranges}
    return Design.model_validate(values)


wide = st.floats(-1e12, 1e12) | st.integers(-(2**40), 2**40)


@st.composite
def designs(made: Any) -> tuple[Design, dict[str, Any]]:
    method = made(st.sampled_from(METHODS))
    count = made(st.sampled_from([1, 2, 8, 32]) if method == "sobol" else st.integers(1, 40))
    ranges, kinds = {}, {}
    for name in made(st.sets(st.sampled_from("abc"), min_size=1)):
        kinds[name] = kind = made(st.sampled_from([int, float]))
        log = made(st.booleans())
        limit = st.integers(-(2**40), 2**40) if kind is int else wide
        limit = limit.map(abs).filter(bool) if log else limit
        low, high = sorted(made(st.lists(limit, min_size=2, max_size=2, unique=True)))
        ranges[name] = {"low": low, "high": high, "log": log} if log else [low, high]
    return design(method, count, made(st.integers(0, 2**32 - 1)), **ranges), kinds


@settings(deadline=None)
@given(made=designs())
def test_a_design_stays_within_its_ranges_and_is_reproducible(
    made: tuple[Design, dict[str, Any]],
) -> None:
    asked, kinds = made
    found = draw(asked, kinds)
    assert found == draw(asked, kinds)
    assert len(found) == asked.points
    for point in found:
        assert list(point) == list(asked.ranges)
        for name, limits in asked.ranges.items():
            assert type(point[name]) is kinds[name]
            assert limits.low <= point[name] <= limits.high


@settings(deadline=None)
@given(
    method=st.sampled_from(METHODS),
    low=st.integers(-1000, 1000),
    width=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_whole_numbers_reach_both_ends_in_equal_shares(
    method: str, low: int, width: int, seed: int
) -> None:
    found = [p["a"] for p in draw(design(method, 256, seed, a=[low, low + width]), {"a": int})]
    shares = [found.count(low + i) for i in range(width + 1)]
    assert sum(shares) == 256
    assert all(abs(share - 256 / (width + 1)) <= 10 for share in shares)


@pytest.mark.parametrize("method", METHODS)
def test_points_fill_the_space_better_than_chance(method: str) -> None:
    found = draw(design(method, 64, 5, a=[0, 1], b=[0, 1]), {"a": float, "b": float})
    assert qmc.discrepancy([list(point.values()) for point in found]) < 0.002
    other = draw(design(method, 64, 6, a=[0, 1], b=[0, 1]), {"a": float, "b": float})
    assert found != other


def test_a_logarithmic_range_has_as_much_in_each_decade() -> None:
    limits = {"low": 1e-3, "high": 1e3, "log": True}
    found = draw(design("sobol", 64, 0, a=limits), {"a": float})
    decades = [math.floor(math.log10(point["a"])) for point in found]
    assert all(abs(decades.count(decade) - 64 / 6) <= 1 for decade in range(-3, 3))


def sweep(text: str) -> Any:
    return SweepFile.model_validate({"notebook": "x", "sweep": json.loads(text)}).sweep


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ('{"a": [1, 2], "b": [3, 4]}', [(1, 3), (1, 4), (2, 3), (2, 4)]),
        ('[{"a": 1, "b": 3}, {"b": 4, "a": 2}]', [(1, 3), (2, 4)]),
    ],
)
def test_the_forms_say_their_names_and_their_number(
    given: str, wanted: list[tuple[int, int]]
) -> None:
    form = sweep(given)
    found = list(points(form, {}))
    assert [(point["a"], point["b"]) for point in found] == wanted
    assert names(form) == ["a", "b"]
    assert number(form) == len(found)


def test_a_design_is_a_form_and_no_sweep_is_one_point() -> None:
    text = '{"design": {"method": "halton", "points": 7, "seed": 1, "ranges": {"a": [1, 9]}}}'
    form = sweep(text)
    assert (names(form), number(form)) == (["a"], 7)
    assert list(points(form, {"a": int})) == draw(form.design, {"a": int})
    assert (names(None), number(None), list(points(None, {}))) == ([], 1, [{}])


def test_a_value_is_set_in_a_copy() -> None:
    base = {"a": {"b": 1, "c": 2}}
    assert merged(base, ["a", "b"], 7) == {"a": {"b": 7, "c": 2}}
    assert merged(base, ["x", "y"], 7) == {"a": {"b": 1, "c": 2}, "x": {"y": 7}}
    assert base == {"a": {"b": 1, "c": 2}}
    with pytest.raises(ParameterError, match=r"^'z' cannot be set inside 1$"):
        merged(base, ["a", "b", "z"], 7)


@given(st.integers(1, 400), st.integers(0, 2**33))
def test_places_are_different_spread_and_go_on(count: int, more: int) -> None:
    size = count + more
    places = spread(count, size)
    assert len(set(places)) == count
    assert 0 <= min(places) <= max(places) < size
    assert spread(count + 1, size + 1)[0] == places[0] == 0
    assert spread(max(1, count // 2), size) == places[: max(1, count // 2)]
