"""What the engine takes as a vector or a moral value, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import every_byte, state_bytes

from mlsdm import CognitiveController, EngineParams, LatticeParams, ParameterError, simulate
from mlsdm.engine.rules import events, recall

PARAMS = EngineParams(dim=4, lattice=LatticeParams(capacity=6))
WHOLE = np.array([3, 0, 1, 2])


def running() -> CognitiveController:
    """Return an engine with something in every part."""
    result = simulate(PARAMS, np.arange(40).reshape(10, 4) % 7, np.linspace(0.2, 1, 10))
    assert result.controller is not None
    return result.controller


def strided(vector: Any) -> Any:
    wide = np.zeros((4, 3), np.float64)
    wide[:, 1] = vector
    return wide[:, 1]


def read_only(vector: Any) -> Any:
    copy = np.array(vector, np.float32)
    copy.flags.writeable = False
    return copy


GOOD: dict[str, Callable[[Any], Any]] = {
    **{
        kind.__name__: lambda v, kind=kind: np.array(v, kind)
        for kind in (
            np.float16, np.float32, np.float64, np.longdouble,
            np.int8, np.int16, np.int32, np.int64,
            np.uint8, np.uint16, np.uint32, np.uint64,
        )
    },
    "list": list,
    "tuple of floats": lambda v: tuple(float(x) for x in v),
    "big-endian float": lambda v: np.array(v, ">f8"),
    "big-endian float32": lambda v: np.array(v, ">f4"),
    "big-endian integer": lambda v: np.array(v, ">i2"),
    "strided": strided,
    "reversed": lambda v: np.array(v[::-1], np.float32)[::-1],
    "read-only": read_only,
}  # fmt: skip


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD.keys())
def test_real_vectors_of_any_make_give_the_same_bytes(make: Callable[[Any], Any]) -> None:
    expected, controller = running(), running()
    expected.process_event(WHOLE.astype(np.float32), 1)
    vector = make(WHOLE)
    controller.process_event(vector, 1)
    assert state_bytes(controller) == state_bytes(expected)
    assert np.asarray(vector).tolist() == WHOLE.tolist()
    np.testing.assert_array_equal(
        [recall.row for recall in controller.retrieve_context(vector)],
        [recall.row for recall in expected.retrieve_context(WHOLE)],
    )


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD.keys())
def test_simulate_takes_the_same(make: Callable[[Any], Any]) -> None:
    vectors = np.arange(24).reshape(6, 4) % 5
    expected = simulate(PARAMS, vectors.astype(np.float32), np.full(6, 0.9)).controller
    result = simulate(PARAMS, np.stack([make(v) for v in vectors]), np.full(6, 0.9)).controller
    assert expected is not None
    assert result is not None
    assert state_bytes(result) == state_bytes(expected)


def test_no_make_compiles_the_rules_anew() -> None:
    """Each of the compiled parts that take a vector knows one layout of arrays only."""
    controller = running()
    parts: Any = (events.process, events.run, recall.scan, recall.sift)
    unaligned = np.zeros(4, "i1, 4f4")["f1"][0]
    for vector in (*(make(WHOLE) for make in GOOD.values()), unaligned):
        controller.process_event(vector, np.float32(0.5))
        controller.retrieve_context(vector)
        controller.lattice.retrieve_many(np.stack([vector, vector]), 0.1)
        simulate(PARAMS, np.stack([vector, vector]), [0.5, 0.5])
    assert [len(part.signatures) for part in parts] == [1, 1, 1, 1]


def test_layouts_of_a_whole_stream() -> None:
    vectors = np.random.default_rng(1).standard_normal((9, 4)).astype(np.float32)
    values = np.linspace(0.4, 1, 9)
    expected = simulate(PARAMS, vectors, values).engine
    wide = np.zeros((18, 8), np.float32)
    wide[::2, ::2] = vectors
    read_only_values = values.copy()
    read_only_values.flags.writeable = False
    for given_vectors, given_values in (
        (np.asfortranarray(vectors), list(values)),
        (wide[::2, ::2], values[::-1].copy()[::-1]),
        (vectors[::-1].copy()[::-1], values.astype(">f8")),
        (vectors.astype(">f4"), tuple(values)),
        (list(vectors), read_only_values),
        (vectors.tolist(), values.astype(np.longdouble)),
    ):
        assert state_bytes(simulate(PARAMS, given_vectors, given_values).engine) == state_bytes(
            expected
        )


BAD_VECTORS: dict[str, Any] = {
    "short": [1, 2, 3],
    "long": [1, 2, 3, 4, 5],
    "row": [[1, 2, 3, 4]],
    "column": np.ones((4, 1)),
    "number": 3.0,
    "empty": [],
    "NaN": [1, 2, np.nan, 4],
    "infinity": [1, 2, np.inf, 4],
    "minus infinity": [1, -np.inf, 0, 4],
    "too large for float32": [1, 2, 3, 1e39],
    "too large half way": np.array([3.4028236e38, 0, 0, 0]),
    "leaves float32 with the levels": np.full(4, np.finfo(np.float32).max),
    "complex": np.ones(4, complex),
    "boolean": np.ones(4, bool),
    "object": np.array([1, 2, 3, 4], object),
    "text": ["1", "2", "3", "4"],
    "bytes": b"1234",
    "None": None,
    "holes": [1, None, 3, 4],
    "huge integers": [2**70, 1, 1, 1],
    "ragged": [[1], [2, 3], [4], [5]],
    "dates": np.zeros(4, "datetime64[s]"),
    "mapping": {0: 1, 1: 2, 2: 3, 3: 4},
}


@pytest.mark.parametrize("vector", BAD_VECTORS.values(), ids=BAD_VECTORS.keys())
@pytest.mark.parametrize("value", [1.0, 0.0], ids=["accepted", "refused"])
def test_bad_vectors_are_refused_and_change_nothing(vector: Any, value: float) -> None:
    """Also where the moral filter would refuse the event anyway."""
    controller = running()
    before = every_byte(controller)
    with pytest.raises(ParameterError, match=r"^CognitiveController\.process_event\.vector"):
        controller.process_event(vector, value)
    assert every_byte(controller) == before
    controller.process_event(WHOLE, 0.5)


@pytest.mark.parametrize("vector", BAD_VECTORS.values(), ids=BAD_VECTORS.keys())
def test_simulate_refuses_the_same(vector: Any) -> None:
    if vector is None:  # that is a run without vectors
        return
    with pytest.raises(ParameterError, match=r"^simulate.*\.vectors?\b"):
        simulate(PARAMS, [vector, vector], [0.9, 0.9])


@pytest.mark.parametrize(
    "value", [-0.1, 1.1, np.nan, np.inf, "0.5", None, True, np.False_, [0.5], 0.5j, 10**400]
)
def test_bad_moral_values_are_refused_and_change_nothing(value: Any) -> None:
    controller = running()
    before = every_byte(controller)
    with pytest.raises(
        ParameterError, match=r"process_event\.moral_value: must be a number in \[0, 1\] \(got "
    ):
        controller.process_event(WHOLE, value)
    assert every_byte(controller) == before


@pytest.mark.parametrize(
    "values",
    [
        [0.5, -0.1], [0.5, 1.1], [0.5, np.nan], [0.5, np.inf], ["0.5", "0.5"], [0.5, None],
        [True, False], np.array([0.5, 0.5], object), [0.5 + 0j, 0.5], [[0.5], [0.5]], 0.5, None,
        [[0.5], [0.5, 0.5]], np.array([], bool), np.array([], object), "0.5",
    ],
    ids=str,
)  # fmt: skip
def test_bad_streams_of_moral_values_are_refused(values: Any) -> None:
    with pytest.raises(ParameterError, match=r"^simulate\.moral_values(\[1\])?: must "):
        simulate(PARAMS, None, values)


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        (np.ones((2, 3)), "simulate.vectors: must have shape (events, 4) (got (2, 3))"),
        (np.ones((3, 4)), "simulate.vectors: must hold one row per moral value, 2 (got 3)"),
        (np.ones(4), "simulate.vectors: must have shape (events, 4) (got (4,))"),
        (
            [[0, 0, 0, 0], [0, 0, np.inf, 0]],
            "simulate.vectors[1, 2]: must be finite in float32 (got inf)",
        ),
    ],
)
def test_sentences_say_where(vectors: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        simulate(PARAMS, vectors, [0.5, 0.5])


@pytest.mark.parametrize("vectors", [np.ones((0, 3)), np.ones((0, 4), bool), np.ones((0, 4, 1))])
def test_empty_streams_are_checked_too(vectors: Any) -> None:
    with pytest.raises(ParameterError, match=r"^simulate\.vectors: must "):
        simulate(PARAMS, vectors, [])


def test_an_overflow_in_mid_stream_names_its_event() -> None:
    largest = np.finfo(np.float32).max
    vectors = np.zeros((5, 4))
    vectors[1:4] = 0.9 * largest
    with pytest.raises(ParameterError, match=r"^simulate\.vectors\[2\]: the synaptic levels"):
        simulate(PARAMS, vectors, np.full(5, 0.95))


@given(
    hnp.arrays(
        st.one_of(hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes()),
        4,
        elements={"allow_nan": True, "allow_infinity": True},
    )
    | hnp.arrays(hnp.floating_dtypes(), 4)
)
def test_any_real_array_is_taken_or_leaves_no_trace(vector: Any) -> None:
    controller = CognitiveController(PARAMS)
    before = every_byte(controller)
    with np.errstate(over="ignore"):
        finite = np.isfinite(vector.astype(np.float32)).all()
    try:
        controller.process_event(vector, 0.7)
    except ParameterError:
        assert not finite or np.abs(vector.astype(np.float64)).max() > 1e38
        assert every_byte(controller) == before
    else:
        assert finite
        np.testing.assert_array_equal(controller.lattice.vectors[0], vector.astype(np.float32))


def test_the_engine_keeps_no_hold_on_what_it_was_given() -> None:
    vectors, values = np.ones((3, 4), np.float32), np.full(3, 0.9)
    result = simulate(PARAMS, vectors, values)
    before = state_bytes(result.engine), result.moral_values.tolist()
    vectors[:], values[:] = 7, 0.0
    assert (state_bytes(result.engine), result.moral_values.tolist()) == before
