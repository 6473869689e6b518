"""The state is held three times: two copies tell what a flipped bit was."""

from __future__ import annotations

import numpy as np

from mlsdm.engine.rules.compiling import compiled
from mlsdm.engine.rules.layout import COPIES, State

__all__ = ["agree", "keep", "vote"]


@compiled
def keep(states: State) -> None:
    """Copy the state, so that a flipped bit in one of the three can be told."""
    states[1] = states[0]
    states[2] = states[0]


@compiled
def agree(states: State) -> bool:
    """Return whether the state and its copies are the same."""
    words = states.view(np.int64)
    n = words.size // COPIES
    differing = 0
    for i in range(n):
        differing += words[i] != words[n + i] or words[i] != words[2 * n + i]
    return differing == 0


@compiled
def vote(states: State) -> bool:
    """Make the state what two of its three copies say, word by word; return whether two did.

    Where they do not, nothing is changed: damage stays visible.
    """
    words = states.view(np.int64)
    n = words.size // COPIES
    for i in range(n):
        first, second, third = words[i], words[n + i], words[2 * n + i]
        if first != second and first != third and second != third:
            return False
    for i in range(n):
        if words[i] != words[n + i]:
            words[i] = words[2 * n + i]
    keep(states)
    return True
