"""The same engine over a whole stream, in one compiled loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.display import html_table, sparkline
from mlsdm.engine import rules
from mlsdm.engine.controller import REASONS, CognitiveController
from mlsdm.engine.inputs import as_matrix, as_moral_values, as_params, check_fits
from mlsdm.engine.params import EngineParams
from mlsdm.engine.rhythm import PHASES
from mlsdm.errors import ParameterError

__all__ = ["Result", "simulate"]


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The trace of a simulated stream: one entry an event, each the state after that event.

    Parameters
    ----------
    params
        Parameters of the engine.
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
        The engine in its final state, to go on from or to ask; None where no vectors were given.
    """

    params: EngineParams
    moral_values: NDArray[np.float64]
    codes: NDArray[np.int8]
    phase_codes: NDArray[np.int8]
    threshold: NDArray[np.float64]
    acceptance_rate: NDArray[np.float64]
    norms: NDArray[np.float64]
    lattice_size: NDArray[np.int64]
    controller: CognitiveController | None

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def engine(self) -> CognitiveController:
        """The engine in its final state; raises a ParameterError where there is none."""
        if self.controller is None:
            raise ParameterError("Result.engine: needs a run with vectors (got vectors=None)")
        return self.controller

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """(n,) bool: the moral filter's decisions."""
        return np.not_equal(self.codes, rules.MORAL)

    @property
    def committed(self) -> NDArray[np.bool_]:
        """(n,) bool: accepted, and awake."""
        return np.equal(self.codes, rules.COMMITTED)

    @property
    def reason(self) -> NDArray[np.str_]:
        """(n,) text: ``"committed"``, ``"moral"`` or ``"sleep"``."""
        return np.array(REASONS)[self.codes]

    @property
    def phase(self) -> NDArray[np.str_]:
        """(n,) text: ``"wake"`` or ``"sleep"``, after the event."""
        return np.array(PHASES)[self.phase_codes]

    def to_frame(self) -> pd.DataFrame:
        """Return the trace as a table, one row an event."""
        return pd.DataFrame(
            {
                "event": np.arange(len(self)),
                "accepted": self.accepted,
                "reason": self.reason,
                "phase": self.phase,
                "threshold": self.threshold,
                "acceptance_rate": self.acceptance_rate,
                "norm_l1": self.norms[:, 0],
                "norm_l2": self.norms[:, 1],
                "norm_l3": self.norms[:, 2],
                "lattice_size": self.lattice_size,
            }
        )

    def summary(self) -> dict[str, float]:
        """Return counts by reason, the share of events asleep, and the final state."""
        counts = np.bincount(self.codes, minlength=3)
        last = len(self) - 1
        return {
            "events": len(self),
            **{reason: int(n) for reason, n in zip(REASONS, counts, strict=True)},
            "share asleep": float(np.mean(self.phase_codes == rules.ASLEEP)) if len(self) else 0.0,
            "final threshold": float(self.threshold[last])
            if len(self)
            else float(self.params.moral.initial_state()[0]),
            "rows": int(self.lattice_size[last]) if len(self) else 0,
        }

    def __repr__(self) -> str:
        parts = ", ".join(f"{key}={value:g}" for key, value in self.summary().items())
        return f"Result({parts})"

    def _repr_html_(self) -> str:
        table = html_table("Result", ("over the run", "value"), list(self.summary().items()))
        course = sparkline(self.threshold.tolist(), width=300, height=40)
        return f"{table}<div>{course}</div><div>threshold over the events</div>"


def simulate(params: EngineParams, vectors: Any, moral_values: Any) -> Result:
    """Run a fresh engine over a stream of events; equal to the controller to the last bit.

    Parameters
    ----------
    params
        Parameters of the engine, without `max_process_bytes`: an emergency would depend on what
        else the process holds.
    vectors
        (n, dim) real numbers, finite in float32; or None for the filter and the rhythm alone: then
        nothing is stored, and norms and sizes stay 0.
    moral_values
        (n,) numbers in [0, 1]; 1 is harmless.

    Raises
    ------
    ParameterError
        When an argument is not allowed, before anything is simulated, or when an event's vector
        would carry the synaptic levels out of float32.
    """
    params = as_params("simulate", params, EngineParams)
    if params.max_process_bytes is not None:
        raise ParameterError(
            "simulate.params.max_process_bytes: must be None, a simulation has no emergency "
            f"(got {params.max_process_bytes})"
        )
    values = as_moral_values("simulate", moral_values)
    stored = vectors is not None
    if stored:
        rows = as_matrix("simulate", vectors, params.dim)
        if len(rows) != len(values):
            raise ParameterError(
                f"simulate.vectors: must hold one row per moral value, {len(values)} "
                f"(got {len(rows)})"
            )
        controller = CognitiveController(params)
        state = controller._state
    else:
        controller = None
        rows = np.zeros((1, 0), np.float32)
        state = _filter_state(params)
    n = len(values)
    result = Result(
        params,
        values,
        np.empty(n, np.int8),
        np.empty(n, np.int8),
        np.empty(n),
        np.empty(n),
        np.empty((n, 3)),
        np.empty(n, np.int64),
        controller,
    )
    handled = rules.run(
        state,
        params.rules,
        rows,
        values,
        stored,
        result.codes,
        result.phase_codes,
        result.threshold,
        result.acceptance_rate,
        result.norms,
        result.lattice_size,
    )
    check_fits(f"simulate.vectors[{handled}]", handled == n)
    if controller is not None:
        controller._events = n
    return result


def _filter_state(params: EngineParams) -> rules.State:
    """Return the state of an engine without memory."""
    return rules.State(
        params.moral.initial_state(),
        params.rhythm.initial_state(),
        np.zeros((3, 0), np.float32),
        np.zeros(3),
        np.zeros((1, 0), np.float32),
        np.zeros(1, np.float32),
        np.zeros(1),
        np.zeros(3, np.int64),
    )
