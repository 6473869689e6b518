"""What an engine holds, whether it is what was written, and how damage is put right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.display import html_table
from mlsdm.engine.rules import copies, guard, layout

__all__ = ["Integrity", "Memory", "Repair", "check", "restore"]


class Memory(NamedTuple):
    """All arrays of one engine, in the order in which the compiled rules take them."""

    rules: layout.Constants
    states: layout.State
    levels: NDArray[np.float32]
    vectors: NDArray[np.float32]
    rows: layout.Rows
    codes: NDArray[np.int8]

    @property
    def size(self) -> int:
        """Rows in use; within the capacity whatever has become of the number."""
        return min(max(int(self.states["size"][0]), 0), len(self.rows))


def _listed(rows: tuple[int, ...], most: int = 5) -> str:
    shown = ", ".join(map(str, rows[:most]))
    return f"{shown} and {len(rows) - most} more" if len(rows) > most else shown


@dataclass(frozen=True)
class Integrity:
    """What is not as it was written.

    Parameters
    ----------
    rows
        Rows of the lattice, ascending.
    levels
        Synaptic levels, 1 to 3; 4: their parity, the exclusive or that restores one of them.
    state
        Whether the filter's, the rhythm's or the ring's numbers, or the constants, differ from
        their copies.
    """

    rows: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()
    state: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged."""
        return not (self.rows or self.levels or self.state)

    def __str__(self) -> str:
        damage = [
            f"row {_listed(self.rows)}" if self.rows else "",
            f"level {_listed(self.levels)}" if self.levels else "",
            "the state" if self.state else "",
        ]
        return ", ".join(filter(None, damage)) or "nothing"

    def _repr_html_(self) -> str:
        return html_table("Integrity", ("", "differs"), [("from what was written", str(self))])


@dataclass(frozen=True)
class Repair:
    """What became of damage.

    Parameters
    ----------
    restored
        Rows that are again what was written.
    quarantined
        Rows that could not be restored: emptied, and in no phase until they are written anew.
    levels
        Synaptic levels, 1 to 3, or 4, their parity, that are again what was written.
    state
        Whether the state was restored from its copies.
    lost
        What can be neither restored nor quarantined; ``lost.whole`` where there is no such.
    """

    restored: tuple[int, ...] = ()
    quarantined: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()
    state: bool = False
    lost: Integrity = Integrity()

    def _repr_html_(self) -> str:
        rows = [
            ("rows restored", _listed(self.restored) or "none"),
            ("rows quarantined", _listed(self.quarantined) or "none"),
            ("levels restored", _listed(self.levels) or "none"),
            ("state restored", self.state),
            ("lost", str(self.lost)),
        ]
        return html_table("Repair", ("", "what became of it"), rows)


def check(memory: Memory) -> Integrity:
    """Compare all that is held with its checks; time proportional to the rows in use."""
    state = memory.states[0]
    rows = guard.damaged(0, memory.size, memory.vectors, memory.rows, memory.codes)
    levels = [k + 1 for k in range(layout.LEVELS) if not guard.level_whole(memory.levels, k, state)]
    agreed = copies.agree(memory.states) and copies.agree(memory.rules)
    return Integrity(tuple(rows.tolist()), tuple(levels), not agreed)


def restore(memory: Memory, quarantine: bool) -> Repair:
    """Put right what can be, and quarantine the other rows if wished."""
    agreed = copies.agree(memory.states) and copies.agree(memory.rules)
    voted = [copies.vote(held) for held in (memory.states, memory.rules)]
    settled = all(voted)
    restored: list[int] = []
    quarantined: list[int] = []
    lost_rows: list[int] = []
    found = check(memory)
    for row in found.rows:
        place = (memory.vectors, memory.rows, memory.codes, row)
        if guard.mend(*place):
            restored.append(row)
        elif quarantine:
            guard.quarantine(*place)
            quarantined.append(row)
        else:
            lost_rows.append(row)
    levels = found.levels
    if len(levels) != 1 or not guard.mend_level(memory.levels, levels[0] - 1, memory.states[0]):
        levels = ()
    lost = Integrity(tuple(lost_rows), () if levels else found.levels, not settled)
    return Repair(tuple(restored), tuple(quarantined), levels, settled and not agreed, lost)
