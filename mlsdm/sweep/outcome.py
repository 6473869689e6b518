"""What became of one run of one notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mlsdm.record import Record

__all__ = ["RunOutcome", "Status"]

Status = Literal["FINISHED", "FAILED"]


@dataclass(frozen=True)
class RunOutcome:
    """What became of one run: `cause` says why it failed, `parameters` is the full set."""

    run_id: str
    status: Status
    records: list[Record]
    seconds: float
    cause: str
    notebook: str
    parameters: dict[str, Any]
