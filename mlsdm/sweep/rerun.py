"""A run repeated from its own record, and every number of it compared."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any

from mlsdm.errors import RunError
from mlsdm.execution.original import original
from mlsdm.plan.meaning import data_file
from mlsdm.provenance import SOURCE, THREAD_CAPS, file_sha256
from mlsdm.sweep.describe import QUESTION
from mlsdm.sweep.driver import Settings, drive, journaled
from mlsdm.sweep.job import Job, Source, read_source
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.recorded import RERUN, SWEEP
from mlsdm.sweep.recorder import recover

if TYPE_CHECKING:
    import nbformat

    from mlsdm.record import Record
    from mlsdm.tracking import Store

__all__ = ["Difference", "Rerun", "differences", "rerun"]


@dataclass(frozen=True)
class Difference:
    """A result that did not come out the same: what it was, and what it is now."""

    name: str
    then: str
    now: str


@dataclass(frozen=True)
class Rerun:
    """The new run, how many results were compared, which differ, and what else is not the same."""

    outcome: RunOutcome
    compared: int
    differing: list[Difference]
    notes: list[str]


def rerun(store: Store, project: Path, run_id: str, settings: Settings | None = None) -> Rerun:
    """Repeat a run with the notebook, the parameters and the thread caps that it recorded.

    Raises
    ------
    RunError
        When there is no such run, or it does not hold what it takes to repeat it.
    ParameterError, DataError
        When its parameters are not allowed any more, or its data are gone.
    """
    from mlsdm.record import records

    recover(store)
    old = store.get(run_id)
    if SWEEP in old.tags:
        raise RunError(f"rerun: {run_id} is a sweep as a whole; give one of its runs")
    name = Path(old.tags.get(SOURCE, "")).name
    if not name.endswith(".ipynb") or "mlsdm.version" not in old.tags:
        raise RunError(f"rerun: the run {run_id} was not made by mlsdm")
    text = store.read(run_id, name).decode()
    parameters = json.loads(store.read(run_id, "parameters.json"))
    then = json.loads(store.read(run_id, "provenance.json"))
    before = records(_notebook(text))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(original(text), encoding="utf-8")
        source = read_source(path, project)
    source = replace(source, provenance=replace(source.provenance, notebook=then["notebook"]))
    question, title = old.tags.get(QUESTION, ""), f"again: {old.name}"
    job = source.job(parameters, experiment=old.experiment, title=title, question=question)
    job = replace(job, tags={**job.tags, RERUN: run_id})
    settings = replace(settings or Settings(), threads=_threads(then["thread_caps"]))
    with journaled(store) as journal:
        sources = {source.name: source}
        (outcome,) = drive(store, journal, [job], sources, settings, keep_records=True)
    found = differences(before, outcome.records)
    compared = len({(r.kind, r.name) for r in before if r.kind != "figure"})
    return Rerun(outcome, compared, found, _notes(then, source, job, settings.caps))


def _notebook(text: str) -> nbformat.NotebookNode:
    import nbformat

    node: nbformat.NotebookNode = nbformat.reads(  # type: ignore[no-untyped-call]
        text, as_version=4
    )
    return node


def _threads(caps: Mapping[str, str | None]) -> int | None:
    given = {caps[name] for name in THREAD_CAPS if name in caps}
    value = given.pop() if len(given) == 1 else None
    return int(value) if value and value.isdecimal() else None


def _notes(
    then: Mapping[str, Any], source: Source, job: Job, caps: Mapping[str, str | None]
) -> list[str]:
    """Say what the repeated run does not have in common with the first one."""
    now = source.provenance
    notes = []
    if then["code_sha256"] != now.code_sha256:
        old, new = (
            f"{v} ({h[:8]})"
            for v, h in ((then["version"], then["code_sha256"]), (now.version, now.code_sha256))
        )
        notes.append(f"the package's code is another: {old} then, {new} now")
    data = data_file(job.parameters, source.project)
    if data is not None and then["data_sha256"] != file_sha256("data", data):
        notes.append(f"the data are others: {data}")
    notes += _changed("packages", then["packages"], now.packages)
    notes += _changed("thread caps", then["thread_caps"], caps)
    if then["cpu"] != now.cpu:
        notes.append(f"another processor: {then['cpu']} -> {now.cpu}")
    return notes


def _changed(what: str, then: Mapping[str, str | None], now: Mapping[str, str | None]) -> list[str]:
    changed = [
        f"{name} {then.get(name) or 'absent'} -> {now.get(name) or 'absent'}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
    return [f"other {what}: {', '.join(changed[:5])}{more}"] if changed else []


def differences(before: Sequence[Record], after: Sequence[Record]) -> list[Difference]:
    """Return the results that are not the same to the last bit, or are on one side only.

    Pictures are not compared: they hold no number of their own.
    """
    then = {(r.kind, r.name): r for r in before if r.kind != "figure"}
    now = {(r.kind, r.name): r for r in after if r.kind != "figure"}
    found = []
    for key in [*then, *(key for key in now if key not in then)]:
        old, new = then.get(key), now.get(key)
        if old != new:
            found.append(Difference(key[1], _shown(old, new), _shown(new, old)))
    return found


def _shown(record: Record | None, other: Record | None) -> str:
    if record is None:
        return "absent"
    if record.kind == "metric" and (other is None or record.value != other.value):
        return repr(record.value)
    if other is None:
        return record.text
    mine: Sequence[Any] = record.rows if record.kind == "table" else record.values
    others: Sequence[Any] = other.rows if record.kind == "table" else other.values
    for index, (one, two) in enumerate(zip(mine, others, strict=False)):
        if one != two:
            return f"row {index + 1}: {one}"
    if len(mine) == len(others):
        for each in fields(record):
            one, two = getattr(record, each.name), getattr(other, each.name)
            if one != two:
                return f"{each.name}: {shortened(one)}"
    return record.text
