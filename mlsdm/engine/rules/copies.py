"""State and constants are held three times: two copies tell what a flipped bit was."""

from __future__ import annotations

import numpy as np

from mlsdm.engine.rules.compiling import compiled
from mlsdm.engine.rules.layout import COPIES, Constants, State

__all__ = ["agree", "keep", "vote"]


@compiled
def keep(held: State | Constants) -> None:
    """Copy the first, so that a flipped bit in one of the three can be told."""
    held[1] = held[0]
    held[2] = held[0]


@compiled
def agree(held: State | Constants) -> bool:
    """Return whether a state, or constants, and the copies are the same."""
    words = held.view(np.int64)
    n = words.size // COPIES
    differing = 0
    for i in range(n):
        differing += words[i] != words[n + i] or words[i] != words[2 * n + i]
    return differing == 0


@compiled
def vote(held: State | Constants) -> bool:
    """Make all three copies what two of them say, word by word; return whether two did.

    Where they do not, nothing is changed: damage stays visible.
    """
    words = held.view(np.int64)
    n = words.size // COPIES
    for i in range(n):
        first, second, third = words[i], words[n + i], words[2 * n + i]
        if first != second and first != third and second != third:
            return False
    for i in range(n):
        if words[i] != words[n + i]:
            words[i] = words[2 * n + i]
    keep(held)
    return True
