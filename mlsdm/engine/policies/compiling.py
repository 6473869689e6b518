"""A policy's functions, compiled to addresses that the rules can call."""

from __future__ import annotations

from threading import RLock
from typing import Any

import numpy as np
from numba import (  # type: ignore[attr-defined]
    carray,
    cfunc,
    from_dtype,
    njit,
    types,
)

from mlsdm.errors import ParameterError

__all__ = ["addresses", "fields"]

_made: dict[tuple[type, tuple[str, ...]], dict[str, Any]] = {}  # what is dropped cannot be called
_lock = RLock()


def fields(names: tuple[str, ...]) -> np.dtype[Any]:
    """Return the record of numbers that a policy sees by these names."""
    return np.dtype([(name, "f8") for name in names] or [("unused", "f8")])


def addresses(policy: Any, names: tuple[str, ...], settings: tuple[str, ...]) -> dict[str, int]:
    """Return the addresses of a policy's functions of these names, compiled on first use.

    Raises
    ------
    ParameterError
        When one of them cannot be compiled.
    """
    key = (policy, settings)
    with _lock:
        if key not in _made:
            state = fields(("threshold", "acceptance_rate", *policy.memory))
            kinds = [from_dtype(record) for record in (state, fields(settings))]
            _made[key] = {name: _compiled(policy, name, _SHAPES[name], *kinds) for name in names}
        return {name: made.address for name, made in _made[key].items()}


# What each function is called by: of one kind, whatever it takes and returns.
def _accept(function: Any) -> Any:
    def call(value, context, accepted, toxic, state, rule):  # type: ignore[no-untyped-def]
        return bool(function(value, context, carray(state, 1)[0], carray(rule, 1)[0]))

    return call


def _adapt(function: Any) -> Any:
    def call(value, context, accepted, toxic, state, rule):  # type: ignore[no-untyped-def]
        function(value, context, accepted, carray(state, 1)[0], carray(rule, 1)[0])
        return True

    return call


def _learn(function: Any) -> Any:
    def call(value, context, accepted, toxic, state, rule):  # type: ignore[no-untyped-def]
        function(value, context, accepted, toxic, carray(state, 1)[0], carray(rule, 1)[0])
        return True

    return call


_SHAPES = {"accept": _accept, "adapt": _adapt, "learn": _learn}


def _compiled(policy: Any, name: str, shape: Any, state: Any, rule: Any) -> Any:
    number, flag, pointer = types.float64, types.boolean, types.CPointer
    kind = flag(number, number, flag, flag, pointer(state), pointer(rule))  # type: ignore[no-untyped-call]
    try:
        function = njit(error_model="numpy")(getattr(policy, name))
        return cfunc(kind, error_model="numpy")(shape(function))
    except Exception as error:  # Numba raises of any kind
        owner = f"{policy.__name__}.{name}: cannot be compiled: "
        if isinstance(error, KeyError):
            raise ParameterError(f"{owner}neither state nor rule has {error}") from error
        lines = (line.strip() for line in str(error).splitlines())
        said = (line for line in lines if line and not line.startswith("Failed in nopython mode"))
        raise ParameterError(owner + next(said, "no reason given")) from error
