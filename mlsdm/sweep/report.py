"""A sweep as a report for others: JUnit XML for a CI server, Markdown for a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from mlsdm.analysis.tables import NOT_IN_XML, markdown_text
from mlsdm.display import named
from mlsdm.sweep.check import Change, Row, counted
from mlsdm.sweep.outcome import RunOutcome

__all__ = ["junit", "markdown"]

LONGEST_CAUSE = 300  # characters; the run itself holds the whole
MOST_OPEN = 10  # rows of a table that is not folded


def junit(
    name: str, runs: Sequence[RunOutcome], rows: Sequence[Row], changes: Sequence[Change]
) -> str:
    """Return JUnit XML: a case per run, per threshold and point, and per failing change.

    A run found in the store took no time now, and its case says so.
    """
    suite = ElementTree.Element("testsuite", name=_xml(name))
    for run in runs:
        seconds = 0.0 if run.earlier else run.seconds
        case = _case(suite, f"{name}.runs", run.title, seconds)
        if run.status != "FINISHED":
            tag = "error" if run.status == "KILLED" else "failure"
            _problem(case, tag, run.status, run.cause or run.status)
        note = ", found in the store" if run.earlier else ""
        ElementTree.SubElement(case, "system-out").text = _xml(f"run {run.run_id}{note}")
    for row in rows:
        place = f" at {named(row.point)}" if row.point else ""
        case = _case(suite, f"{name}.thresholds", f"{row.metric} {row.bound}{place}")
        if not row.ok:
            _problem(case, "failure", row.verdict, row.text)
    for change in changes:
        if not change.ok:
            place = f" at {named(change.point)}" if change.point else ""
            case = _case(suite, f"{name}.baseline", f"{change.metric}{place}")
            _problem(case, "failure", change.verdict, change.text)
    counts = {
        "tests": len(suite),
        "failures": len(suite.findall("*/failure")),
        "errors": len(suite.findall("*/error")),
        "skipped": 0,
    }
    spent = sum(run.seconds for run in runs if not run.earlier)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    for element in (root, suite):
        element.attrib |= {key: str(count) for key, count in counts.items()}
        element.set("time", f"{spent:.3f}")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _xml(text: str) -> str:
    return NOT_IN_XML.sub("", text)


def _case(
    suite: ElementTree.Element, group: str, name: str, seconds: float = 0.0
) -> ElementTree.Element:
    attributes = {"classname": _xml(group), "name": _xml(name), "time": f"{seconds:.3f}"}
    return ElementTree.SubElement(suite, "testcase", attributes)


def _problem(case: ElementTree.Element, tag: str, kind: str, text: str) -> None:
    said = _xml(text)
    first = said.strip().partition("\n")[0]
    ElementTree.SubElement(case, tag, type=kind, message=first).text = said


def markdown(
    name: str,
    question: str,
    runs: Sequence[RunOutcome],
    rows: Sequence[Row],
    changes: Sequence[Change],
) -> str:
    """Return a summary for a pull request: the verdict, thresholds, failed runs, and changes."""
    failed = [run for run in runs if run.status != "FINISHED"]
    passed = not failed and all(row.ok for row in rows) and all(change.ok for change in changes)
    parts = [f"## {markdown_text(name)}: {'passed' if passed else 'failed'}"]
    if question:
        parts.append(markdown_text(question))
    parts.append(_counts(runs, rows, changes))
    parts += _table("Thresholds", Row.columns, [row.cells for row in rows])
    lost = [(run.title, run.status, _cut(run.cause), run.run_id) for run in failed]
    parts += _table("Runs that did not finish", ("run", "status", "cause", "run id"), lost)
    changed = [change.cells for change in changes if change.verdict != "same"]
    parts += _table("Against the baseline", Change.columns, changed)
    return "\n\n".join(parts) + "\n"


def _counts(runs: Sequence[RunOutcome], rows: Sequence[Row], changes: Sequence[Change]) -> str:
    finished = sum(run.status == "FINISHED" for run in runs)
    earlier = sum(run.earlier for run in runs)
    words = [f"{finished} of {counted(len(runs), 'run')} finished"]
    words[0] += f" ({earlier} found in the store)" if earlier else ""
    if rows:
        words.append(f"thresholds: {_tally(row.verdict for row in rows)}")
    if changes:
        words.append(f"against the baseline: {_tally(change.verdict for change in changes)}")
    return "; ".join(words) + "."


def _tally(verdicts: Iterable[str]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in Counter(verdicts).items())


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a table as paragraphs, folded if it is long; nothing without rows."""
    if not rows:
        return []
    cells = [[markdown_text(str(cell)) for cell in row] for row in rows]
    lines = [f"| {' | '.join(line)} |" for line in [columns, ["---"] * len(columns), *cells]]
    table = "\n".join(lines)
    if len(rows) <= MOST_OPEN:
        return [f"### {title}", table]
    return [f"<details><summary>{title} ({len(rows)})</summary>", table, "</details>"]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_CAUSE else f"{text[: LONGEST_CAUSE - 1]}…"
