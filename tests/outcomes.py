"""Outcomes of runs, made by hand for tests."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from mlsdm.sweep.outcome import RunOutcome, Status

_number = itertools.count()


def outcome(
    metrics: Mapping[str, float] | None = None,
    *,
    status: Status = "FINISHED",
    seed: int | None = None,
    point: dict[str, Any] | None = None,
    **fields: Any,
) -> RunOutcome:
    """Return what became of a run, with an id of its own."""
    point = point or {}
    given = {
        "run_id": f"id{next(_number)}",
        "cause": "" if status == "FINISHED" else "ValueError: no luck (cell 3)",
        "notebook": "02-moral",
        "title": f"seed={seed}",
        "parameters": {**point, "seed": seed},
        "seconds": 1.0,
        **fields,
    }
    return RunOutcome(status=status, point=point, metrics=dict(metrics or {}), **given)


def fleet(
    mean: float, low: float, high: float, n: int = 9, name: str = "x", **kw: Any
) -> RunOutcome:
    """Return a run that recorded an interval over seeds of its own."""
    interval = {"low": low, "high": high, "n": float(n)}
    return outcome(
        {name: mean, **{f"interval/{part}/{name}": x for part, x in interval.items()}}, **kw
    )


def runs() -> st.SearchStrategy[list[RunOutcome]]:
    """A few points with a few runs each, which may fail or lack a metric."""
    numbers = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0])
    one = st.builds(
        outcome,
        st.dictionaries(st.sampled_from(["x", "moral/y", "z", "kernel/s"]), numbers),
        status=st.sampled_from(["FINISHED", "FINISHED", "FINISHED", "FAILED", "KILLED"]),
        seed=st.none() | st.integers(0, 5),
        point=st.sampled_from([{}, {"moral.step": 0.1}, {"moral.step": 1, "gate": "norm"}]),
        earlier=st.booleans(),
    )
    return st.lists(one, max_size=9)
