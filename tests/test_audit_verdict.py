from __future__ import annotations

import dataclasses
import math
import string
from typing import Any

import numpy as np
import pandas as pd
import pytest
from auditing import of_this_machine, portable
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.analysis.interval import Interval
from mlsdm.audit import Measured
from mlsdm.audit.verdict import explained, row_of, verdict_of
from mlsdm.evidence import VERDICTS, Claim, claims

COLUMNS = [
    "id", "section", "statement", "setup", "measure", "unit", "relation", "stated", "stated_text",
    "regenerated", "regenerated_text", "mean", "low", "high", "n_seeds", "quantile", "control",
    "control_mean", "control_low", "control_high", "verdict", "explanation", "varies",
]  # fmt: skip
CLAIM = Claim(
    id="a.share",
    section="B",
    statement="share of something",
    setup="some stream",
    stated=0.25,
    decimals=2,
    percent=True,
    measure="by counting",
    control="one that does nothing",
    control_percent=True,
    holds="{mean} beat {control_mean}.",
    fails="Only {extra:.0%} of {n} seeds, {control_mean}.",
    differs="It is {regenerated}, not {stated}.",
)
TARGET = dataclasses.replace(CLAIM, stated=10, relation="<", percent=False, unit="ms")
UNTESTABLE = Claim("a.b", "D", "a number", "some texts", 0.5, untestable="They are not published.")


def measured(
    regenerated: float = 0.25, values: Any = (0.2, 0.25, 0.3, 0.25), control: Any = None
) -> Measured:
    values = np.array(values, dtype=float)
    control = values - 0.1 if control is None else np.array(control, dtype=float)
    return Measured(regenerated, values, control, values - control, {"extra": 0.281})


def row(claim: Claim, of: Measured | None) -> dict[str, Any]:
    return row_of(claim, of, 0)


def bounded(low: float, mean: float, high: float) -> Interval:
    return Interval(mean, low, high, 20)


@pytest.mark.parametrize(
    ("regenerated", "margin", "verdict"),
    [
        (0.25, bounded(0.01, 0.02, 0.03), "reproduced"),
        (0.25, bounded(0.0, 0.0, 0.0), "reproduced"),
        (0.25, bounded(-1e-12, 0.1, 0.2), "reproduced"),
        (0.25, bounded(-0.01, 0.1, 0.2), "reproduced but means something else"),
        (0.25, bounded(-0.3, -0.2, -0.1), "reproduced but means something else"),
        (0.25, Interval(0.1, math.nan, math.nan, 1), "reproduced"),
        (0.25, Interval(-0.1, math.nan, math.nan, 1), "reproduced but means something else"),
        (0.25, Interval(math.nan, math.nan, math.nan, 0), "reproduced but means something else"),
        (0.31, bounded(0.01, 0.02, 0.03), "not reproduced"),
        (math.nan, bounded(0.01, 0.02, 0.03), "not reproduced"),
    ],
)
def test_the_rule(regenerated: float, margin: Interval, verdict: str) -> None:
    assert verdict_of(CLAIM, measured(regenerated), margin) == verdict


def test_nothing_measured_is_not_testable() -> None:
    assert verdict_of(UNTESTABLE, None, bounded(1, 2, 3)) == "not testable here"


def test_a_target_is_reproduced_where_it_is_kept() -> None:
    margin = bounded(1, 2, 3)
    assert verdict_of(TARGET, measured(9.0), margin) == "reproduced"
    assert verdict_of(TARGET, measured(10.0), margin) == "not reproduced"


@given(
    claim=st.sampled_from([CLAIM, TARGET]),
    regenerated=st.floats(0, 20) | st.just(0.25),
    mean=st.floats(-1, 1),
    half=st.floats(0, 1) | st.just(math.nan),
    more=st.floats(0, 1),
)
def test_a_larger_margin_never_harms(
    claim: Claim, regenerated: float, mean: float, half: float, more: float
) -> None:
    found = [
        verdict_of(claim, measured(regenerated), Interval(m, m - half, m + half, 5))
        for m in (mean, mean + more)
    ]
    assert set(found) <= set(VERDICTS) - {"not testable here"}
    order = ["not reproduced", "reproduced but means something else", "reproduced"]
    assert order.index(found[0]) <= order.index(found[1])
    for verdict in found:
        assert (verdict == "not reproduced") == (not claim.agrees(regenerated))


def test_there_are_four_verdicts() -> None:
    assert VERDICTS == (
        "reproduced",
        "reproduced but means something else",
        "not reproduced",
        "not testable here",
    )


def test_a_row_has_the_columns_in_their_order() -> None:
    assert list(row(CLAIM, measured())) == COLUMNS
    assert list(row(UNTESTABLE, None)) == COLUMNS


def test_a_row_tells_what_was_measured() -> None:
    found = row(CLAIM, measured(values=[0.2, 0.25, 0.3, 0.25], control=[0.1, 0.1, 0.2, 0.2]))
    assert found["unit"] == "share"
    assert (found["stated"], found["stated_text"]) == (0.25, "25 %")
    assert (found["regenerated"], found["regenerated_text"]) == (0.25, "25 %")
    assert found["n_seeds"] == 4
    assert found["quantile"] == 0.75
    # Student's t with three degrees of freedom: 3.18245 standard errors.
    half = 3.182446305 * np.std([0.2, 0.25, 0.3, 0.25], ddof=1) / 2
    assert (found["mean"], found["low"], found["high"]) == pytest.approx(
        (0.25, 0.25 - half, 0.25 + half), abs=1e-6
    )
    half = 3.182446305 * np.std([0.1, 0.1, 0.2, 0.2], ddof=1) / 2
    assert found["control_mean"] == pytest.approx(0.15)
    assert found["control_low"] == pytest.approx(0.15 - half, abs=1e-6)
    assert found["control_high"] == pytest.approx(0.15 + half, abs=1e-6)
    assert found["control"] == "one that does nothing: 15.0 % [5.8 %, 24.2 %]"
    assert found["verdict"] == "reproduced"
    assert found["explanation"] == "25 % beat 15.0 %."
    assert found["varies"] is False


def test_a_control_that_is_no_share_is_written_as_a_number() -> None:
    plain = dataclasses.replace(CLAIM, control_percent=False)
    assert row(plain, measured(control=[2 / 3] * 4))["control"] == (
        "one that does nothing: 0.6667 [0.6667, 0.6667]"
    )


def test_a_control_just_below_nought_has_no_sign() -> None:
    assert row(CLAIM, measured(control=[-1e-6] * 4))["control"].endswith(": 0.0 % [0.0 %, 0.0 %]")


def test_numbers_have_six_significant_digits() -> None:
    found = row(TARGET, measured(1.23456789, [1.23456789] * 3, control=[12345.6789] * 3))
    assert found["regenerated"] == found["mean"] == found["low"] == found["high"] == 1.23457
    assert found["control_mean"] == 12345.7
    assert found["regenerated_text"] == "1.235 ms"
    assert type(found["stated"]) is float


def test_what_cannot_be_measured_has_no_numbers() -> None:
    found = row(UNTESTABLE, None)
    numbers = [
        "regenerated", "mean", "low", "high", "quantile", "control_mean", "control_low",
        "control_high",
    ]  # fmt: skip
    assert all(math.isnan(found[name]) for name in numbers)
    assert found["n_seeds"] == 0
    assert found["control"] == found["regenerated_text"] == found["measure"] == ""
    assert found["verdict"] == "not testable here"
    assert found["explanation"] == "They are not published."
    assert explained(UNTESTABLE, "not testable here") == "They are not published."


def test_one_seed_has_no_interval() -> None:
    found = row(CLAIM, measured(values=[0.25], control=[0.5]))
    assert (found["n_seeds"], found["mean"], found["control_mean"]) == (1, 0.25, 0.5)
    for name in ("low", "high", "control_low", "control_high"):
        assert math.isnan(found[name])
    assert found["control"] == "one that does nothing: 50.0 %"
    assert found["verdict"] == "reproduced but means something else"
    assert found["explanation"] == "Only 28 % of 1 seeds, 50.0 %."


def test_the_quantile_takes_numbers_as_equal_that_differ_by_rounding() -> None:
    later = np.nextafter(0.25, 1)
    found = row(CLAIM, measured(values=[later, later, 0.2, 0.3]))
    assert found["quantile"] == 0.75


def test_a_figure_of_all_of_our_own_data_has_no_place_among_seeds() -> None:
    found = row(dataclasses.replace(CLAIM, own_data=True), measured())
    assert math.isnan(found["quantile"])
    assert found == row(CLAIM, measured()) | {"quantile": found["quantile"]}


def test_values_that_are_not_finite_do_not_count() -> None:
    found = row(CLAIM, measured(values=[0.2, math.nan, 0.3], control=[0.1, math.nan, 0.1]))
    assert (found["n_seeds"], found["mean"]) == (2, 0.25)


def test_a_percent_sign_stands_apart() -> None:
    assert explained(CLAIM, "reproduced but means something else", extra=0.28, n=3,
                     control_mean="1.0 %") == "Only 28 % of 3 seeds, 1.0 %."  # fmt: skip


def everything_measured() -> dict[str, Measured]:
    return portable() | of_this_machine()


@pytest.mark.parametrize("id", [id for id, claim in claims().items() if not claim.untestable])
def test_each_of_the_three_explanations_can_be_written(id: str) -> None:
    """Every name in braces is one that the audit of that claim fills."""
    claim, found = claims()[id], everything_measured()[id]
    ones, far = np.ones_like(found.margin), claim.stated + (-9 if claim.relation == ">=" else 9)
    cases = {
        "reproduced": dataclasses.replace(found, regenerated=claim.stated, margin=ones),
        "reproduced but means something else": dataclasses.replace(
            found, regenerated=claim.stated, margin=-ones
        ),
        "not reproduced": dataclasses.replace(found, regenerated=far),
    }
    if claim.relation == "<":
        for verdict in list(cases)[:2]:
            cases[verdict] = dataclasses.replace(cases[verdict], regenerated=claim.stated / 2)
    for verdict, case in cases.items():
        written = row(claim, case)
        assert written["verdict"] == verdict
        assert written["explanation"].endswith(".")
        for wrong in ("{", "}", "nan", "n/a", "-0 ", "-0.0 "):
            assert wrong not in written["explanation"]
        assert not pd.isna(written["control_mean"])


def test_the_sentences_name_nothing_that_is_not_measured() -> None:
    common = {"regenerated", "stated", "mean", "control_mean", "n"}
    for id, claim in claims().items():
        texts = (claim.holds, claim.fails, claim.differs)
        named = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}
        extra = set() if claim.untestable else set(everything_measured()[id].facts)
        assert named <= common | extra, id
