"""The controller: one event through the four parts, in the order of the original system."""

from __future__ import annotations

import threading
from typing import Any, Literal, NamedTuple

import psutil

from mlsdm.display import html_table, short
from mlsdm.engine import rules
from mlsdm.engine.inputs import as_moral_value, as_params, as_vector, check_fits
from mlsdm.engine.lattice import PhaseEntangledLatticeMemory, Recall
from mlsdm.engine.moral import MoralFilter
from mlsdm.engine.params import EngineParams
from mlsdm.engine.rhythm import CognitiveRhythm, Phase
from mlsdm.engine.synapse import MultiLevelSynapticMemory
from mlsdm.errors import ParameterError, RunError

__all__ = ["REASONS", "CognitiveController", "Outcome", "Reason"]

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


class CognitiveController:
    """An engine that takes events one at a time; safe to call from many threads.

    The parts (`moral`, `rhythm`, `synapse`, `lattice`) are there to be looked at and asked. Events
    go through `process_event`: who writes to a part leaves the rules, replay among them, and the
    lock. An `Outcome` is of one moment; a part that is read while another thread's event is under
    way may show some of its numbers from before it and some from after.
    """

    def __init__(self, params: EngineParams | None = None) -> None:
        owner = "CognitiveController"
        self.params = EngineParams() if params is None else as_params(owner, params, EngineParams)
        self.moral = MoralFilter(self.params.moral)
        self.rhythm = CognitiveRhythm(self.params.rhythm)
        self.synapse = MultiLevelSynapticMemory(self.params.synapse, self.params.dim)
        self.lattice = PhaseEntangledLatticeMemory(self.params.lattice, self.params.dim)
        self._rules = self.params.rules
        # The very arrays of the parts: there is one state, and each part shows its piece of it.
        self._state = rules.State(
            self.moral._state,
            self.rhythm._state,
            self.synapse._levels,
            self.synapse._norms,
            self.lattice._vectors,
            self.lattice._phases,
            self.lattice._norms,
            self.lattice._ring,
        )
        self._events = 0
        self._emergency: str | None = None
        self._lock = threading.Lock()

    @property
    def events(self) -> int:
        """Events handled so far."""
        return self._events

    @property
    def emergency(self) -> str | None:
        """Why the controller has stopped, or None while it runs."""
        return self._emergency

    def process_event(self, vector: Any, moral_value: float) -> Outcome:
        """Take one event: moral filter, rhythm, levels and lattice, in that order.

        Parameters
        ----------
        vector
            (dim,) real numbers of any float or integer type, finite in float32.
        moral_value
            A number in [0, 1]; 1 is harmless.

        Raises
        ------
        ParameterError
            When an argument is not allowed, in an emergency too; the state is then what it was.
        """
        owner = "CognitiveController.process_event"
        checked = as_vector(owner, vector, self.params.dim)
        value = as_moral_value(owner, moral_value)
        with self._lock:
            if self._emergency is None:
                self._emergency = self._over_process_limit()
            if self._emergency is not None:
                return self._outcome(False, "emergency")
            state = self._state
            fits = rules.fits(checked, state.levels, state.norms, self._rules.synapse)
            check_fits(f"{owner}.vector", fits)
            code = rules.event(state, self._rules, checked, value, True)
            outcome = self._outcome(code != rules.MORAL, REASONS[code])
            self._events += 1
            return outcome

    def retrieve_context(self, query: Any, top_k: int | None = None) -> list[Recall]:
        """Return what the lattice holds in the current phase nearest to the query, best first.

        Raises
        ------
        ParameterError
            When an argument is not allowed.
        """
        with self._lock:
            phase = self.params.rhythm.phase_value(self.rhythm.phase)
            return self.lattice.retrieve(query, phase, top_k=top_k)

    def stop(self, why: str = "stopped by hand") -> None:
        """Stop by hand: from now on every event is answered ``"emergency"`` and changes nothing.

        Raises
        ------
        ParameterError
            When `why` is not a text that says something.
        """
        if not isinstance(why, str) or not why.strip():
            raise ParameterError(
                f"CognitiveController.stop.why: must be a text that is not empty (got {why!r})"
            )
        with self._lock:
            self._emergency = why

    def recover(self) -> None:
        """Run again after an emergency, if its cause is gone.

        Raises
        ------
        RunError
            When the process still holds more than `max_process_bytes`.
        """
        with self._lock:
            cause = self._over_process_limit()
            if cause is not None:
                raise RunError(f"CognitiveController.recover: refused, {cause}")
            self._emergency = None

    def _over_process_limit(self) -> str | None:
        limit = self.params.max_process_bytes
        if limit is None:
            return None
        resident = psutil.Process().memory_info().rss
        if resident <= limit:
            return None
        return f"the process holds {resident} bytes, over max_process_bytes = {limit}"

    def _outcome(self, accepted: bool, reason: Reason) -> Outcome:
        return Outcome(
            self._events,
            accepted,
            reason,
            self.rhythm.phase,
            self.moral.threshold,
            self.moral.acceptance_rate,
            self.synapse.norms,
            self.lattice.size,
        )

    def __repr__(self) -> str:
        stopped = f", emergency={self._emergency!r}" if self._emergency else ""
        return (
            f"CognitiveController(events={self._events}, phase={self.rhythm.phase!r}, "
            f"threshold={self.moral.threshold:.2f}, rows={self.lattice.size} of "
            f"{self.params.lattice.capacity}{stopped})"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("events", self._events),
            ("phase", f"{self.rhythm.phase} ({self.rhythm.counter} steps left)"),
            ("threshold", self.moral.threshold),
            ("acceptance rate", self.moral.acceptance_rate),
            ("level norms", ", ".join(short(norm) for norm in self.synapse.norms)),
            ("rows", f"{self.lattice.size} of {self.params.lattice.capacity}"),
            ("emergency", self._emergency or "none"),
        ]
        return html_table("CognitiveController", ("state", "value"), rows)
