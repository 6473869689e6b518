"""What a simulation gives: the trace of one engine, or of a fleet of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_whole
from mlsdm.display import html_table, sparkline
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.outcome import REASONS
from mlsdm.engine.params import EngineParams
from mlsdm.engine.rhythm import PHASES
from mlsdm.engine.rules import layout
from mlsdm.engine.trace import Trace, columns
from mlsdm.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "Totals"]

_POINTS = 10_000  # of a course that is drawn; it has fewer pixels than that


@dataclass
class Totals:
    """What is counted over all events, whether they are kept or not.

    Parameters
    ----------
    counts
        (4,) int64: events by the code of their outcome, and those after which the engine slept.
    threshold, rows
        After the last event.
    """

    counts: NDArray[np.int64]
    threshold: float
    rows: int = 0

    @property
    def events(self) -> int:
        """Events handled."""
        return int(self.counts[: len(REASONS)].sum())

    def summary(self) -> dict[str, float]:
        """Return counts by reason, the share of events asleep, and the final state."""
        return {
            "events": self.events,
            **{reason: int(n) for reason, n in zip(REASONS, self.counts[:-1], strict=True)},
            "share asleep": int(self.counts[-1]) / self.events if self.events else 0.0,
            "final threshold": self.threshold,
            "rows": self.rows,
        }


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The trace of a simulated stream: one entry an event, each the state after that event.

    With `every`, there are entries of events 0, every, 2 · every, … only; `len` is how many. Of a
    fleet, all arrays have a leading axis of runs, and `result.run(i)` is one of them.

    Parameters
    ----------
    params
        Parameters of the engine; of a fleet a tuple, one each.
    moral_values
        (n,) float64, as given.
    codes, phase_codes
        (n,) int8; `reason` and `phase` give them as text.
    threshold, acceptance_rate
        (n,) float64.
    norms
        (n, 3) float64, Euclidean norms of the synaptic levels.
    lattice_size
        (n,) int64, rows in use.
    controller
        The engine in its final state, to go on from or to ask; None where no vectors were given,
        and of a fleet.
    totals
        Counts over all events; of a fleet a tuple, one each.
    every
        Of how many events one entry was kept.
    trace
        The Parquet file that holds the entries; the arrays are empty then.
    """

    params: EngineParams | tuple[EngineParams, ...]
    moral_values: NDArray[np.float64]
    codes: NDArray[np.int8]
    phase_codes: NDArray[np.int8]
    threshold: NDArray[np.float64]
    acceptance_rate: NDArray[np.float64]
    norms: NDArray[np.float64]
    lattice_size: NDArray[np.int64]
    controller: CognitiveController | None
    totals: Totals | tuple[Totals, ...]
    every: int = 1
    trace: Path | None = None

    def __len__(self) -> int:
        return int(self.codes.shape[-1])

    @property
    def runs(self) -> int | None:
        """Engines of the fleet; None of a single one."""
        return len(self.totals) if isinstance(self.totals, tuple) else None

    def run(self, index: int) -> Result:
        """Return one run of a fleet as a result of its own.

        Raises
        ------
        ParameterError
            When this is no fleet, or has no such run.
        """
        if not isinstance(self.totals, tuple) or not isinstance(self.params, tuple):
            raise ParameterError("Result.run: needs a fleet, as simulate_many gives (got one run)")
        index = as_whole("Result.run.index", index, 0, len(self.totals) - 1)
        arrays = self._arrays.part(index)._asdict()
        return replace(self, params=self.params[index], totals=self.totals[index], **arrays)

    @property
    def engine(self) -> CognitiveController:
        """The engine in its final state; raises a ParameterError where there is none."""
        if self.controller is None:
            raise ParameterError("Result.engine: needs a run with vectors, and not one of a fleet")
        return self.controller

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """(n,) bool: the moral filter's decisions."""
        return np.not_equal(self.codes, layout.MORAL)

    @property
    def committed(self) -> NDArray[np.bool_]:
        """(n,) bool: accepted, and awake."""
        return np.equal(self.codes, layout.COMMITTED)

    @property
    def reason(self) -> NDArray[np.str_]:
        """(n,) text: ``"committed"``, ``"moral"`` or ``"sleep"``."""
        return _text(self.codes, REASONS)

    @property
    def phase(self) -> NDArray[np.str_]:
        """(n,) text: ``"wake"`` or ``"sleep"``, after the event."""
        return _text(self.phase_codes, PHASES)

    @property
    def _arrays(self) -> Trace:
        return Trace(*(getattr(self, name) for name in Trace._fields))

    def to_frame(self) -> pd.DataFrame:
        """Return the trace as a table, one row an entry; `event` counts from 0.

        Of a fleet there is a first column `run`; of a trace in a file, the file is read.
        """
        import pandas as pd  # heavy, and of use here only

        if self.trace is not None:
            # The folders' names, such as `seed=3`, are no columns.
            frame = pd.read_parquet(self.trace, engine="pyarrow", partitioning=None)
            return frame.astype({"reason": str, "phase": str})
        runs = self.runs or 1
        events = np.tile(np.arange(len(self)) * self.every, runs)
        flat = self._arrays if self.runs is None else Trace(*map(_flat, self._arrays))
        frame = pd.DataFrame(columns(flat, events, _text))
        if self.runs is not None:
            frame.insert(0, "run", np.repeat(np.arange(runs), len(self)))
        return frame

    def summary(self) -> dict[str, float]:
        """Return counts by reason, the share of events asleep, and the final state.

        They are over all events, kept or not; of a fleet their means over the runs.
        """
        if not isinstance(self.totals, tuple):
            return self.totals.summary()
        each = [totals.summary() for totals in self.totals]
        means = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        return {"runs": len(each), **means}

    def __repr__(self) -> str:
        parts = ", ".join(
            f"{key}={value:,}" if isinstance(value, int) else f"{key}={value:g}"
            for key, value in self.summary().items()
        )
        return f"Result({parts})"

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = list(self.summary().items())
        if self.every > 1:
            rows.append(("kept", f"one event of {self.every}"))
        if self.trace is not None:
            rows.append(("trace", str(self.trace)))
        table = html_table("Result", ("over the run", "value"), rows)
        if self.runs is not None or self.trace is not None:
            return table
        course = self.threshold[:: max(1, len(self) // _POINTS)].tolist()
        drawn = sparkline(course, width=300, height=40)
        return f"{table}<div>{drawn}</div><div>threshold over the events</div>"


def _text(codes: NDArray[np.int8], names: Sequence[str]) -> NDArray[np.str_]:
    return np.array(names)[codes]


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array (runs, events, …) with one axis in place of its first two."""
    return array.reshape(-1, *array.shape[2:])
