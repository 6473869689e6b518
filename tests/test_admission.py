"""Who is let in: a refusal before there is a vector is the event that it would have been."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import engine_params, every_byte, related_vectors, state_bytes

from mlsdm import CognitiveController, EngineParams, ParameterError
from mlsdm.engine.admission import admit


@given(engine_params(), st.lists(st.floats(0, 1), max_size=40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_asking_first_makes_the_same_engine(params, values, asleep):
    asked, plain = CognitiveController(params), CognitiveController(params)
    for value, vector in zip(values, related_vectors(40, params.dim, 1), strict=False):
        before, phase = every_byte(asked), asked.rhythm.phase
        refused = admit(asked, value, asleep=asleep)
        outcome = plain.process_event(vector, value)
        if refused is None:
            assert every_byte(asked) == before
            assert outcome.accepted
            assert asleep or phase == "wake"
            refused = asked.process_event(vector, value)
        assert refused == outcome
    assert state_bytes(asked) == state_bytes(plain)


def test_damage_of_the_state_is_put_right_before_the_decision():
    controller = CognitiveController(EngineParams(dim=4))
    controller._memory.states["threshold"][0] = 0.99
    assert admit(controller, 0.8) is None
    assert controller.moral.threshold == 0.5


def test_in_an_emergency_nothing_is_decided():
    controller = CognitiveController(EngineParams(dim=4))
    controller.stop()
    before = every_byte(controller)
    assert {admit(controller, value).reason for value in (0.1, 0.9)} == {"emergency"}
    assert every_byte(controller) == before


@pytest.mark.parametrize("arguments", [(1.1,), (np.nan,), ("0.5",), (0.5, -1)])
def test_bad_input_changes_nothing(arguments):
    controller = CognitiveController(EngineParams(dim=4))
    before = every_byte(controller)
    with pytest.raises(ParameterError, match=r"^admit\."):
        admit(controller, *arguments)
    assert every_byte(controller) == before
