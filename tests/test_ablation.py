"""Ablations: paired by construction, measured as said, and whole when calls fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlsdm import EngineParams, FixedParams, ParameterError
from mlsdm.analysis import ablation, plots
from mlsdm.governed import GovernedParams, ScriptedParams, conversation
from mlsdm.rng import generator

ENGINE = EngineParams().replace({"dim": 256, "lattice": {"capacity": 500}})
FULL = GovernedParams(engine=ENGINE, deadline=None, embedding_deadline=None)
PUBLISHED = EngineParams.published().replace({"dim": 256, "lattice": {"capacity": 500}})


def hold(seed: int = 0, n: int = 60, params: GovernedParams = FULL, **given: Any) -> ablation.Held:
    scripted = ScriptedParams(failure=given.pop("failure", 0.0), length=1.0)
    requests = conversation(n, generator(seed, "requests"))
    return ablation.hold(requests, params, generator(seed, "answers"), scripted, **given)


@pytest.fixture(scope="module")
def held() -> dict[str, ablation.Held]:
    """One conversation with the whole, and with each part left out."""
    parts = ("memory", "rhythm", "filter", "governor")
    arms = {"full": FULL} | {part: FULL.replace({part: False}) for part in parts}
    return {name: hold(params=params) for name, params in arms.items()}


def first_drafts(one: ablation.Held) -> dict[int, str]:
    """Return the first draft for each request that came to the model."""
    pairs = zip(one.turns, one.replies, strict=True)
    drafts = {turn.number: reply for turn, reply in pairs if reply.answered}
    return {
        number: reply.governance.steps[0].before if reply.governance else reply.text
        for number, reply in drafts.items()
    }


def test_leaving_one_part_out_shifts_no_draw_of_another(held: dict[str, ablation.Held]) -> None:
    """Toxic requests and facts told have the same first draft everywhere they have one."""
    drafts = {name: first_drafts(one) for name, one in held.items()}
    assert len(drafts["filter"]) > len(drafts["full"]) > 20
    for name, texts in drafts.items():
        for number, text in texts.items():
            if held[name].turns[number].kind != "ask" and number in drafts["filter"]:
                assert text == drafts["filter"][number]
    full = held["full"].table.set_index("number")
    for name in ("memory", "rhythm", "governor"):
        other = held[name].table.set_index("number")
        moral = ["status", "why"]
        refused = full["why"] == "moral"
        pd.testing.assert_frame_equal(full.loc[refused, moral], other.loc[refused, moral])


def test_each_part_does_what_it_is_there_for(held: dict[str, ablation.Held]) -> None:
    measures = {name: one.measures() for name, one in held.items()}
    assert all(tuple(found) == ablation.MEASURES for found in measures.values())
    assert measures["memory"]["right"] == measures["memory"]["remembered"] == 0
    assert measures["full"]["right"] > 0.1
    assert measures["filter"]["toxic_answered"] == 1
    assert measures["filter"]["safe_refused"] == 0
    assert measures["full"]["toxic_answered"] < 0.5
    assert measures["governor"]["telegraphic"] > measures["full"]["telegraphic"]
    assert measures["governor"]["tokens"] < measures["full"]["tokens"]
    assert measures["rhythm"]["remembered"] > measures["full"]["remembered"]


def test_measures_are_what_the_table_says(held: dict[str, ablation.Held]) -> None:
    table, measures = held["full"].table, held["full"].measures()
    questions = [row for row in table.itertuples() if row.kind == "ask"]
    assert measures["right"] == pytest.approx(np.mean([row.right for row in questions]))
    toxic = [row.answered for row in table.itertuples() if row.kind == "toxic"]
    assert measures["toxic_answered"] == pytest.approx(np.mean(toxic))
    answers = [row.telegraphic for row in table.itertuples() if row.answered]
    assert measures["telegraphic"] == pytest.approx(np.mean(answers))
    assert measures["tokens"] == pytest.approx(table["tokens"].sum() / len(table))
    assert not table.loc[~table["answered"], ["right", "telegraphic"]].any(axis=None)


def test_worth_is_the_whole_minus_the_arm_and_its_verdict_knows_which_is_better() -> None:
    arms = {"full": FULL, "no memory": FULL.replace({"memory": False})}
    runs = ablation.ablate(arms, range(8), 40, ScriptedParams(length=0.5))
    assert len(runs) == 16
    found = ablation.worth(runs, generator(0, "bootstrap")).set_index("measure")
    means = runs.groupby("arm")[list(ablation.MEASURES)].mean()
    difference = means.loc["full"] - means.loc["no memory"]
    for measure in ablation.MEASURES:
        assert found.loc[measure, "mean"] == pytest.approx(difference[measure])
        assert found.loc[measure, "low"] <= found.loc[measure, "mean"]
    verdicts = found["verdict"].to_dict()
    assert verdicts["remembered"] == "better"
    assert verdicts["tokens"] == "worse"
    assert verdicts["toxic_answered"] == "open"
    assert found.loc["remembered", "improvement"] == 1
    assert found.loc["tokens", "improvement"] == 0


TYPED = {
    "committed": {""},
    "refused": {"moral", "sleep", "emergency"},
    "failed": {"model", "circuit open", "deadline"},
    "degraded": {"sleep", "embedder", "memory"},
}


def check_failing(seed: int, params: GovernedParams, n: int, failure: float) -> ablation.Held:
    """Hold a conversation in which calls fail, and compare it with the successful part alone."""
    away = range(n // 3, n // 2)
    one = hold(seed, n, params, failure=failure, away=away)
    assert len(one.replies) == n
    assert all(reply.why in TYPED[reply.status] for reply in one.replies)
    assert all(bool(reply.text) <= reply.answered for reply in one.replies)
    assert one.governed.controller.events == len(one.events)
    for breaker in one.governed.breakers.values():
        before = "closed"
        for old, new in breaker.transitions:
            assert old == before
            assert (old, new) in {
                ("closed", "open"),
                ("open", "half-open"),
                ("half-open", "open"),
                ("half-open", "closed"),
            }
            before = new
    alone = hold(seed, n, params, only=one.events)
    state = ablation.state_digest(one.governed.controller)
    assert state == ablation.state_digest(alone.governed.controller)
    decided = [reply.event for reply in one.replies if reply.event is not None]
    assert decided == [reply.event for reply in alone.replies]
    return one


@pytest.mark.parametrize("asleep", ["shorten", "refuse"])
@pytest.mark.parametrize("engine", [ENGINE, PUBLISHED], ids=["default", "published"])
def test_what_fails_leaves_the_engine_as_it_was(engine: EngineParams, asleep: str) -> None:
    params = FULL.replace({"engine": engine, "asleep": asleep, "deadline": 60.0})
    one = check_failing(3, params, 90, 0.3)
    assert {reply.status for reply in one.replies} >= {"committed", "refused"}
    if engine is ENGINE:
        changes = one.governed.breakers["embed"].transitions
        assert changes[0] == ("closed", "open")
        assert changes[-1] == ("half-open", "closed")


@pytest.mark.long
@pytest.mark.parametrize("failure", [0.1, 0.3, 0.6, 0.9])
def test_what_fails_leaves_the_engine_as_it_was_in_many_conversations(failure: float) -> None:
    statuses = set()
    for seed in range(40):
        engine = (ENGINE, PUBLISHED)[seed % 2]
        params = FULL.replace({"engine": engine, "asleep": ("shorten", "refuse")[seed // 2 % 2]})
        one = check_failing(seed, params, 200, failure)
        statuses |= {reply.status for reply in one.replies}
    assert statuses == set(TYPED)


def test_the_digest_of_an_engine_tells_states_apart() -> None:
    one, same, other = hold(1, 20), hold(1, 20), hold(2, 20)
    digests = [ablation.state_digest(held.governed.controller) for held in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("tries", [0, 1, 2, 4])
@pytest.mark.parametrize("mend", [0.0, 0.3, 0.8, 1.0])
def test_what_the_governor_leaves_is_the_closed_form(mend: float, tries: int) -> None:
    expected = ablation.remaining(mend, tries)
    requests = [conversation(100, generator(seed, "requests")) for seed in range(4)]
    left = [
        ablation.simulated_remaining(one, generator(seed, "answers"), mend, tries)
        for seed, one in enumerate(requests)
    ]
    spread = np.sqrt(expected * (1 - expected) / 400)
    assert np.mean(left) == pytest.approx(expected, abs=4 * spread + 1e-12)


def test_the_stated_reductions_are_those_of_models_that_mend_so_often() -> None:
    assert 1 - ablation.remaining(0.6422, 2) == pytest.approx(0.872, abs=1e-4)
    assert 1 - ablation.remaining(0.7298, 2) == pytest.approx(0.927, abs=1e-4)
    for mend, tries in ((1.5, 1), (-0.1, 1), (0.5, -1)):
        with pytest.raises(ParameterError, match=r"^remaining: must have mend in \[0, 1\]"):
            ablation.remaining(mend, tries)


def test_a_fixed_threshold_is_an_arm_like_any_other() -> None:
    fixed = ENGINE.replace({"moral": FixedParams(threshold=0.5)})
    one = hold(params=FULL.replace({"engine": fixed}))
    for turn, reply in zip(one.turns, one.replies, strict=True):
        assert (reply.why == "moral") == (turn.moral_value < 0.5)


def test_the_picture_of_worth_has_a_panel_a_measure_and_a_colour_a_verdict() -> None:
    table = pd.DataFrame(
        {
            "arm": ["a", "b"] * 2,
            "measure": ["right"] * 2 + ["tokens"] * 2,
            "mean": [0.3, 0.0, 100.0, np.nan],
            "low": [0.2, -0.1, 50.0, np.nan],
            "high": [0.4, 0.1, 150.0, np.nan],
            "verdict": ["better", "open", "worse", "open"],
        }
    )
    figure = plots.worth_of_parts(table, {"right": "answered rightly"}, "title")
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title(loc="left") for axis in shown] == ["answered rightly", "tokens"]
    marks = [line for line in shown[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    colours = {float(line.get_xdata()[0]): line.get_color() for line in marks}
    assert colours == {0.3: plots.GREEN, 0.0: plots.GREY}
    with pytest.raises(ParameterError, match="must have the column 'verdict'"):
        plots.worth_of_parts(table.drop(columns="verdict"))


def test_the_picture_of_reductions_draws_lines_points_and_what_is_stated() -> None:
    curves = {1: [0.0, 0.3, 1.0], 2: [0.1, 0.6, 0.9]}
    mends = [0.0, 0.4, 1.0]
    lines = pd.concat(
        pd.DataFrame({"tries": tries, "mend": mends, "reduction": reduced})
        for tries, reduced in curves.items()
    )
    points = pd.DataFrame(
        {"tries": [1, 2], "mend": [0.5, 0.7], "mean": 0.5, "low": [0.4, 0.3], "high": [0.7, 0.6]}
    )
    (axis,) = plots.reduction_curves(points, lines, (0.872,), "title").axes
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["1 try", "2 tries"]
    assert [text.get_text() for text in axis.texts] == ["stated: 87.2%"]
    across = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in across] == [[0.872, 0.872]]
    drawn = {line.get_label(): line for line in axis.lines}
    for number, (tries, mend, ends) in enumerate([(1, 0.5, [0.4, 0.7]), (2, 0.7, [0.3, 0.6])]):
        curve = drawn[legend[number]]
        np.testing.assert_array_equal(
            curve.get_xydata(), list(zip(mends, curves[tries], strict=True))
        )
        point, _, (bar,) = axis.containers[number]
        np.testing.assert_array_equal(point.get_xydata(), [[mend, 0.5]])
        np.testing.assert_allclose(bar.get_segments(), [[[mend, end] for end in ends]])
        assert point.get_color() == curve.get_color()
    assert drawn["1 try"].get_color() != drawn["2 tries"].get_color()


def test_the_strip_counts_each_outcome(held: dict[str, ablation.Held]) -> None:
    table = held["full"].table
    figure = plots.outcome_strip(table, range(3, 5))
    (legend,) = figure.legends
    committed = int((table["status"] == "committed").sum())
    assert f"committed ({committed})" in [text.get_text() for text in legend.get_texts()]
    counted = sum(int(text.get_text()[:-1].split("(")[1]) for text in legend.get_texts())
    assert counted == len(table)
