"""Run the numbered notebooks as they are, and hold what they measured against what is stated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlsdm.evidence.stated import Claim, Target, claims, targets
from mlsdm.sweep.driver import run_notebook
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.progress import Progress
from mlsdm.sweep.schema import read_schema

if TYPE_CHECKING:
    from mlsdm.tracking import Store

__all__ = ["Verdict", "run_all", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """One stated target or figure, what was measured, and the run to look at."""

    statement: str
    stated: str
    measured: str
    verdict: str
    notebook: str
    run_id: str


def run_all(
    store: Store, project: Path, notebooks: list[Path], *, cell_timeout: float | None = None
) -> list[RunOutcome]:
    """Run the notebooks with their own parameters, one after another; a failure stops none.

    One cell may take `cell_timeout` seconds; None for no limit.

    Raises
    ------
    DataError
        When one of them declares its parameters wrongly; none has run then.
    """
    for notebook in notebooks:
        read_schema(notebook)
    outcomes = []
    with Progress(len(notebooks)) as progress:
        for notebook in notebooks:
            progress.start(notebook.stem)
            outcome = run_notebook(
                store, project, notebook, {}, cell_timeout=cell_timeout, on_cell=progress.cell
            )
            progress.finish(outcome)
            outcomes.append(outcome)
    return outcomes


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
