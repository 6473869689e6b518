from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from outcomes import fleet, outcome, runs

from mlsdm.analysis.tables import MARKUP, NOT_IN_XML
from mlsdm.plan.threshold import Threshold
from mlsdm.sweep.check import check, compare
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.report import junit, markdown

anything = st.text(max_size=20) | st.text(st.sampled_from("|`\\*_<>&\n\r\x00\x1b\ud800 a"))
HELD = [Threshold("x", min=0.5)]


def parsed(xml: str) -> Any:
    assert xml.startswith('<?xml version="1.0" encoding="utf-8"?>\n')
    return ElementTree.fromstring(xml.encode()).find("testsuite")


def cells(line: str) -> list[str]:
    """Split a row of a table as GitHub does: at each pipe that nothing escapes."""
    assert line.startswith("| ")
    assert line.endswith(" |")
    return re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]


@given(runs(), runs())
def test_the_counts_of_the_xml_are_those_of_its_cases(
    made: list[RunOutcome], baseline: list[RunOutcome]
) -> None:
    rows, changes = check(HELD, made), compare(HELD, made, baseline)
    suite = parsed(junit("s", made, rows, changes))
    failing = [change for change in changes if not change.ok]
    failed = sum(run.status == "FAILED" for run in made) + sum(not row.ok for row in rows)
    assert int(suite.get("tests")) == len(suite) == len(made) + len(rows) + len(failing)
    assert int(suite.get("failures")) == len(suite.findall("*/failure")) == failed + len(failing)
    assert int(suite.get("errors")) == len(suite.findall("*/error"))
    assert int(suite.get("errors")) == sum(run.status == "KILLED" for run in made)
    times = sum(float(case.get("time")) for case in suite)
    assert float(suite.get("time")) == times == sum(not run.earlier for run in made)


@given(name=anything, title=anything, cause=anything, point=anything)
def test_any_text_makes_xml_and_comes_back(name: str, title: str, cause: str, point: str) -> None:
    run = outcome(status="FAILED", title=title, cause=cause, point={point: point})
    suite = parsed(junit(name, [run], check(HELD, [run]), []))
    assert suite.get("name") == NOT_IN_XML.sub("", name)
    assert suite[0].get("name") == NOT_IN_XML.sub("", title)
    said = NOT_IN_XML.sub("", cause or "FAILED").replace("\r\n", "\n").replace("\r", "\n")
    assert suite.findtext("testcase/failure") == said


def test_each_kind_of_case() -> None:
    made = [
        outcome({"x": 0.2}, seed=1, seconds=2.5),
        outcome({"x": 0.2}, seed=2, earlier=True, run_id="abc"),
        outcome(status="FAILED", point={"a": 1}, cause="ValueError: no luck\n(cell 3)"),
        outcome(status="KILLED", point={"a": 2}, cause=""),
    ]
    before = [outcome({"x": 0.35}, seed=1), outcome({"x": 0.36}, seed=2)]
    suite = parsed(junit("s", made, check(HELD, made), compare(HELD, made, before)))
    told = [
        (
            case.get("classname"),
            case.get("name"),
            case.get("time"),
            problem.tag,
            dict(problem.attrib),
        )
        for case in suite
        for problem in (case[0] if len(case) else case,)
    ]
    assert told == [
        ("s.runs", "seed=1", "2.500", "system-out", {}),
        ("s.runs", "seed=2", "0.000", "system-out", {}),
        (
            "s.runs", "seed=None", "1.000", "failure",
            {"type": "FAILED", "message": "ValueError: no luck"},
        ),
        ("s.runs", "seed=None", "1.000", "error", {"type": "KILLED", "message": "KILLED"}),
        (
            "s.thresholds", "x >= 0.5", "0.000", "failure",
            {
                "type": "not met",
                "message": "x: mean 0.2 [0.2, 0.2], n = 2, must be >= 0.5: not met",
            },
        ),
        *(
            (
                "s.thresholds", f"x >= 0.5 at a={i}", "0.000", "failure",
                {
                    "type": "missing",
                    "message": f"x at a={i}: mean n/a, n = 0 (1 run missing), "
                    "must be >= 0.5: missing",
                },
            )
            for i in (1, 2)
        ),
        (
            "s.baseline", "x", "0.000", "failure",
            {
                "type": "worse",
                "message": "x: worse, 0.2 after 0.355, difference -0.155 [-0.218531, -0.091469]",
            },
        ),
    ]  # fmt: skip
    assert suite[1].findtext("system-out") == "run abc, found in the store"


def test_a_sweep_that_passes_has_no_failure() -> None:
    made = [fleet(0.9, 0.8, 1.0)]
    suite = parsed(junit("s", made, check(HELD, made), compare(HELD, made, made)))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "0")


@given(name=anything, question=anything, title=anything, cause=anything, point=anything)
def test_any_text_keeps_its_place_in_the_markdown(
    name: str, question: str, title: str, cause: str, point: str
) -> None:
    made = [
        outcome({"x": 1.0, "y": 1.0}, point={point: point}),
        outcome(status="FAILED", title=title, cause=cause),
    ]
    before = [outcome({"x": 2.0}, point={point: point})]
    text = markdown(name, question, made, check(HELD, made), compare(HELD, made, before))
    lines = text.splitlines()
    tables = [len(cells(line)) for line in lines if line.startswith("|")]
    assert tables == [6] * 4 + [4] * 3 + [6] * 5
    assert lines[0].startswith("## ")
    assert lines[0].endswith(": failed")
    assert sum(line.startswith("#") for line in lines) == 4
    assert "\0" not in text
    text.encode()


@given(anything)
def test_what_is_escaped_shows_as_it_was(text: str) -> None:
    (run,) = [outcome(status="FAILED", title=text)]
    (row,) = [line for line in markdown("s", "", [run], [], []).splitlines() if run.run_id in line]
    shown = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cells(row)[0].strip())
    assert shown == " ".join(NOT_IN_XML.sub("", text).split())
    assert not re.search(r"(?<!\\)(\\\\)*[`|<]", cells(row)[0])


def test_names_stay_readable() -> None:
    assert MARKUP.search("moral/toxic_passed.rate-1 (a=0.5) 0.2 [0.1, 0.3] >= 1") is None
    assert len(MARKUP.findall("[a](b) [a][b] [a]: b")) == 3
    assert len(MARKUP.findall("__init__")) == 4


def test_a_summary_of_a_sweep_that_failed() -> None:
    made = [
        outcome({"x": 0.2, "same": 1.0}, seed=1),
        outcome({"x": 0.2, "same": 1.0}, seed=2, earlier=True),
        outcome(status="FAILED", point={"a": 1}, run_id="f00", cause="ValueError: a|b"),
    ]
    before = [outcome({"x": 0.35, "same": 1.0}, seed=1), outcome({"x": 0.36, "same": 1.0}, seed=2)]
    text = markdown("s_1", "Why?", made, check(HELD, made), compare(HELD, made, before))
    assert (
        text
        == """## s_1: failed

Why?

2 of 3 runs finished (1 found in the store); thresholds: 1 not met, 1 missing; \
against the baseline: 1 same, 1 worse, 1 only now.

### Thresholds

| metric | point | mean | n | threshold | verdict |
| --- | --- | --- | --- | --- | --- |
| x |  | 0.2 [0.2, 0.2] | 2 | >= 0.5 | not met |
| x | a=1 | n/a | 0 (1 run missing) | >= 0.5 | missing |

### Runs that did not finish

| run | status | cause | run id |
| --- | --- | --- | --- |
| seed=None | FAILED | ValueError: a\\|b | f00 |

### Against the baseline

| metric | point | now | baseline | difference | verdict |
| --- | --- | --- | --- | --- | --- |
| x |  | 0.2 | 0.355 | -0.155 [-0.218531, -0.091469] | worse |
| every metric | a=1 | n/a | n/a | n/a | only now |
"""
    )


def test_a_summary_of_a_sweep_that_passed_is_short() -> None:
    made = [fleet(0.9, 0.8, 1.0)]
    text = markdown("s", "", made, check(HELD, made), compare(HELD, made, made))
    assert text.startswith("## s: passed\n\n1 of 1 run finished; thresholds: 1 met; against")
    assert "did not finish" not in text
    assert "### Against" not in text


def test_undecided_does_not_pass() -> None:
    made = [fleet(0.6, 0.4, 0.8)]
    assert markdown("s", "", made, check(HELD, made), []).startswith("## s: failed\n")


def test_many_failed_runs_are_folded_and_long_causes_cut() -> None:
    made = [outcome(status="FAILED", cause="x" * 1000) for _ in range(11)]
    text = markdown("s", "", made, [], [])
    assert "<details><summary>Runs that did not finish (11)</summary>\n\n| run" in text
    assert text.endswith(" |\n\n</details>\n")
    assert max(map(len, text.splitlines())) < 400
    assert "<details>" not in markdown("s", "", made[:10], [], [])
