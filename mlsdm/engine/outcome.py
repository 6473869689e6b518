"""What becomes of one event."""

from __future__ import annotations

from typing import Literal, NamedTuple

from mlsdm.display import html_table, short
from mlsdm.engine.rhythm import Phase

__all__ = ["REASONS", "Outcome", "Reason"]

Reason = Literal["committed", "moral", "sleep", "emergency"]
REASONS: tuple[Reason, ...] = ("committed", "moral", "sleep")  # by the code of the rules


class Outcome(NamedTuple):
    """What became of one event, and the engine's state after it.

    Parameters
    ----------
    event
        Number of the event, from 0; an event answered in an emergency takes none.
    accepted
        The moral filter's decision (an event accepted asleep is still not stored).
    reason
        ``"committed"``, or why not: ``"moral"``, ``"sleep"`` or ``"emergency"``.
    phase
        ``"wake"`` or ``"sleep"``, after the event.
    threshold, acceptance_rate
        State of the moral filter after the event.
    norms
        Euclidean norms of the three synaptic levels.
    lattice_size
        Rows of the lattice in use.
    """

    event: int
    accepted: bool
    reason: Reason
    phase: Phase
    threshold: float
    acceptance_rate: float
    norms: tuple[float, float, float]
    lattice_size: int

    def _repr_html_(self) -> str:
        norms = ", ".join(short(norm) for norm in self.norms)
        return html_table(
            "Outcome", ("of the event", "value"), list({**self._asdict(), "norms": norms}.items())
        )
