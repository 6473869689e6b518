"""The engine of a governed model, and the texts of what it remembers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.admission import admit
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.outcome import Outcome
from mlsdm.engine.params import EngineParams
from mlsdm.engine.rhythm import Phase
from mlsdm.governed.reply import Remembered, Why

__all__ = ["Admission", "Exchange", "Memory"]


class Exchange(NamedTuple):
    """A prompt, and what was answered."""

    prompt: str
    answer: str


class Admission(NamedTuple):
    """Whether a request is let in, and in which phase.

    `outcome` is what the engine made of a request that it refused, `emergency` why it has stopped;
    else the engine is as it was.
    """

    phase: Phase
    refused: Why | None = None
    outcome: Outcome | None = None
    emergency: str | None = None


class Memory:
    """A controller, and the exchanges that its rows stand for.

    An exchange is known by its vector, whatever row holds that, so that a replay, or an event that
    came by another way, can put no text in another's place. Of two with one vector the later one
    counts.
    """

    def __init__(self, params: EngineParams) -> None:
        self.controller = CognitiveController(params)
        # A row holds what was committed, or was replayed by, one of the last `capacity` rows: in
        # twice as many commits every row is found.
        self._most = 2 * params.lattice.capacity
        self._exchanges: OrderedDict[bytes, Exchange] = OrderedDict()
        self._nothing = np.zeros(params.dim, dtype=np.float32)
        self._lock = threading.Lock()

    def admit(self, value: float, context: float | None, *, asleep: bool) -> Admission:
        """Ask the filter, and asleep the rhythm; what they refuse is an event of the engine.

        Parameters
        ----------
        value, context
            As `CognitiveController.process_event` takes them.
        asleep
            Whether requests are let in asleep.
        """
        before = self.controller.rhythm.phase
        outcome = admit(self.controller, value, context, asleep=asleep)
        if outcome is None:
            return Admission(self.controller.rhythm.phase)
        match outcome.reason:
            case "moral" | "sleep" as why:
                return Admission(before, why, outcome)
        # In an emergency nothing moves, and the filter still decides as it stands.
        passes = self.controller.moral.accept(value, context)
        stopped = self.controller.emergency or "the engine has stopped"
        return Admission(outcome.phase, None if passes else "moral", None, stopped)

    def recall(self, vector: NDArray[np.float32], top_k: int) -> tuple[Remembered, ...]:
        """Return the exchanges nearest to a vector in the current phase, best first, none twice."""
        best: dict[Exchange, Remembered] = {}
        for found in self.controller.retrieve_context(vector, top_k):
            exchange = self._exchanges.get(_key(found.vector))
            if exchange is not None:
                best.setdefault(exchange, Remembered(*exchange, found.resonance))
        return tuple(best.values())

    def commit(
        self,
        vector: NDArray[np.float32] | None,
        value: float,
        context: float | None,
        exchange: Exchange,
    ) -> Outcome:
        """Take a request that was answered as an event of the engine; None is a vector of zeros."""
        if vector is None:
            return self.controller.process_event(self._nothing, value, context)
        outcome = self.controller.process_event(vector, value, context)
        if outcome.reason == "committed":
            with self._lock:
                self._exchanges[_key(vector)] = exchange
                self._exchanges.move_to_end(_key(vector))
                if len(self._exchanges) > self._most:
                    self._exchanges.popitem(last=False)
        return outcome


def _key(vector: NDArray[np.float32]) -> bytes:
    return blake2b(vector.tobytes(), digest_size=16).digest()
