"""What a policy is told wrongly: refused in a sentence, and nothing changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import every_byte

from mlsdm import (
    CognitiveController,
    EngineParams,
    ParameterError,
    RiskParams,
    simulate,
    simulate_many,
)

RISK = EngineParams(dim=1, moral=RiskParams())
VALUES = np.full(4, 0.5)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"labels": None}, "labels: must be given, the policy 'risk' learns from them"),
    (
        {"labels": [0, 1, 1]},
        "labels: must hold one bool, or -1, 0 or 1, per moral value, 4 (got in",
    ),
    ({"labels": np.zeros((2, 4), bool)}, "labels: must hold one bool, or -1, 0 or 1, per moral"),
    (
        {"labels": np.zeros(4)},
        "labels: must hold one bool, or -1, 0 or 1, per moral value, 4 (got ",
    ),
    ({"labels": ["toxic"] * 4}, "labels: must hold one bool"),
    ({"labels": [0, 1, 2, 3]}, "labels[2]: must be -1 (unknown), 0 (safe) or 1 (toxic) (got 2)"),
    ({"labels": np.full(4, 255, np.uint8)}, "labels[0]: must be -1 (unknown), 0 (safe) or 1"),
    ({"labels": [[0], [0, 1], 1, 1]}, "labels: must be a regular array"),
    ({"labels": np.ma.array([0, 1, 1, 1], mask=[1, 0, 0, 0])}, "labels: must not be a masked"),
    ({"context": VALUES[1:]}, "context: must hold one number per moral value, 4 (got shape (3,))"),
    ({"context": 0.5}, "context: must hold one number per moral value, 4 (got shape ())"),
    ({"context": np.ones((3, 4))}, "context: must hold one number per moral value, 4 (got shape"),
    ({"context": [0, 1, 1.5, -1]}, "context[2]: must be a number in [0, 1] (got 1.5)"),
    ({"context": [0, 1, 1, np.nan]}, "context[3]: must be a number in [0, 1] (got nan)"),
    (
        {"context": np.full(4, 0x7FA00000, np.uint32).view(np.float32)},
        "context[0]: must be a number in [0, 1] (got nan)",
    ),
    ({"context": [True] * 4}, "context: must hold real numbers"),
    ({"context": ["a"] * 4}, "context: must hold real numbers"),
    ({"context": [[0.5], [0.5, 1]]}, "context: must be a regular array"),
    ({"delay": -1}, "delay: must be a whole number in [0, 16777216] (got -1)"),
    ({"delay": 1.0}, "delay: must be a whole number in [0, 16777216] (got 1.0)"),
    ({"delay": 2**62}, "delay: must be a whole number in [0, 16777216] (got 4611686018427387904)"),
    ({"delay": None}, "delay: must be a whole number in [0, 16777216] (got None)"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD)
@pytest.mark.parametrize("stored", [False, True])
def test_what_is_told_wrongly(arguments: dict[str, Any], sentence: str, stored: bool) -> None:
    told = {"labels": [0, 1, 0, 1], "delay": 0, **arguments}
    vectors = np.ones((4, 1)) if stored else None
    with pytest.raises(ParameterError) as refused:
        simulate(RISK, vectors, VALUES, **told)
    assert str(refused.value).startswith(f"simulate.{sentence}")
    assert "\n" not in str(refused.value)
    chunk = (vectors, VALUES, told.get("context"), told["labels"])
    with pytest.raises(ParameterError) as refused:
        simulate(RISK, chunks=[chunk], delay=told["delay"])
    owner = "simulate" if "delay" in arguments else "simulate.chunks[0]"
    assert str(refused.value).startswith(f"{owner}.{sentence}")
    if getattr(next(iter(arguments.values())), "ndim", 1) == 1:  # a table is for runs
        with pytest.raises(ParameterError) as refused:
            simulate_many([RISK, RISK], vectors, VALUES, **told)
        assert sentence.partition(":")[2] in str(refused.value)


def test_a_fleet_is_told_as_much_for_each_run() -> None:
    wrong = np.ones((1, 2, 4))
    for told in ({"context": wrong, "labels": np.zeros(4, int)}, {"labels": wrong.astype(int)}):
        with pytest.raises(
            ParameterError, match=r"^simulate_many\.(context|labels): must hold one"
        ):
            simulate_many(RISK, None, np.stack([VALUES] * 2), **told)
    with pytest.raises(
        ParameterError, match=r"^simulate_many\.labels: must be one for all, or one"
    ):
        simulate_many([RISK] * 3, None, VALUES, labels=np.zeros((2, 4), int))
    with pytest.raises(ParameterError, match=r"^simulate_many\.labels: must be given, the policy"):
        simulate_many([EngineParams(), RISK], None, VALUES)
    with pytest.raises(ParameterError, match=r"^simulate_many\.stream: must return a pair "):
        simulate_many(RISK, stream=lambda seed: (None, VALUES, VALUES), seeds=2)
    with pytest.raises(ParameterError, match=r"^simulate_many\.runs\[1\]\.labels: must be given "):
        simulate_many(
            EngineParams(),
            stream=lambda seed: (None, VALUES, None, None if seed else VALUES > 0),
            seeds=2,
        )


ENGINE = EngineParams(dim=1, moral=RiskParams(weight=0.5))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((2, True, 0.5), "accepted: must be True or False (got 2)"),
        ((None, True, 0.5), "accepted: must be True or False (got None)"),
        ((True, -1, 0.5), "toxic: must be True or False (got -1)"),
        ((True, None, 0.5), "toxic: must be True or False (got None)"),
        ((True, True, 1.5), "moral_value: must be a number in [0, 1] (got 1.5)"),
        ((True, True, None), "moral_value: must be a number in [0, 1] (got None)"),
        ((True, True, 0.5, float("nan")), "context: must be a number in [0, 1] (got nan)"),
    ],
)
@pytest.mark.parametrize("stopped", [False, True])
def test_what_is_learnt_wrongly_changes_nothing(
    arguments: tuple[Any, ...], sentence: str, stopped: bool
) -> None:
    """It was refused in the name of the filter, and not at all in an emergency."""
    engine = CognitiveController(ENGINE)
    engine.process_event([1], 0.9)
    if stopped:
        engine.stop()
    before = every_byte(engine)
    with pytest.raises(ParameterError) as refused:
        engine.learn(*arguments)
    assert str(refused.value) == f"CognitiveController.learn.{sentence}"
    with pytest.raises(ParameterError) as refused:
        engine.moral.learn(*arguments)
    assert str(refused.value) == f"MoralFilter.learn.{sentence}"
    assert every_byte(engine) == before


@pytest.mark.parametrize("context", [-0.1, 1.1, float("nan"), "0.5", True, [0.5], 1j])
def test_a_wrong_context_changes_nothing(context: Any) -> None:
    engine = CognitiveController(ENGINE)
    engine.process_event([1], 0.9, 0.2)
    before = every_byte(engine)
    for stop in (False, True):
        if stop:
            engine.stop()
            before = every_byte(engine)
        with pytest.raises(ParameterError) as refused:
            engine.process_event([1], 0.9, context)
        assert str(refused.value) == (
            f"CognitiveController.process_event.context: must be a number in [0, 1] "
            f"(got {context!r})"
        )
        assert every_byte(engine) == before
    for ask in (engine.moral.accept, lambda v, c: engine.moral.adapt(True, v, c)):
        with pytest.raises(ParameterError, match=r"^MoralFilter\.(accept|adapt)\.context: must be"):
            ask(0.5, context)
    assert every_byte(engine) == before


def test_nothing_is_learnt_in_an_emergency() -> None:
    engine = CognitiveController(ENGINE)
    engine.process_event([1], 0.9)
    engine.stop("by hand")
    before = every_byte(engine)
    engine.learn(True, True, 0.9)
    assert every_byte(engine) == before
    engine.recover()
    engine.learn(True, True, 0.9)
    assert engine.moral.threshold == 0.5 + 0.05 * 0.9
    assert engine.verify().whole
