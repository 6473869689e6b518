"""What MLflow's pages say of a run: the tags to filter by, and a description in Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mlsdm.analysis.tables import MARKUP
from mlsdm.display import named, short
from mlsdm.errors import DataError, ParameterError
from mlsdm.evidence import VERDICTS
from mlsdm.record import artifact_path
from mlsdm.sweep.check import Row, counted

if TYPE_CHECKING:
    from mlsdm.evidence import Judgement
    from mlsdm.plan.plan import Plan
    from mlsdm.record import Record
    from mlsdm.sweep.outcome import RunOutcome

__all__ = [
    "NOTE",
    "PRESET",
    "QUESTION",
    "VERDICT",
    "first_figure",
    "preset_of",
    "question_of",
    "run_tags",
    "sweep_tags",
]

QUESTION, PRESET, VERDICT, NOTE = "question", "preset", "verdict", "mlflow.note.content"  # tags

LONGEST = 7800  # characters of a description; MLflow's tags hold 8000
LONGEST_TEXT, LONGEST_CELL = 600, 100  # which grow where they hold markup
MOST_ROWS, MOST_STATED = 20, 8  # of a table
MOST_VALUES = 8  # of a parameter that varies
AUDITED = ("statement", "stated_text", "regenerated_text", "verdict")  # columns of an audit

_QUESTION = re.compile(r"\*\*Question[.:]?\*\*[.:]?\s*(.+?)\s*(?:\n\s*\n|$)", re.DOTALL)


def question_of(notebook: Mapping[str, Any]) -> str:
    """Return what a notebook asks in its first Markdown cell, as plain text; else nothing.

    The question is the paragraph that begins with ``**Question.**``.
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            found = _QUESTION.search("".join(cell["source"]))
            return " ".join(re.sub("[`*]", "", found[1]).split()) if found else ""
    return ""


def preset_of(parameters: Mapping[str, object]) -> str:
    """Return what engine a run has: ``"default"``, ``"published"`` or ``"custom"``.

    The dimension does not count. Nothing for a notebook that takes no ``engine``.
    """
    given = parameters.get("engine")
    if not isinstance(given, Mapping):
        return ""
    if not given:
        return "default"
    from mlsdm.engine.params import EngineParams

    try:
        engine, default = EngineParams().replace(given), EngineParams()
    except (ParameterError, DataError):  # with a policy that only its notebook knows
        return "custom"
    for name, preset in (("default", default), ("published", EngineParams.published())):
        if engine.differing(preset).keys() <= {"dim"}:
            return name
    return "custom"


def first_figure(records: Iterable[Record]) -> Record | None:
    """Return the first figure that was recorded."""
    return next((record for record in records if record.kind == "figure"), None)


def run_tags(
    question: str, records: Iterable[Record], run_id: str, cause: str = ""
) -> dict[str, str]:
    """Return the verdict and the description of one run; `cause` says why it did not finish."""
    made = list(records)
    audited, judged = _audited(made), list(_judged(made).values())
    good = sum(judgement.holds for judgement in judged)
    parts = [f"**Question.** {_text(question)}"] if question else []
    tags = {}
    if cause:
        parts.append(f"**It did not finish.** {_text(cause)}")
    elif audited:
        counts = Counter(str(row[-1]) for row in audited)
        tags[VERDICT] = "some do not" if counts["not reproduced"] else "all come out"
        words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
        parts.append(f"**Verdict: {tags[VERDICT]}.** Of {len(audited)} claims: {words}.")
    elif judged:
        tags[VERDICT] = "all come out" if good == len(judged) else "some do not"
        parts.append(f"**Verdict: {tags[VERDICT]}.** {_held(good, len(judged))}")
    picture = _picture(first_figure(made), run_id)
    judged.sort(key=lambda judgement: judgement.holds)
    rows = [(j.statement, j.stated, j.measured, j.verdict) for j in judged]
    parts += picture
    room = LONGEST - len("\n\n".join(parts))
    columns = ("what", "stated", "measured", "verdict")
    parts += _table("", columns, audited or rows, room, MOST_STATED)
    return tags | ({NOTE: "\n\n".join(parts)} if parts else {})


def sweep_tags(
    plan: Plan,
    runs: Sequence[RunOutcome],
    rows: Sequence[Row],
    first: Sequence[Record],
    run_id: str,
) -> dict[str, str]:
    """Return the verdict and the description of a sweep as a whole.

    Parameters
    ----------
    rows
        Its thresholds beside what came out.
    first
        What the first run that finished has recorded.
    run_id
        The sweep's own run, which holds a copy of the first figure.
    """
    verdict = _verdict(rows)
    met = f" {sum(row.ok for row in rows)} of {len(rows)} means keep their limits." if rows else ""
    parts = [f"**Question.** {_text(plan.question)}"] if plan.question else []
    parts += [f"**Verdict: {verdict}.**{met}", f"**What varied.** {_text(_varied(plan))}"]
    lost = Counter(run.status.lower() for run in runs if run.status != "FINISHED")
    if lost:
        ended = ", ".join(f"{number} {status}" for status, number in lost.items())
        parts.append(f"**Not all finished.** Of {counted(len(runs), 'run')}: {ended}.")
    picture = _picture(first_figure(first), run_id)
    if picture:
        picture.append(
            "The picture is of the first run. The means along the points stand under *Model "
            "metrics*, by the number of the point; with their intervals in *aggregates.csv*."
        )
    room = LONGEST - len("\n\n".join([*parts, *picture]))
    columns = [{"mean": "mean [95 % interval]"}.get(name, name) for name in Row.columns]
    cells = [row.cells for row in sorted(rows, key=lambda row: row.ok)]
    parts += [*_table("Thresholds", columns, cells, room // 2, MOST_ROWS), *picture]
    room = LONGEST - len("\n\n".join(parts))
    columns = ["what", "stated", "measured first", "verdict"]
    stated = _stated_rows(first, runs)
    parts += _table("Stated targets and figures", columns, stated, room // 2, MOST_STATED)
    points = list(dict.fromkeys(named(run.point) for run in plan.runs))
    listed = list(enumerate(points, start=1)) if len(points) > 1 else []
    room = LONGEST - len("\n\n".join(parts))
    parts += _table("Points", ["number", "point"], listed, room, MOST_ROWS)
    return {VERDICT: verdict, NOTE: "\n\n".join(parts)}


def _verdict(rows: Iterable[Row]) -> str:
    """Return the worst verdict on the thresholds of a sweep."""
    verdicts = {row.verdict for row in rows}
    worst = (word for word in ("not met", "missing", "undecided", "met") if word in verdicts)
    return next(worst, "no thresholds")


def _judged(records: Iterable[Record]) -> dict[str, Judgement]:
    """Return the judgements by id; of two on one thing the last counts."""
    return {r.judgement.id: r.judgement for r in records if r.judgement is not None}


def _held(good: int, number: int) -> str:
    return (
        f"{good} of {number} stated targets and figures come out. What they mean is what 05-claims "
        "and `mlsdm report` say."
    )


def _audited(records: Iterable[Record]) -> list[tuple[str, ...]]:
    """Return a row for each claim that an audit has judged, those first that do not come out."""
    found = []
    for record in records:
        if record.kind == "table" and set(AUDITED) <= set(record.columns):
            places = [record.columns.index(name) for name in AUDITED]
            found += [tuple(str(row[place] or "") for place in places) for row in record.rows]
    order = ("not reproduced", "reproduced but means something else")
    rank = {verdict: place for place, verdict in enumerate(order)}
    return sorted(found, key=lambda row: rank.get(row[-1], len(order)))


def _stated_rows(first: Iterable[Record], runs: Iterable[RunOutcome]) -> list[tuple[str, ...]]:
    """Return a row for each stated target and figure, those first that hold in the fewest runs."""
    finished = [run.metrics for run in runs if run.status == "FINISHED"]
    found = []
    for id, judgement in _judged(first).items():
        groups = [f"{group}/{id}" for group in ("target", "reproduced")]
        held = [metrics[name] for metrics in finished for name in groups if name in metrics]
        verdict = f"comes out in {sum(map(int, held))} of {counted(len(held), 'run')}"
        row = (judgement.statement, judgement.stated, judgement.measured, verdict)
        found.append((sum(held) / max(1, len(held)), row))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def _varied(plan: Plan) -> str:
    """Return a sentence about the points, the runs and the seeds of a plan."""
    values: dict[str, dict[str, object]] = {}
    for run in plan.runs:
        for name, value in run.point.items():
            values.setdefault(name, {})[repr(value)] = value
    names = [f"{name} = {_some(list(found.values()))}" for name, found in values.items()]
    points = len({repr(run.point) for run in plan.runs})
    seeds = {run.seed for run in plan.runs}
    words = [counted(points, "point"), f"{counted(len(plan.runs), 'run')} of {plan.notebook.stem}"]
    if None not in seeds:
        words.append(counted(len(seeds), "seed"))
    words += [
        f"{name} = {_some(value if isinstance(value, list) else [value])} in each"
        for name, value in plan.fixed.items()
        if name in ("seeds", "n_seeds")
    ]
    return f"{'; '.join(names) or 'Nothing'}. {', '.join(words)}."


def _some(values: Sequence[object]) -> str:
    """Write values, of many the first and the last."""
    shown = [short(value) for value in values]
    if len(shown) <= MOST_VALUES:
        return ", ".join(shown)
    return f"{shown[0]}, …, {shown[-1]} ({len(shown)} values)"


def _picture(figure: Record | None, run_id: str) -> list[str]:
    """Return a figure of a run as it is served by the page's own server: MLflow drops data URIs."""
    if figure is None:
        return []
    path = quote(artifact_path("figure", figure.name))
    return [f"![{_plain(figure.name)}](get-artifact?path={path}&run_uuid={run_id})"]


def _table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], room: int, most: int
) -> list[str]:
    """Return a table as paragraphs, of `most` rows at most that take up `room` characters."""
    parts = [f"### {title}"] if title else []
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    room -= sum(map(len, [*parts, *lines])) + 200  # for blank lines, and what is said of the rest
    shown = 0
    for row in rows[:most]:
        line = f"| {' | '.join(_plain(_cut(str(cell), LONGEST_CELL)) for cell in row)} |"
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
        shown += 1
    if not shown:
        return []
    parts.append("\n".join(lines))
    if left := rows[shown:]:
        ends = Counter(str(row[-1]) for row in left)
        tally = ", ".join(f"{number} {end}" for end, number in ends.items())
        said = f": {tally}" if len(tally) < 100 and len(ends) < len(left) else ""
        parts.append(f"… and {counted(len(left), 'more row')}{said}.")
    return parts


def _text(text: str) -> str:
    return _plain(_cut(text, LONGEST_TEXT))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _plain(text: str) -> str:
    """Return the text on one line, showing as it is."""
    # As entities, which every renderer knows; MLflow's does not know all of Markdown's escapes.
    return MARKUP.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))
