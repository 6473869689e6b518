from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from audit_rows import audit_table
from commands import table
from making import make_notebook
from outcomes import outcome

from mlsdm.cli import show
from mlsdm.evidence.stated import judge
from mlsdm.plan.plan import Plan, PlannedRun
from mlsdm.plan.schema import Schema, read_schema
from mlsdm.plan.threshold import Threshold
from mlsdm.record import Record
from mlsdm.report.audit import Audit
from mlsdm.sweep.check import check, compare
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.job import Job
from mlsdm.sweep.outlook import Outlook
from mlsdm.sweep.rerun import Difference, Rerun
from mlsdm.sweep.sweeping import SweepOutcome
from mlsdm.tracking import Found

Capture = pytest.CaptureFixture[str]


def make_plan(runs: list[PlannedRun], **fields: Any) -> Plan:
    given = {"question": "", "fixed": {}, "thresholds": [], **fields}
    return Plan(Path("p.yaml"), Path("01-x.ipynb"), runs=runs, **given)


def ahead(number: int, **fields: Any) -> Outlook:
    jobs = [
        Job(f"k{i}", "b", "01-x.ipynb", "p", f"run {i}", {}, {}, None, "") for i in range(number)
    ]
    return Outlook(jobs, **{"held": {}, "todo": jobs, "seconds": None, **fields})


def test_a_plan_shows_what_varies_and_what_is_done(capsys: Capture) -> None:
    runs = [PlannedRun({}, {"a.b": x}, seed) for x in (0.5, [1, 2]) for seed in (3, 4)]
    plan = make_plan(
        runs, question="Why?", fixed={"n": 7}, thresholds=[Threshold("x", min=1.0, max=2.0)]
    )
    outlook = ahead(4)
    held = {
        "k0": outcome(),
        "k1": outcome(status="FAILED"),
        "k2": outcome(status="FAILED"),
    }
    some = Outlook(outlook.jobs, held, outlook.jobs[2:], 90.0)
    show.plan(plan, some, Settings(workers=2))
    text = capsys.readouterr().out
    assert text.startswith("Why?\n")
    assert table(text) == [
        ["1", "0.5", "3", "done"],
        ["2", "0.5", "4", "failed"],
        ["3", "[1, 2]", "3", "failed, again"],
        ["4", "[1, 2]", "4", "to do"],
    ]
    assert text.splitlines()[-3:] == [
        "4 runs of 01-x, n=7; 2 to do",
        "threshold: x in [1, 2]",
        "estimate: 1 min 30 s, at 90.0 s a run; 2 at once",
    ]


def test_a_plan_without_anything_that_varies_has_a_row(capsys: Capture) -> None:
    show.plan(make_plan([PlannedRun({}, {})]), ahead(1), Settings())
    text = capsys.readouterr().out
    assert table(text) == [["1", "to do"]]
    assert "estimate: none, no run of this experiment is recorded yet; 1 at once\n" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (3600.0, "1 h 0 min")]
)
def test_an_estimate_is_written_in_minutes_and_hours(
    capsys: Capture, seconds: float, text: str
) -> None:
    one = ahead(1, seconds=seconds)
    show.plan(make_plan([PlannedRun({}, {})]), one, Settings(scheduler="tcp://x:1"))
    out = capsys.readouterr().out
    assert f"estimate: {text}, at {seconds:.1f} s a run; tcp://x:1\n" in out


def test_a_plan_of_very_many_runs_is_warned_of(capsys: Capture) -> None:
    for number in (100, 101):
        runs = [PlannedRun({}, {"n": i}) for i in range(number)]
        show.plan(make_plan(runs), ahead(number, todo=[]), Settings())
        text = capsys.readouterr().out
        assert ("slow past 100 runs" in text) == (number > 100)
        assert text.endswith("estimate: nothing is left to do\n")


def test_the_ends_of_a_sweep_are_counted(capsys: Capture) -> None:
    runs = [
        outcome(earlier=True),
        outcome(),
        outcome(status="FAILED"),
        outcome(status="KILLED", run_id=""),
    ]
    show.swept(SweepOutcome("abc", runs, [], 12.34))
    assert capsys.readouterr().out == (
        "4 runs: 2 finished, 1 failed, 1 not made in 12.3 s; 1 in the store already\nsweep: abc\n"
    )


def test_metrics_are_shown_with_what_they_are_held_to(capsys: Capture) -> None:
    fields: list[dict[str, Any]] = [
        {"name": "a/x", "value": 1 / 3, "unit": "ms"},
        {"name": "a/none", "value": None, "nonfinite": 1},
        {"name": "a/mean", "value": 0.5, "interval": (0.25, 0.75, 9)},
        {"name": "a/one", "value": 0.5, "interval": (None, None, 1)},
        {"name": "p", "value": 1.5, "judgement": judge("latency.p50", 1.5)},
    ]
    made = [Record("metric", **given) for given in fields]
    show.metrics(outcome(records=[*made, Record("series", "a/course", steps=(0,), values=(1.0,))]))
    assert table(capsys.readouterr().out) == [
        ["a/x", "0.333333", "ms", "", ""],
        ["a/none", "not finite", "", "", ""],
        ["a/mean", "0.5 [0.25, 0.75], n = 9", "", "", ""],
        ["a/one", "0.5", "", "", ""],
        ["p", "1.5", "", "< 10 ms", "met"],
    ]
    show.metrics(outcome())
    assert capsys.readouterr().out == ""


def test_claims_are_shown_and_counted(capsys: Capture) -> None:
    audit = Audit(audit_table(), Found("r", "FINISHED", "", "", 0, {}, {}), {})
    show.claims(audit)
    text = capsys.readouterr().out
    rows = table(text)
    assert [row[0] for row in rows] == list(audit.table["id"])
    assert [row[-1] for row in rows] == list(audit.table["verdict"])
    counts = ", ".join(f"{n} {verdict}" for verdict, n in audit.counts.items())
    assert text.endswith(f"\n{counts}\n")


def test_checks_and_changes_are_shown_as_tables(capsys: Capture) -> None:
    now = [outcome({"x": value}, seed=seed) for seed, value in enumerate((1.0, 2.0, 3.0))]
    thresholds = [Threshold("x", min=9.0), Threshold("y", max=1.0)]
    show.checks(check(thresholds, now))
    rows = table(capsys.readouterr().out)
    assert [(row[0], row[-2], row[-1]) for row in rows] == [
        ("x", ">= 9", "not met"),
        ("y", "<= 1", "missing"),
    ]
    show.changes(compare(thresholds, now, now))
    assert capsys.readouterr().out == "1 the same as in the baseline, 0 not\n"
    before = [outcome({"x": run.metrics["x"] + 5}, seed=i) for i, run in enumerate(now)]
    show.changes(compare(thresholds, now, before))
    text = capsys.readouterr().out
    assert table(text)[0][-1] == "worse"
    assert text.endswith("0 the same as in the baseline, 1 not\n")
    show.checks([])
    assert capsys.readouterr().out == ""


def test_a_rerun_says_what_differs_and_what_is_not_as_it_was(capsys: Capture) -> None:
    show.rerun(Rerun(outcome(), 5, [Difference("x", "1.0", "[b]2[/b]")], ["another processor"]))
    text = capsys.readouterr().out
    assert text.startswith("not as it was: another processor\n")
    assert table(text) == [["x", "1.0", "[b]2[/b]"]]  # what looks like markup is shown as it is
    assert text.endswith("4 of 5 results came out the same, to the last bit\n")


def test_parameters_are_shown_with_what_is_allowed(tmp_path: Path, capsys: Capture) -> None:
    source = (
        "from typing import Literal\n"
        "shares: list[float] = [0.1]  # toxic, in (0, 1]\n"
        "gate: Literal['norm', 'element'] = 'norm'  # of the synapse\n"
        "n: int | None = None  # >= 3\n"
    )
    show.schema(read_schema(make_notebook(tmp_path / "x.ipynb", source)))
    assert table(capsys.readouterr().out) == [
        ["shares", "list[float], each in (0, 1]", "[0.1]", "toxic, in (0, 1]"],
        ["gate", "Literal['norm', 'element']", "'norm'", "of the synapse"],
        ["n", "int | None, >= 3", "None", ">= 3"],
    ]
    show.schema(Schema("01-x", {}))
    assert capsys.readouterr().out == "01-x has no parameters\n"


def test_nothing_in_a_log_is_wrapped_or_cut(capsys: Capture) -> None:
    long = "x" * 500
    show.rerun(Rerun(outcome(), 1, [Difference(long, "1", "2")], []))
    assert table(capsys.readouterr().out) == [[long, "1", "2"]]
