"""What the notebooks measured, held against everything that is stated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mlsdm.evidence.stated import Claim, Target, claims, targets
from mlsdm.sweep.outcome import RunOutcome

__all__ = ["Verdict", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """One stated target or figure, what was measured, and the run to look at."""

    statement: str
    stated: str
    measured: str
    verdict: str
    notebook: str
    run_id: str


def verdicts(outcomes: Iterable[RunOutcome]) -> list[Verdict]:
    """Return every stated target and figure, in the order stated, also those not measured."""
    measured: dict[str, list[Verdict]] = {}
    for run in outcomes:
        for record in run.records:
            if (found := record.judgement) is not None:
                row = Verdict(
                    found.statement,
                    found.stated,
                    found.measured,
                    found.verdict,
                    run.notebook,
                    run.run_id,
                )
                measured.setdefault(found.id, []).append(row)
    rows = []
    stated: dict[str, Target | Claim] = {**targets(), **claims()}
    for id, entry in stated.items():
        absent = Verdict(entry.statement, entry.stated_text, "", "not measured", "", "")
        rows += measured.get(id, [absent])
    return rows
