"""Copies that go past the caches: what will not be read soon need not displace what will.

A plain store first fetches the line that it overwrites. On a memory much larger than the caches,
that is half of the traffic of writing a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from mlsdm.engine.rules.compiling import compiled, emitted
from mlsdm.engine.rules.layout import LINE

__all__ = ["fence", "is_far", "put"]

FAR = 2**21  # elements: 8 MiB, more than the caches that belong to one core
_FLOATS = ir.VectorType(ir.FloatType(), LINE)
_I32 = ir.IntType(32)


@compiled
def is_far(vectors: NDArray[np.float32]) -> bool:
    """Return whether rows are to be written past the caches; they must be whole lines for that."""
    return vectors.size > FAR and vectors.shape[1] % LINE == 0


@emitted
def _put_line(typing: Any, source: Any, target: Any, start: Any) -> Any:
    """Copy one line, past the caches."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from_, to = (
            builder.bitcast(
                builder.gep(context.make_array(kind)(context, builder, array).data, [arguments[2]]),
                _FLOATS.as_pointer(),
            )
            for kind, array in zip(signature.args[:2], arguments[:2], strict=True)
        )
        stored = builder.store(builder.load(from_, align=4), to, align=4 * LINE)
        stored.set_metadata("nontemporal", builder.module.add_metadata([_I32(1)]))
        return context.get_dummy_value()

    return types.void(source, target, types.intp), emit


@emitted
def fence(typing: Any) -> Any:
    """Let other threads see what was put before they see what is written after."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), emit


@compiled
def put(source: NDArray[np.float32], target: NDArray[np.float32], far: bool) -> None:
    """Copy a vector to a row; past the caches if `far`, as `is_far` allows it."""
    if far:
        for i in range(0, source.size, LINE):
            _put_line(source, target, i)
    else:
        for i in range(source.size):
            target[i] = source[i]
