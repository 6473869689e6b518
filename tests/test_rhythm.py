from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import CognitiveRhythm, ParameterError, RhythmParams

durations = st.integers(1, 30)


def phases(rhythm: CognitiveRhythm, steps: int) -> list[str]:
    seen = []
    for _ in range(steps):
        seen.append(rhythm.phase)
        rhythm.step()
    return seen


def test_starts_awake_with_its_whole_duration() -> None:
    rhythm = CognitiveRhythm()
    assert (rhythm.phase, rhythm.counter) == ("wake", 8)


def test_eight_steps_awake_then_three_asleep() -> None:
    assert phases(CognitiveRhythm(), 22) == (["wake"] * 8 + ["sleep"] * 3) * 2


def test_the_counter_takes_the_new_phases_duration() -> None:
    rhythm = CognitiveRhythm()
    counters = []
    for _ in range(12):
        rhythm.step()
        counters.append(rhythm.counter)
    assert counters == [7, 6, 5, 4, 3, 2, 1, 3, 2, 1, 8, 7]


@given(durations, durations, st.integers(0, 100))
def test_periodic_from_anywhere(wake: int, sleep: int, offset: int) -> None:
    rhythm = CognitiveRhythm(RhythmParams(wake_duration=wake, sleep_duration=sleep))
    phases(rhythm, offset)
    period = wake + sleep
    counter = rhythm.counter
    first = phases(rhythm, period)
    assert rhythm.counter == counter
    assert phases(rhythm, period) == first
    assert first.count("wake") == wake
    assert 1 <= rhythm.counter <= max(wake, sleep)


def test_durations_of_one_alternate() -> None:
    rhythm = CognitiveRhythm(RhythmParams(wake_duration=1, sleep_duration=1))
    assert phases(rhythm, 4) == ["wake", "sleep", "wake", "sleep"]


def test_phases_as_numbers() -> None:
    params = RhythmParams()
    assert (params.phase_value("wake"), params.phase_value("sleep")) == (0.1, 0.9)


@pytest.mark.parametrize("name", ["wake_duration", "sleep_duration"])
@pytest.mark.parametrize("value", [0, -1, 1.0, "3", True, None, 2**63])
def test_durations_are_whole_and_positive(name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^RhythmParams\.{name}: .*got "):
        RhythmParams(**{name: value})


def test_the_longest_wake_can_be_counted() -> None:
    rhythm = CognitiveRhythm(RhythmParams(wake_duration=2**63 - 1))
    rhythm.step()
    assert (rhythm.phase, rhythm.counter) == ("wake", 2**63 - 2)


def test_unknown_clocks_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"RhythmParams\.clock: .*'event' or 'commit'"):
        RhythmParams(clock="minute")  # type: ignore[arg-type]


@pytest.mark.parametrize("params", [{}, 8])
def test_other_things_than_parameters_are_refused(params: Any) -> None:
    with pytest.raises(ParameterError, match=r"CognitiveRhythm\.params: must be RhythmParams"):
        CognitiveRhythm(params)


def test_repr_shows_the_state() -> None:
    assert repr(CognitiveRhythm()) == "CognitiveRhythm(phase='wake', counter=8)"
