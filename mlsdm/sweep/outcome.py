"""What became of one run of one notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mlsdm.record import Record

__all__ = ["RunOutcome", "Status"]

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class RunOutcome:
    """What became of one run.

    Parameters
    ----------
    cause
        Why it did not finish; else empty.
    notebook
        The notebook's name, without the suffix.
    parameters
        The full set.
    point
        What varies in its sweep, without the seed, by the names of the sweep file.
    metrics
        The last value of each, finite numbers only, as MLflow holds them.
    seconds
        The wall time of the notebook.
    key
        What it is known by when a sweep is resumed.
    earlier
        Whether it was found in the store, and not run now.
    records
        What it recorded; of a run found in the store, nothing.
    """

    run_id: str
    status: Status
    cause: str
    notebook: str
    title: str
    parameters: dict[str, Any]
    point: dict[str, Any]
    metrics: dict[str, float]
    seconds: float
    key: str = ""
    earlier: bool = False
    records: list[Record] = field(default_factory=list, repr=False)
