"""Streams that somebody chooses against a policy: blindly from its parameters, or seeing it."""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import Any

import numpy as np

from mlsdm.checks import as_generator, as_whole
from mlsdm.engine.inputs import as_fraction, as_params
from mlsdm.engine.moral import MoralFilter
from mlsdm.engine.policies import MoralPolicy
from mlsdm.streams.adversary.classes import SAFE, TOXIC, Classes, Source, Values
from mlsdm.streams.stream import Stream

__all__ = ["boiling_frog", "seeing"]


def boiling_frog(
    n: int,
    rng: np.random.Generator,
    params: MoralPolicy,
    *,
    control: float = 1.0,
    toxic: Values = TOXIC,
    safe: Values = SAFE,
) -> Stream:
    """Return an attack that walks the threshold down and keeps it there, blindly.

    All is computed beforehand from the policy's parameters. Toxic events stay just below the
    threshold as it sinks; from where one passes on, it passes unless that would raise the
    threshold: then one just below is refused instead.

    Parameters
    ----------
    n
        Events.
    rng
        Draws whose an event is, and the values of the others' events.
    params
        The policy that is attacked, one whose events are held against its threshold.
    control
        Share of the events that are the attacker's, all of them toxic; the others are safe, and the
        attacker does not reckon with them.
    toxic, safe
        What a class has values of: a pair (low, high), or an array.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "boiling_frog"
    mine, values, classes = _shared(owner, n, rng, control, toxic, safe)
    filtered = MoralFilter(as_params(owner, params, MoralPolicy))
    for event in np.flatnonzero(mine):
        values[event] = _frog(filtered, classes.toxic)
        filtered.adapt(filtered.accept(values[event]), values[event])
    return Stream(values, toxic=mine, source=f"boiling_frog(n={n}, control={control:g})")


def _frog(filtered: MoralFilter, toxic: Source) -> float:
    """Return the value of the next event."""
    value = toxic.from_(filtered.threshold)
    passes, threshold, _ = _after(filtered, value, None)
    return value if passes and threshold <= filtered.threshold else toxic.below(filtered.threshold)


def seeing(
    n: int,
    rng: np.random.Generator,
    params: MoralPolicy,
    *,
    control: float = 1.0,
    delay: int | None = None,
    toxic: Values = TOXIC,
    safe: Values = SAFE,
) -> Stream:
    """Return an attack by one who sees the policy's state before each event, and knows its rule.

    A toxic event that passes is sent at once. Else the event is sent, of the ends of both classes,
    that leaves the threshold lowest; of several, that which leaves the acceptance average lowest,
    a safe one before a toxic one. It looks one event ahead and so is no worst case.

    Parameters
    ----------
    n
        Events.
    rng
        Draws whose an event is, and the values of the others' events.
    params
        The policy that is attacked, any one.
    control
        Share of the events that are the attacker's; the others are safe, drawn from their class.
    delay
        Events until the policy is told a label, as in `simulate`; None where it never is.
    toxic, safe
        What a class has values of: a pair (low, high), or an array.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "seeing"
    mine, values, classes = _shared(owner, n, rng, control, toxic, safe)
    filtered = MoralFilter(as_params(owner, params, MoralPolicy))
    wait = None if delay is None else as_whole(f"{owner}.delay", delay, 0)
    labels = np.zeros(len(values), bool)
    due: deque[tuple[bool, bool, float]] = deque()
    for event in range(len(values)):
        if mine[event]:
            values[event], labels[event] = _worst(filtered, classes, wait)
        value = float(values[event])
        accepted = filtered.accept(value)
        filtered.adapt(accepted, value)
        due.append((accepted, bool(labels[event]), value))
        if wait is not None and len(due) > wait:
            filtered.learn(*due.popleft())
    source = f"seeing(n={n}, control={control:g}, policy={filtered.params.policy})"
    return Stream(values, toxic=labels, source=source)


def _worst(filtered: MoralFilter, classes: Classes, delay: int | None) -> tuple[float, bool]:
    """Return the value and the label of the next event."""
    if filtered.accept(classes.toxic.highest):
        return classes.toxic.highest, True
    choices = [
        (value, label)
        for label, one in ((False, classes.safe), (True, classes.toxic))
        for value in (one.lowest, one.highest)
    ]
    # The label of this event is told at once, or has no part in the next state.
    return min(
        choices, key=lambda one: _after(filtered, one[0], one[1] if delay == 0 else None)[1:]
    )


def _after(filtered: MoralFilter, value: float, label: bool | None) -> tuple[bool, float, float]:
    """Return what a policy would decide, and its threshold and acceptance average after that."""
    twin = copy(filtered)
    twin._states = filtered._states.copy()
    accepted = twin.accept(value)
    twin.adapt(accepted, value)
    if label is not None:
        twin.learn(accepted, label, value)
    return accepted, twin.threshold, twin.acceptance_rate


def _shared(
    owner: str, n: int, rng: np.random.Generator, control: float, toxic: Values, safe: Values
) -> tuple[Any, Any, Classes]:
    """Return which events are the attacker's, values for those of the others, and both classes."""
    n, rng = as_whole(f"{owner}.n", n, 0), as_generator(f"{owner}.rng", rng)
    control = as_fraction(f"{owner}.control", control)
    classes = Classes.of(owner, toxic, safe)
    return rng.random(n) < control, classes.safe.draw(n, rng), classes
