"""The controller: one event through the four parts, in the order of the original system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from mlsdm.checks import as_path
from mlsdm.display import html_table, short
from mlsdm.engine import integrity, snapshot
from mlsdm.engine.inputs import (
    as_context,
    as_moral_value,
    as_params,
    as_row,
    as_vector,
    check_finite,
    check_fits,
)
from mlsdm.engine.integrity import Integrity, Repair
from mlsdm.engine.lattice import PhaseEntangledLatticeMemory, Recall
from mlsdm.engine.moral import MoralFilter, as_learnt
from mlsdm.engine.outcome import REASONS, Outcome
from mlsdm.engine.params import EngineParams
from mlsdm.engine.rhythm import PHASES, CognitiveRhythm
from mlsdm.engine.rules import copies, events, layout
from mlsdm.engine.rules.policy import tell
from mlsdm.engine.synapse import MultiLevelSynapticMemory
from mlsdm.errors import ParameterError, RunError

__all__ = ["CognitiveController"]

_FLOAT32 = np.dtype(np.float32)
_EVENT = "CognitiveController.process_event"


class CognitiveController:
    """An engine that takes events one at a time; safe to call from many threads.

    Events are handled one after another, each as a whole; retrievals run beside one another. The
    parts (`moral`, `rhythm`, `synapse`, `lattice`) are there to be looked at and asked. Events go
    through `process_event`: who writes to a part leaves the rules, replay among them. An `Outcome`
    is of one moment; a part that is read while another thread's event is under way may show some of
    its numbers from before it and some from after.
    """

    def __init__(self, params: EngineParams | None = None) -> None:
        owner = "CognitiveController"
        self.params = EngineParams() if params is None else as_params(owner, params, EngineParams)
        self.moral = MoralFilter(self.params.moral)
        self.rhythm = CognitiveRhythm(self.params.rhythm)
        self.synapse = MultiLevelSynapticMemory(self.params.synapse, self.params.dim)
        self.lattice = PhaseEntangledLatticeMemory(self.params.lattice, self.params.dim)
        # The very arrays of the parts: there is one state, and each part shows its piece of it.
        states = self.params.initial_state
        self.moral._states = self.rhythm._states = self.synapse._states = states
        self._memory = self.lattice._memory = self.lattice._memory._replace(
            rules=self.params.rules, states=states, levels=self.synapse._levels
        )
        self.moral._rules = self._memory.rules
        self._shape = (self.params.dim,)
        self._emergency: str | None = None
        self._restored = 0
        self._lock = self.lattice._lock

    @property
    def events(self) -> int:
        """Events handled so far."""
        return int(self._memory.states["events"][0])

    @property
    def emergency(self) -> str | None:
        """Why the controller has stopped, or None while it runs."""
        return self._emergency

    @property
    def restored(self) -> int:
        """Rows that were found damaged before an event, and put right."""
        return self._restored

    def process_event(
        self, vector: Any, moral_value: float, context: float | None = None
    ) -> Outcome:
        """Take one event: moral filter, rhythm, levels and lattice, in that order.

        Before it, the next `scrub_rows` rows of the lattice are checked. Damage is put right where
        that can be done, and is an emergency where it cannot.

        Parameters
        ----------
        vector
            (dim,) real numbers of any float or integer type, finite in float32.
        moral_value
            A number in [0, 1]; 1 is harmless.
        context
            What else is known of the event, in [0, 1], for policies that ask for it; by default
            its moral value.

        Raises
        ------
        ParameterError
            When an argument is not allowed, in an emergency too; the state is then what it was.
        """
        if (
            type(vector) is np.ndarray
            and vector.dtype == _FLOAT32
            and vector.shape == self._shape
            and vector.flags.carray
        ):
            row = vector
        else:
            row = as_row(_EVENT, vector, self.params.dim)
        value = moral_value if type(moral_value) is float else as_moral_value(_EVENT, moral_value)
        known = value if context is None else as_context(_EVENT, context, value)
        return self._lock.writing(lambda: self._handle(vector, row, value, known))

    def _handle(
        self, vector: Any, row: NDArray[np.float32], value: float, context: float
    ) -> Outcome:
        """Take one event, given in float32 too, under the lock."""
        if self._emergency is not None or self.params.max_process_bytes is not None:
            _check(vector, row, value)
            self._emergency = self._emergency or self._over_process_limit()
        if self._emergency is not None:
            return self._stopped()
        done = events.process(*self._memory, row, value, context)
        if done[0] == events.DAMAGED:
            self._emergency = self._put_right()
            if self._emergency is not None:
                return self._stopped()
            done = events.process(*self._memory, row, value, context)
        code, count, phase, threshold, rate, norm1, norm2, norm3, size = done
        if code < 0:
            _check(vector, row, value)
            check_fits(f"{_EVENT}.vector", code != events.TOO_LARGE)
            self._emergency = "damage came back at once after it had been put right"
            return self._stopped()
        return Outcome(
            count - 1,
            code != layout.MORAL,
            REASONS[code],
            PHASES[phase],
            threshold,
            rate,
            (norm1, norm2, norm3),
            size,
        )

    def learn(
        self, accepted: bool, toxic: bool, moral_value: float, context: float | None = None
    ) -> None:
        """Tell the policy what an event truly was, as soon as that is known.

        Parameters
        ----------
        accepted
            What was decided, as its `Outcome` says.
        toxic
            What it truly was.
        moral_value, context
            Those of the event.

        Raises
        ------
        ParameterError
            When an argument is not allowed, in an emergency too; the state is then what it was.
        """
        owner = "CognitiveController.learn"
        learnt = as_learnt(owner, accepted, toxic, moral_value, context)

        def told() -> None:
            self._mend()
            if self._emergency is None:
                tell(self._memory.rules, self._memory.states, *learnt)
                copies.keep(self._memory.states)

        self._lock.writing(told)

    def retrieve_context(self, query: Any, top_k: int | None = None) -> list[Recall]:
        """Return what the lattice holds in the current phase nearest to the query, best first.

        Raises
        ------
        ParameterError
            When an argument is not allowed.
        """
        owner = "CognitiveController.retrieve_context"
        checked = as_vector(owner, query, self.params.dim, "query")

        def found() -> list[Recall]:  # phase and rows of one moment
            phase = self.params.rhythm.phase_value(self.rhythm.phase)
            return self.lattice._recall(checked, *self.lattice._asked(owner, phase, None, top_k))

        return self._lock.reading(found)

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

        def stopped() -> None:
            self._emergency = why

        self._lock.writing(stopped)

    def recover(self) -> None:
        """Run again after an emergency, if its cause is gone.

        Raises
        ------
        RunError
            When the process still holds more than `max_process_bytes`, or something that the
            engine holds is not what was written.
        """

        def recovered() -> None:
            found = integrity.check(self._memory)
            cause = None if found.whole else f"what was written differs from {found}"
            cause = cause or self._over_process_limit()
            if cause is not None:
                raise RunError(f"CognitiveController.recover: refused, {cause}")
            self._emergency = None

        self._lock.writing(recovered)

    def verify(self) -> Integrity:
        """Compare all that the engine holds with its checks, and say what differs."""
        return self._lock.reading(lambda: integrity.check(self._memory))

    def repair(self) -> Repair:
        """Put right what is damaged, quarantine the rows that cannot be, and report."""
        return self._lock.writing(lambda: integrity.restore(self._memory, quarantine=True))

    def save(self, path: str | Path) -> Path:
        """Write a snapshot, to be gone on from with `load`; return its path.

        Stopped at any moment, either the file that was there or the new one is whole, on disk too;
        after a kill a hidden ``.snapshot-*.part`` may be left beside it. Events wait while the
        engine is copied into the file, but not until the disk has it.

        Raises
        ------
        DataError
            When the file cannot be written.
        """
        target = as_path("CognitiveController.save.path", path)
        with snapshot.written(target) as file:
            self._lock.reading(
                lambda: snapshot.write(
                    file,
                    self._memory,
                    self.params,
                    emergency=self._emergency,
                    restored=self._restored,
                )
            )
        return target

    @classmethod
    def load(cls, path: str | Path) -> CognitiveController:
        """Return the engine that a snapshot holds; going on from it equals never having stopped.

        Raises
        ------
        DataError
            When the file is none, is cut short, altered, of another kind or of a newer version,
            or holds an engine whose parameters are not allowed.
        """
        with snapshot.opened(as_path("CognitiveController.load.path", path)) as (file, header):
            controller = cls(header.params)
            snapshot.read(file, header, controller._memory)
        controller._emergency, controller._restored = header.emergency, header.restored
        return controller

    def _mend(self) -> None:
        """Put the state right where its copies differ, before anything is decided by it."""
        whole = copies.agree(self._memory.rules) and copies.agree(self._memory.states)
        if self._emergency is None and not whole:
            self._emergency = self._put_right()

    def _put_right(self) -> str | None:
        """Restore what is damaged; return what could not be, as the reason of an emergency."""
        done = integrity.restore(self._memory, quarantine=False)
        self._restored += len(done.restored)
        if done.lost.whole:
            return None
        final = "; go on from a snapshot" if done.lost.levels or done.lost.state else ""
        return f"{done.lost} is damaged beyond what can be restored{final}"

    def _over_process_limit(self) -> str | None:
        limit = self.params.max_process_bytes
        if limit is None:
            return None
        resident = psutil.Process().memory_info().rss
        if resident <= limit:
            return None
        return f"the process holds {resident} bytes, over max_process_bytes = {limit}"

    def _stopped(self) -> Outcome:
        return Outcome(
            self.events,
            False,
            "emergency",
            self.rhythm.phase,
            self.moral.threshold,
            self.moral.acceptance_rate,
            self.synapse.norms,
            self.lattice.size,
        )

    def __repr__(self) -> str:
        stopped = f", emergency={self._emergency!r}" if self._emergency else ""
        return (
            f"CognitiveController(events={self.events}, phase={self.rhythm.phase!r}, "
            f"threshold={self.moral.threshold:.2f}, rows={self.lattice.size} of "
            f"{self.params.lattice.capacity}{stopped})"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("events", self.events),
            ("phase", f"{self.rhythm.phase} ({self.rhythm.counter} steps left)"),
            ("threshold", self.moral.threshold),
            ("acceptance rate", self.moral.acceptance_rate),
            ("level norms", ", ".join(short(norm) for norm in self.synapse.norms)),
            ("rows", f"{self.lattice.size} of {self.params.lattice.capacity}"),
            ("restored", self._restored),
            ("emergency", self._emergency or "none"),
        ]
        return html_table("CognitiveController", ("state", "value"), rows)


def _check(vector: Any, row: NDArray[np.float32], value: float) -> None:
    """Refuse a moral value outside [0, 1], or a vector that is not finite in float32."""
    as_moral_value(_EVENT, value)
    check_finite(f"{_EVENT}.vector", vector, row)
