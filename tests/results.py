"""What the tests of simulations compare: results, to the last bit."""

from __future__ import annotations

from typing import Any

from support import state_bytes

from mlsdm import Result

ARRAYS = (
    "moral_values", "codes", "phase_codes", "threshold", "acceptance_rate", "norms", "lattice_size",
)  # fmt: skip


def trace_bytes(result: Result) -> dict[str, Any]:
    """Return the arrays of a result as bytes, with their types and shapes."""
    arrays = {name: getattr(result, name) for name in ARRAYS}
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}


def assert_same(result: Result, expected: Result) -> None:
    """Compare two results of single runs, and the engines in them if `expected` has one."""
    assert trace_bytes(result) == trace_bytes(expected)
    assert result.summary() == expected.summary()
    assert len(result) == len(expected)
    assert (result.controller is None) == (expected.controller is None)
    if expected.controller is not None:
        assert state_bytes(result.engine) == state_bytes(expected.engine)
