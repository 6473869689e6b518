"""Policies by the addresses of their functions: a rule that is chosen when the engine is made.

A policy's functions are compiled by themselves (see `mlsdm.engine.policies.compiling`), so that a
new one leaves the compiled rules as they are; a call costs some nanoseconds.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from mlsdm.engine.rules.compiling import compiled, emitted
from mlsdm.engine.rules.layout import MORAL, TOXIC, UNKNOWN, Constants, Pending, State
from mlsdm.engine.rules.moral import accept, adapt

__all__ = ["accepts", "adapts", "ask", "judge", "learns", "teach", "tell"]

DEFAULT = 0  # in place of an address: the function of `MoralPolicy`
_NUMBER, _BOOL, _POINTER = ir.DoubleType(), ir.IntType(8), ir.IntType(8).as_pointer()
_FUNCTION = ir.FunctionType(_BOOL, [_NUMBER, _NUMBER, _BOOL, _BOOL, _POINTER, _POINTER])


@emitted
def _call(
    _: Any, address: Any, value: Any, context: Any, accepted: Any, toxic: Any, state: Any, rule: Any
) -> Any:
    """Call a policy's function; it sees its own part of the state and of the constants."""
    offset = ir.Constant(ir.IntType(64), rule.offset("setting0"))

    def emit(target: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = builder.inttoptr(args[0], _FUNCTION.as_pointer())
        flags = [builder.zext(flag, _BOOL) for flag in args[3:5]]
        kept = builder.bitcast(args[5], _POINTER)
        settings = builder.gep(builder.bitcast(args[6], _POINTER), [offset])
        returned = builder.call(function, [*args[1:3], *flags, kept, settings])
        return builder.icmp_unsigned("!=", returned, _BOOL(0))

    number, flag = types.float64, types.boolean
    return flag(types.int64, number, number, flag, flag, state, rule), emit


@compiled
def accepts(rule: Any, state: Any, value: float, context: float) -> bool:
    """Return whether the policy accepts an event; nothing changes."""
    if not rule.by_policy:
        return accept(value, state.threshold, rule)
    if rule.accept == DEFAULT:
        return bool(value >= state.threshold)
    return _call(rule.accept, value, context, False, False, state, rule)  # type: ignore[no-any-return]


@compiled
def adapts(rule: Any, state: Any, value: float, context: float, accepted: bool) -> None:
    """Take a decision into the acceptance average, and into whatever else the policy keeps."""
    if rule.by_policy:
        state.rate = (rule.smoothing if accepted else 0.0) + (1.0 - rule.smoothing) * state.rate
        if rule.adapt != DEFAULT:
            _call(rule.adapt, value, context, accepted, False, state, rule)
    else:
        state.threshold, state.rate = adapt(state.threshold, state.rate, accepted, rule)


@compiled
def learns(
    rule: Any, state: Any, value: float, context: float, accepted: bool, toxic: bool
) -> None:
    """Tell the policy what an event truly was that it has decided about."""
    if rule.by_policy and rule.learn != DEFAULT:
        _call(rule.learn, value, context, accepted, toxic, state, rule)


@compiled
def judge(rule: Any, state: Any, value: float, context: float) -> bool:
    """Return whether an event is accepted, once the policy has adapted to that."""
    accepted = accepts(rule, state, value, context)
    adapts(rule, state, value, context, accepted)
    return accepted


@compiled
def teach(
    rule: Any, state: Any, pending: Pending, number: int,
    value: float, context: float, code: int, label: int,
) -> None:  # fmt: skip
    """Note an event by its number, then tell the policy the label that is due by now, if any."""
    noted = pending[number % pending.size]
    noted.value, noted.context, noted.accepted, noted.label = value, context, code != MORAL, label
    due = pending[(number + 1) % pending.size]
    if due.label != UNKNOWN:
        learns(rule, state, due.value, due.context, due.accepted, due.label == TOXIC)
        due.label = UNKNOWN


@compiled
def ask(rules: Constants, states: State, value: float, context: float) -> bool:
    """Return whether an event is accepted, for a filter by itself."""
    return accepts(rules[0], states[0], value, context)


@compiled
def tell(
    rules: Constants, states: State, value: float, context: float, accepted: bool, label: int
) -> None:
    """Tell a filter by itself a decision, or where a label is known, what the event truly was."""
    if label == UNKNOWN:
        adapts(rules[0], states[0], value, context, accepted)
    else:
        learns(rules[0], states[0], value, context, accepted, label == TOXIC)
