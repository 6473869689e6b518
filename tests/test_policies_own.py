"""Policies of users: by the decorator, by an entry point, and what cannot be one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlsdm import (
    POLICIES,
    CognitiveController,
    EngineParams,
    MoralFilter,
    MoralParams,
    MoralPolicy,
    ParameterError,
    QuantileParams,
    citing,
    moral_policy,
    simulate,
    simulate_many,
)
from mlsdm.citing import Reference, citations
from mlsdm.engine.rules import layout


@pytest.fixture(autouse=True)
def _what_a_test_registers_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(POLICIES, "_held", dict(POLICIES._held))


def cautious(gain: float = 0.25) -> type[MoralPolicy]:
    """Return the example of the documentation, defined once more."""
    start = 0.4 + gain

    @moral_policy("cautious")
    class Cautious(MoralPolicy):
        """Refuses what is near the threshold."""

        gain: float = 0.25
        margin: float = 0.1
        memory = ("refused", "toxic")
        papers = ("mlsdm",)

        @property
        def start(self) -> dict[str, float]:
            return {"threshold": start, "refused": 3.0, "acceptance_rate": 0.25}

        @staticmethod
        def accept(value: float, context: float, state: Any, rule: Any) -> bool:
            return value >= state.threshold + rule.margin and context > 0.125

        @staticmethod
        def adapt(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
            state.refused += not accepted
            state.threshold += rule.gain * (0.5 - accepted)

        @staticmethod
        def learn(
            value: float, context: float, accepted: bool, toxic: bool, state: Any, rule: Any
        ) -> None:
            state.toxic += toxic

    return Cautious


def test_a_policy_of_a_user() -> None:
    made = cautious()
    assert POLICIES["cautious"] is made
    params = EngineParams.from_dict({"dim": 2, "moral": {"policy": "cautious", "margin": 0.25}})
    assert params.moral == made(margin=0.25)
    assert params.moral != made()
    moral = MoralFilter(params.moral)
    assert (moral.threshold, moral.acceptance_rate) == (0.65, 0.25)
    assert moral.memory == {"refused": 3.0, "toxic": 0.0}
    assert moral.accept(0.95)
    assert not moral.accept(0.89)
    assert not moral.accept(0.95, 0.1)
    moral.adapt(False, 0.89)
    moral.learn(False, True, 0.89)
    assert moral.memory == {"refused": 4.0, "toxic": 1.0}
    assert moral.threshold == 0.65 + 0.125
    assert moral.acceptance_rate == pytest.approx(0.225)

    values, toxic = [0.95, 0.5, 1.0], [False, True, True]
    result = simulate(params, np.ones((3, 2)), values, labels=toxic)
    engine = CognitiveController(params)
    for value, label in zip(values, toxic, strict=True):
        engine.learn(engine.process_event([1, 1], value).accepted, label, value)
    assert result.accepted.tolist() == [True, False, True]
    assert result.engine.moral.memory == engine.moral.memory == {"refused": 4.0, "toxic": 2.0}
    assert result.threshold[-1] == engine.moral.threshold == 0.65 - 0.125
    with pytest.raises(ParameterError, match=r"^simulate\.labels: .*'cautious' learns from them"):
        simulate(params, None, values)
    fleet = simulate_many([EngineParams(), params], None, values, labels=toxic)
    assert fleet.run(1).threshold.tolist() == result.threshold.tolist()


def test_a_policy_defined_again_takes_the_place_of_the_first() -> None:
    """As when a cell is run twice; the first goes on as it was where it is still in use."""
    first = cautious()()
    used = MoralFilter(first)
    second = cautious(gain=0.5)()
    assert POLICIES["cautious"] is type(second)
    assert first != second

    @moral_policy("cautious")
    class Cautious(MoralPolicy):
        gain: float = 0.5

        @staticmethod
        def adapt(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
            state.threshold = rule.gain

    assert EngineParams.from_dict({"moral": {"policy": "cautious"}}).moral == Cautious()
    third = MoralFilter(Cautious())
    third.adapt(True, 0.5)
    used.adapt(True, 0.5)
    assert (third.threshold, used.threshold) == (0.5, 0.65 - 0.125)


def test_by_default_a_policy_passes_from_a_threshold_that_rests() -> None:
    @moral_policy("plain")
    class Plain(MoralPolicy):
        pass

    moral = MoralFilter(Plain())
    assert not Plain().learns
    for _ in range(3):
        moral.adapt(moral.accept(0.5), 0.5)
        moral.learn(True, True, 0.5)
    assert (moral.threshold, moral.memory) == (0.5, {})
    assert moral.accept(0.5)
    assert not moral.accept(0.4999)
    assert moral.acceptance_rate == pytest.approx(1 - 0.5 * 0.9**3)


def test_as_many_numbers_as_there_is_room_for() -> None:
    names = [f"n{i}" for i in range(layout.SETTINGS)]

    def adapt(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
        state.threshold = rule.n0 + 2 * rule.n11
        state.m5 += rule.n11

    body = {
        **{name: float(i) for i, name in enumerate(names)},
        "__annotations__": dict.fromkeys(names, float),
        "memory": tuple(f"m{i}" for i in range(layout.MEMORY)),
        "adapt": staticmethod(adapt),
    }
    full: Any = moral_policy("full")(type("Full", (MoralPolicy,), dict(body)))
    moral = MoralFilter(full(n0=100.0))
    moral.adapt(True, 0.5)
    assert (moral.threshold, moral.memory["m5"]) == (122.0, 11.0)
    more = {**body, "n12": 1.0, "__annotations__": dict.fromkeys([*names, "n12"], float)}
    with pytest.raises(ParameterError, match=r"^Full: must have at most 12 parameters \(got 13\)$"):
        moral_policy("full")(type("Full", (MoralPolicy,), more))
    crowded = {**body, "memory": tuple("abcdefg")}
    with pytest.raises(ParameterError, match=r"^Full\.memory: must have at most 6 names \(got 7\)"):
        moral_policy("full")(type("Full", (MoralPolicy,), crowded))
    assert POLICIES["full"] is full


def made_of(base: type[MoralPolicy] = MoralPolicy, **body: Any) -> MoralPolicy:
    """Return a policy with this body, under the name `own`."""
    notes = body.pop("notes", {})
    policy: Any = moral_policy("own")(type("Own", (base,), {**body, "__annotations__": notes}))
    return policy()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"memory": "sum"}, "Own.memory: must be a tuple of names, each once, and neither 'thres"),
        ({"memory": ("sum", "sum")}, "Own.memory: must be a tuple of names, each once"),
        ({"memory": ("threshold",)}, "Own.memory: must be a tuple of names, each once"),
        ({"memory": (1,)}, "Own.memory: must be a tuple of names"),
        ({"notes": {"gain": float}}, "Own.gain: must have a default"),
        ({"notes": {"how": str}, "how": "so"}, "Own.how: must be a number (got 'so')"),
        ({"notes": {"all": tuple}, "all": (1, 2)}, "Own.all: must be a number (got (1, 2))"),
        (
            {"base": MoralParams, "accept": staticmethod(lambda *args: True)},
            "Own.accept: would not be called, MoralParams has its rule in the engine; derive from",
        ),
    ],
)
def test_definitions_that_are_refused(body: dict[str, Any], sentence: str) -> None:
    """The last would have been used with all its functions passed over."""
    with pytest.raises(ParameterError) as refused:
        made_of(**body)
    assert str(refused.value).startswith(sentence)
    assert "own" not in POLICIES


def test_the_published_filter_with_other_defaults_under_another_name() -> None:
    strict = made_of(MoralParams, notes={"target_rate": float}, target_rate=0.125)
    values = np.random.default_rng(1).random(200)
    result = simulate(EngineParams(moral=strict), None, values)
    expected = simulate(EngineParams(moral=MoralParams(target_rate=0.125)), None, values)
    assert result.threshold.tolist() == expected.threshold.tolist()
    assert strict.to_dict()["policy"] == "own"


@pytest.mark.parametrize("base", [MoralPolicy, QuantileParams])
def test_a_policy_without_a_name_of_its_own_is_refused(base: Any) -> None:
    """It would say in a record that it is another one, or nothing at all."""
    with pytest.raises(ParameterError, match=r"^Nameless: must be given a name by moral_policy"):
        type("Nameless", (base,), {})()
    with pytest.raises(ParameterError, match=r"^MoralPolicy: must be given a name"):
        MoralPolicy()
    with pytest.raises(ParameterError, match=r"^moral_policy: must be given a MoralPolicy \(got"):
        moral_policy("own")(EngineParams)  # type: ignore[type-var]
    for name in ("", None):
        with pytest.raises(ParameterError, match=r"^moral_policy: must be given a name"):
            moral_policy(name)(type("Own", (MoralPolicy,), {}))  # type: ignore[arg-type]


def test_a_state_to_begin_from_that_is_not_there() -> None:
    misspelt = made_of(start=property(lambda self: {"thresold": 0.9}))
    with pytest.raises(ParameterError) as refused:
        MoralFilter(misspelt)
    assert str(refused.value) == (
        "Own.start: 'thresold' is not in the state; did you mean 'threshold'?"
    )


def _unknown_field(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
    state.nosuch += 1


def _unknown_name(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
    state.threshold = nosuch  # type: ignore[name-defined]  # noqa: F821


def _text(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
    state.threshold = "high"


def _method(self: Any, value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
    state.threshold = 1.0


def _opened(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
    with open("file"):
        pass


@pytest.mark.parametrize(
    ("adapt", "why"),
    [
        (_unknown_field, "neither state nor rule has 'nosuch'"),
        (_unknown_name, "NameError: name 'nosuch' is not defined"),
        (_text, "Cannot cast"),
        (_opened, "context manager"),
    ],
)
def test_what_cannot_be_compiled_is_said_in_a_sentence(adapt: Callable[..., Any], why: str) -> None:
    policy = made_of(adapt=staticmethod(adapt))
    for use in (
        lambda: MoralFilter(policy),
        lambda: simulate(EngineParams(moral=policy), None, []),
    ):
        with pytest.raises(ParameterError) as refused:
            use()
        assert str(refused.value).startswith("Own.adapt: cannot be compiled: ")
        assert why in str(refused.value)
        assert "\n" not in str(refused.value)


def _generator(value: float, context: float, accepted: bool, state: Any, rule: Any) -> Any:
    yield 1.0


WRONG = [_method, staticmethod(_method), staticmethod(_generator), print]


@pytest.mark.parametrize("adapt", WRONG)
def test_functions_must_take_what_they_are_given(adapt: Any) -> None:
    with pytest.raises(
        ParameterError, match=r"^Own\.adapt: must be a staticmethod that takes \(val"
    ):
        made_of(adapt=adapt)


@pytest.mark.parametrize("smoothing", [7.0, "x", -0.1])
def test_smoothing_is_a_share(smoothing: Any) -> None:
    with pytest.raises(ParameterError, match=r"^Own\.smoothing: must be a number in \[0, 1\]"):
        made_of(smoothing=smoothing)


@pytest.mark.parametrize("begin", ["a", float("nan"), None])
def test_it_starts_from_finite_numbers(begin: Any) -> None:
    policy = made_of(start=property(lambda self: {"threshold": begin}))
    with pytest.raises(ParameterError, match=r"^Own\.start: 'threshold' must be a finite number"):
        MoralFilter(policy)


def test_what_has_a_number_is_a_parameter_and_needs_a_type() -> None:
    with pytest.raises(ParameterError, match=r"^Own\.gain: must be annotated to be a parameter"):
        made_of(gain=0.5)
    with pytest.raises(ParameterError, match=r"^moral_policy: must be given a name, as in @moral"):
        moral_policy(type("Own", (MoralPolicy,), {}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["fixed", "homeostatic"])
def test_the_names_of_ours_are_taken(name: str) -> None:
    ours = POLICIES[name]
    with pytest.raises(ParameterError, match=f"^policy: '{name}' comes with mlsdm, choose another"):
        moral_policy(name)(type("Own", (MoralPolicy,), {}))
    assert POLICIES[name] is ours


def test_a_policy_names_a_paper_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Reference("smith2020", "On Thresholds", authors=("Smith, Ann",), year=2020)
    monkeypatch.setattr(citing, "_own", {})
    monkeypatch.setattr(citing, "_used", {})
    MoralFilter(made_of(papers=(paper, "gibbs2021")))
    assert {"smith2020", "gibbs2021"} <= set(citations().keys)
    assert "On Thresholds" in citations().text
    with pytest.raises(ParameterError, match="has no source 'smith2021'"):
        made_of(papers=("smith2021",))


def test_a_filter_asks_for_the_value_where_the_policy_may() -> None:
    with pytest.raises(ParameterError, match=r"^MoralFilter\.adapt\.value: must be given"):
        MoralFilter(made_of()).adapt(True)


# By an entry point of another package.

CODE = """
import mlsdm

@mlsdm.moral_policy("lenient")
class Lenient(mlsdm.MoralPolicy):
    limit: float = 0.125

    @staticmethod
    def accept(value, context, state, rule):
        return value >= rule.limit

junk = 7
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package with entry points on the path, as its installation would leave it."""
    (tmp_path / "otherpolicies.py").write_text(CODE)
    info = tmp_path / "otherpolicies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: otherpolicies\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mlsdm.policies]\nlenient = otherpolicies:Lenient\n"
        "alias = otherpolicies:Lenient\njunk = otherpolicies:junk\ngone = otherpolicies:gone\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("otherpolicies", None)


@pytest.mark.usefixtures("installed")
def test_a_policy_of_another_package() -> None:
    assert "lenient" in POLICIES
    assert "otherpolicies" not in sys.modules
    params = EngineParams.from_dict({"moral": {"policy": "lenient", "limit": 0.25}})
    assert params.moral == POLICIES["lenient"](limit=0.25)
    assert simulate(params, None, [0.2, 0.25]).accepted.tolist() == [False, True]
    assert EngineParams.from_dict(params.to_dict()) == params


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["alias", "junk"])
def test_an_entry_point_that_is_no_policy_of_that_name(name: str) -> None:
    """One under another's name was looked up without end."""
    with pytest.raises(ParameterError) as refused:
        EngineParams.from_dict({"moral": {"policy": name}})
    sentence = f"MoralParams.policy: '{name}' must stand for a class made by moral_policy('{name}')"
    assert str(refused.value).startswith(sentence)
