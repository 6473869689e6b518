"""Sums of products in float64 over 32 lanes: as fast as the machine, in one order on all of them.

Lane j sums the elements j, j + 32, j + 64, …; then the upper half of the lanes is added to the
lower one until one number is left. A compiler may not reorder a sum of floats, so that a plain loop
runs one element at a time; here the order is part of the rule, and whatever vector registers a
machine has do the same additions (our own choice).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import models, register_model
from numpy.typing import NDArray

from mlsdm.engine.rules.compiling import compiled, emitted

__all__ = ["dot", "norm", "residual"]

LANES = 32
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_CODES = ir.VectorType(ir.IntType(8), LANES)
_INDEX = ir.IntType(32)


class _Lanes(types.Type):
    """Numba's type of 32 sums under way."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, _DOUBLES)  # type: ignore[no-untyped-call]


def _load(context: Any, builder: Any, type_: Any, array: Any, start: Any) -> Any:
    """Emit the load of 32 float32 or int8 from a contiguous array, widened to float64."""
    data = context.make_array(type_)(context, builder, array).data
    pointer = builder.gep(data, [start])
    if type_.dtype == types.int8:
        codes = builder.load(builder.bitcast(pointer, _CODES.as_pointer()), align=1)
        return builder.sitofp(codes, _DOUBLES)
    floats = builder.load(builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)
    return builder.fpext(floats, _DOUBLES)


@emitted
def _nothing(typing: Any) -> Any:
    """Return 32 sums of nothing."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_DOUBLES, [0.0] * LANES)

    return _Lanes()(), emit


@emitted
def _add_products(typing: Any, lanes: Any, a: Any, b: Any, start: Any) -> Any:
    """Return lanes + a[start : start + 32] · b[start : start + 32], element by element."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, first, second, place = arguments
        left = _load(context, builder, signature.args[1], first, place)
        right = _load(context, builder, signature.args[2], second, place)
        # Fused where the machine can: the product of two float32 is exact in float64 either way.
        kind = ir.FunctionType(_DOUBLES, [_DOUBLES] * 3)
        name = f"llvm.fmuladd.v{LANES}f64"
        add = get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
        return builder.call(add, [left, right, sums])

    return _Lanes()(lanes, a, b, types.intp), emit


@emitted
def _add_squares(typing: Any, lanes: Any, a: Any, codes: Any, scale: Any, start: Any) -> Any:
    """Return lanes + (a - scale · codes)², element by element from `start` on."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, first, second, factor, place = arguments
        left = _load(context, builder, signature.args[1], first, place)
        right = _load(context, builder, signature.args[2], second, place)
        one = builder.insert_element(ir.Constant(_DOUBLES, ir.Undefined), factor, _INDEX(0))
        zeros = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
        factors = builder.shuffle_vector(one, ir.Constant(_DOUBLES, ir.Undefined), zeros)
        difference = builder.fsub(left, builder.fmul(factors, right))
        return builder.fadd(sums, builder.fmul(difference, difference))

    return _Lanes()(lanes, a, codes, types.float64, types.intp), emit


@emitted
def _add_to_lane(typing: Any, lanes: Any, lane: Any, value: Any) -> Any:
    """Return the lanes with the value added to one of them."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, place, added = arguments
        place = builder.trunc(place, _INDEX)
        total = builder.fadd(builder.extract_element(sums, place), added)
        return builder.insert_element(sums, total, place)

    return _Lanes()(lanes, types.intp, types.float64), emit


@emitted
def _fold(typing: Any, lanes: Any) -> Any:
    """Return the sum of the lanes, upper half to lower half until one is left."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (sums,) = arguments
        width = LANES
        while width > 1:
            width //= 2
            indices = ir.VectorType(_INDEX, width)
            lower, upper = (
                builder.shuffle_vector(
                    sums,
                    ir.Constant(sums.type, ir.Undefined),
                    ir.Constant(indices, list(range(start, start + width))),
                )
                for start in (0, width)
            )
            sums = builder.fadd(lower, upper)
        return builder.extract_element(sums, _INDEX(0))

    return types.float64(lanes), emit


@compiled
def dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the inner product of two contiguous vectors, in float64 and in the order above."""
    lanes = _nothing()
    whole = a.size - a.size % LANES
    for start in range(0, whole, LANES):
        lanes = _add_products(lanes, a, b, start)
    for lane in range(a.size - whole):
        product = np.float64(a[whole + lane]) * np.float64(b[whole + lane])
        lanes = _add_to_lane(lanes, lane, product)
    return float(_fold(lanes))


@compiled
def norm(a: NDArray[np.float32]) -> float:
    """Return the Euclidean norm of a contiguous vector, √dot(a, a), with half the loads."""
    lanes = _nothing()
    whole = a.size - a.size % LANES
    for start in range(0, whole, LANES):
        lanes = _add_products(lanes, a, a, start)
    for lane in range(a.size - whole):
        lanes = _add_to_lane(lanes, lane, np.float64(a[whole + lane]) * np.float64(a[whole + lane]))
    return float(np.sqrt(_fold(lanes)))


@compiled
def residual(a: NDArray[np.float32], codes: NDArray[np.int8], scale: float) -> float:
    """Return the Euclidean norm of a - scale · codes in float64."""
    lanes = _nothing()
    whole = a.size - a.size % LANES
    for start in range(0, whole, LANES):
        lanes = _add_squares(lanes, a, codes, scale, start)
    for lane in range(a.size - whole):
        difference = np.float64(a[whole + lane]) - scale * np.float64(codes[whole + lane])
        lanes = _add_to_lane(lanes, lane, difference * difference)
    return float(np.sqrt(_fold(lanes)))
