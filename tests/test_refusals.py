"""Whatever is not a finite real vector of the right shape is refused, and changes not one byte."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from damage import lived
from numpy.typing import NDArray
from support import every_byte

from mlsdm import (
    CognitiveController,
    EngineParams,
    LatticeParams,
    ParameterError,
    simulate,
    simulate_many,
)

DIM = 5
PARAMS = EngineParams(dim=DIM, lattice=LatticeParams(capacity=8))

# Bits of float32 that are no number, or none that is finite.
BITS = {
    "quiet NaN": 0x7FC00000,
    "negative quiet NaN": 0xFFC00000,
    "signalling NaN": 0x7F800001,
    "negative signalling NaN": 0xFF800001,
    "NaN with a payload": 0x7FD5A5A5,
    "signalling NaN with a payload": 0x7FA12345,
    "NaN of all ones": 0xFFFFFFFF,
    "largest signalling NaN": 0x7FBFFFFF,
    "infinity": 0x7F800000,
    "negative infinity": 0xFF800000,
}
BITS64 = {
    "quiet NaN": 0x7FF8000000000000,
    "signalling NaN": 0x7FF0000000000001,  # in float32 its payload is lost
    "negative signalling NaN": 0xFFF0000000000001,
    "NaN with a payload": 0x7FFDEADBEEFDEAD1,
    "infinity": 0x7FF0000000000000,
    "negative infinity": 0xFFF0000000000000,
    "just over float32": int(np.float64(3.4028235677973366e38).view(np.uint64)),
    "far over float32": int(np.float64(-1e300).view(np.uint64)),
}
BITS16 = {"quiet NaN": 0x7E00, "signalling NaN": 0x7C01, "infinity": 0x7C00, "minus": 0xFC00}

Call = Callable[[CognitiveController, Any], object]
CALLS: dict[str, Call] = {
    "process_event": lambda engine, vector: engine.process_event(vector, 0.95),
    "process_event refused": lambda engine, vector: engine.process_event(vector, 0.0),
    "retrieve_context": lambda engine, vector: engine.retrieve_context(vector),
    "retrieve": lambda engine, vector: engine.lattice.retrieve(vector, 0.1),
    "entangle": lambda engine, vector: engine.lattice.entangle(vector, 0.1),
    "update": lambda engine, vector: engine.synapse.update(vector),
}


def stacked(vector: NDArray[Any], place: int) -> NDArray[Any]:
    """Return five rows, of which one is the vector."""
    rows = np.ones((5, *vector.shape), vector.dtype)
    rows[place] = vector
    return rows


MANY: dict[str, Call] = {
    "retrieve_many": lambda engine, vectors: engine.lattice.retrieve_many(vectors, 0.1),
    "simulate": lambda _, vectors: simulate(PARAMS, vectors, np.full(len(vectors), 0.9)),
}


@pytest.fixture(scope="module")
def engine() -> CognitiveController:
    return lived(PARAMS, 40)


@pytest.fixture(autouse=True)
def _no_warning() -> Iterator[None]:
    """A refusal is an error, and no warning of NumPy's comes before it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def bad_numbers() -> Iterator[Any]:
    for kind, whole, table in (("f4", "u4", BITS), ("f8", "u8", BITS64), ("f2", "u2", BITS16)):
        for name, bits in table.items():
            vector = np.ones(DIM, kind)
            vector.view(whole)[3] = bits
            yield pytest.param(vector, id=f"{kind}-{name}")


def layouts(vector: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Return the same numbers in every way that an array may hold them."""
    yield vector
    wide = np.zeros((*vector.shape, 3), vector.dtype)
    wide[..., 1] = vector
    yield wide[..., 1]
    yield np.ascontiguousarray(vector[..., ::-1])[..., ::-1]
    yield vector.astype(vector.dtype.newbyteorder(">"))
    read_only = vector.copy()
    read_only.flags.writeable = False
    yield read_only
    yield np.asfortranarray(vector)
    held = np.zeros(vector.nbytes + 1, np.uint8)
    unaligned = held[1:].view(vector.dtype).reshape(vector.shape)
    unaligned[...] = vector
    yield unaligned


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("vector", list(bad_numbers()))
def test_no_number_that_is_not_finite(
    engine: CognitiveController, vector: NDArray[Any], call: str
) -> None:
    before = every_byte(engine)
    for given in layouts(vector):
        with pytest.raises(ParameterError, match=r"\[3\]: must be finite in float32 \(got -?"):
            CALLS[call](engine, given)
        assert every_byte(engine) == before


@pytest.mark.parametrize("call", MANY)
@pytest.mark.parametrize("vector", list(bad_numbers()))
def test_none_in_a_stream_either(
    engine: CognitiveController, vector: NDArray[Any], call: str
) -> None:
    before = every_byte(engine)
    for place in (0, 2, 4):
        for given in layouts(stacked(vector, place)):
            with pytest.raises(ParameterError, match=rf"\[{place}, 3\]: must be finite in float32"):
                MANY[call](engine, given)
    assert every_byte(engine) == before


WRONG: dict[str, Any] = {
    "complex": np.ones(DIM, complex),
    "boolean": np.ones(DIM, bool),
    "object": np.ones(DIM, object),
    "text": np.array(["1"] * DIM),
    "bytes": np.array([b"1"] * DIM),
    "dates": np.zeros(DIM, "M8[s]"),
    "times": np.zeros(DIM, "m8[s]"),
    "records": np.zeros(DIM, "f4, f4"),
    "raw": np.zeros(DIM, "V4"),
    "short": np.ones(DIM - 1, np.float32),
    "long": np.ones(DIM + 1, np.float32),
    "no length": np.ones(0, np.float32),
    "number": np.float32(1.0),
    "a dimension more": np.ones((1, DIM), np.float32),
    "a dimension more, behind": np.ones((DIM, 1), np.float32),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("vector", WRONG.values(), ids=WRONG.keys())
def test_no_other_type_and_no_other_shape(
    engine: CognitiveController, vector: Any, call: str
) -> None:
    before = every_byte(engine)
    with pytest.raises(ParameterError, match=r": must (have shape|hold real numbers) .*\(got "):
        CALLS[call](engine, vector)
    assert every_byte(engine) == before


@pytest.mark.parametrize("call", MANY)
@pytest.mark.parametrize("vector", WRONG.values(), ids=WRONG.keys())
def test_nor_in_a_stream(engine: CognitiveController, vector: Any, call: str) -> None:
    before = every_byte(engine)
    with pytest.raises(ParameterError, match=r": must (have shape|hold real numbers) .*\(got "):
        MANY[call](engine, stacked(np.asarray(vector), 1))
    assert every_byte(engine) == before


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "g", "i1", "u1", "i2", "u4", "i8", "u8"])
def test_every_layout_of_real_numbers_is_the_same_event(kind: str) -> None:
    vectors = np.random.default_rng(0).integers(0, 9, (9, DIM)).astype(kind)
    expected = lived(PARAMS, 0)
    for vector in vectors.astype(np.float32):
        expected.process_event(vector, 0.95)
    query = vectors[0].astype(np.float32)
    found = [(one.row, one.resonance) for one in expected.retrieve_context(query)]
    for n in range(7):
        taken = lived(PARAMS, 0)
        for vector in vectors:
            taken.process_event(list(layouts(vector))[n], 0.95)
        assert every_byte(taken) == every_byte(expected)
        asked = list(layouts(vectors[0]))[n]
        assert [(one.row, one.resonance) for one in taken.retrieve_context(asked)] == found
        stream = list(layouts(vectors))[n]
        simulated = simulate(PARAMS, stream, np.full(9, 0.95)).engine
        assert simulated.lattice.vectors.tobytes() == expected.lattice.vectors.tobytes()
        assert np.array_equal(np.asarray(stream), vectors)  # and is left as it was


def test_streams_of_no_length(engine: CognitiveController) -> None:
    before = every_byte(engine)
    rows, resonances = engine.lattice.retrieve_many(np.ones((0, DIM)), 0.1)
    assert (len(rows), len(resonances)) == (0, 0)
    assert engine.lattice.retrieve_many([], 0.1)[0].shape == rows.shape
    for vectors in (np.ones((0, DIM)), np.ones((0, DIM), ">i2"), [], np.ones((0, DIM))[::-1]):
        result = simulate(PARAMS, vectors, [])
        assert (len(result), result.engine.lattice.size) == (0, 0)
        assert every_byte(result.engine) == every_byte(CognitiveController(PARAMS))
    assert len(simulate(PARAMS, None, np.ones(0, np.float16))) == 0
    for vectors in (np.ones((0, DIM + 1)), np.ones((0, DIM), complex), np.ones((0, DIM, 1))):
        with pytest.raises(ParameterError, match=r"queries: must "):
            engine.lattice.retrieve_many(vectors, 0.1)
        with pytest.raises(ParameterError, match=r"simulate\.vectors: must "):
            simulate(PARAMS, vectors, [])
    assert every_byte(engine) == before


def not_in_0_to_1() -> Iterator[Any]:
    for kind, whole, table in (("f4", "u4", BITS), ("f8", "u8", BITS64), ("f2", "u2", BITS16)):
        for name, bits in table.items():
            yield pytest.param(np.array(bits, whole).view(kind)[()], id=f"{kind}-{name}")


@pytest.mark.parametrize("value", list(not_in_0_to_1()))
def test_no_moral_value_that_is_not_finite(engine: CognitiveController, value: Any) -> None:
    before = every_byte(engine)
    with pytest.raises(ParameterError, match=r"moral_value: must be a number in \[0, 1\]"):
        engine.process_event(np.ones(DIM), value)
    values = np.array([0.5, value, 0.5], value.dtype)
    for vectors in (None, np.ones((3, DIM))):
        for call in (simulate, simulate_many):
            with pytest.raises(ParameterError, match=r"moral_values\[1\]: must be a number in \[0"):
                call(PARAMS, vectors, values)
    assert every_byte(engine) == before
