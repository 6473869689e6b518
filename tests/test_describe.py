from __future__ import annotations

from typing import Any

import pytest
from driving import make_plan
from hypothesis import given
from hypothesis import strategies as st
from outcomes import outcome

from mlsdm.engine.params import EngineParams
from mlsdm.evidence import VERDICTS, Judgement, judge
from mlsdm.plan.threshold import Threshold
from mlsdm.record import Record
from mlsdm.sweep.check import Row, check
from mlsdm.sweep.describe import NOTE, VERDICT, preset_of, question_of, run_tags, sweep_tags
from mlsdm.tracking import Store

PNG = b"\x89PNG\r\n\x1a\n"


def cell(kind: str, source: Any) -> dict[str, Any]:
    return {"cell_type": kind, "source": source}


@pytest.mark.parametrize(
    ("cells", "question"),
    [
        ([], ""),
        ([cell("markdown", "A question?")], ""),
        ([cell("code", "**Question.** No?"), cell("markdown", "**Question.** Here?")], "Here?"),
        ([cell("markdown", "# T"), cell("markdown", "**Question.** Too late?")], ""),
        (
            [cell("markdown", ["# T\n", "\n", "**Question.** Of `a`\n", "and *b*?\n\n", "More."])],
            "Of a and b?",
        ),
        ([cell("markdown", "**Question:** One?\n  \nTwo?")], "One?"),
        ([cell("markdown", "**Question.**")], ""),
    ],
)  # fmt: skip
def test_a_question_is_the_paragraph_that_says_so(cells: list[Any], question: str) -> None:
    assert question_of({"cells": cells}) == question


PUBLISHED = {
    "rhythm": {"clock": "commit"},
    "synapse": {"gate": "element"},
    "lattice": {"consolidation": "none"},
}


@pytest.mark.parametrize(
    ("parameters", "preset"),
    [
        ({"n": 1}, ""),
        ({"engine": {}}, "default"),
        ({"engine": {"dim": 8}}, "default"),
        ({"engine": {"moral": {"target_rate": 0.5}}}, "default"),
        ({"engine": {"moral": {"target_rate": 0.8}}}, "custom"),
        ({"engine": PUBLISHED}, "published"),
        ({"engine": {**PUBLISHED, "dim": 8}}, "published"),
        ({"engine": EngineParams.published().to_dict()}, "published"),
        ({"engine": {"rhythm": {"clock": "commit"}}}, "custom"),
        # Neither preset could hold as much at this dimension.
        ({"engine": {"dim": 30_000, "lattice": {"capacity": 10}}}, "custom"),
    ],
)
def test_a_preset_is_told_by_what_differs(parameters: dict[str, Any], preset: str) -> None:
    assert preset_of(parameters) == preset


def judged(*verdicts: Judgement) -> list[Record]:
    return [Record("metric", "m", value=1.0, judgement=verdict) for verdict in verdicts]


def test_a_run_says_what_it_was_asked_and_what_came_out() -> None:
    good, bad = judge("latency.p50", 1.0), judge("latency.p95", 1e6)
    drawn = [Record("figure", "a b/é", png=PNG), Record("figure", "second", png=PNG)]
    tags = run_tags("Is a_b *fast*?", [*judged(good, bad), *drawn], "r1")
    assert tags[VERDICT] == "some do not"
    question, verdict, picture, table = tags[NOTE].split("\n\n")
    assert question == "**Question.** Is a_b &#42;fast&#42;?"
    assert verdict.startswith(
        "**Verdict: some do not.** 1 of 2 stated targets and figures come out. What they mean"
    )
    assert picture == "![a b/é](get-artifact?path=figures/a%20b/%C3%A9.png&run_uuid=r1)"
    worst, best = table.splitlines()[2:]
    assert worst.startswith(f"| {bad.statement} | &#60;")
    assert worst.endswith("| not met |")
    assert best.endswith("| met |")
    assert run_tags("", judged(good, good), "r1")[VERDICT] == "all come out"


def test_of_two_judgements_on_one_target_the_last_counts() -> None:
    tags = run_tags("", judged(judge("latency.p50", 1e6), judge("latency.p50", 1.0)), "r")
    assert tags[VERDICT] == "all come out"


def test_a_run_that_did_not_finish_has_no_verdict() -> None:
    tags = run_tags("Why?", judged(judge("latency.p50", 1.0)), "r", "cell 3: ValueError: <b>")
    assert VERDICT not in tags
    assert "**It did not finish.** cell 3: ValueError: &#60;b>" in tags[NOTE]
    assert "| met |" in tags[NOTE]
    assert run_tags("", [], "r") == {}


def described(
    store: Store, runs: list[Any], rows: list[Row], first: Any = (), text: str = ""
) -> str:
    plan = make_plan(store, text or "question: Why?\nsweep: {n: [1, 2, 3]}\nseeds: [4, 5]\n")
    return sweep_tags(plan, runs, rows, first, "whole")[NOTE]


def test_a_sweep_says_what_varied_and_what_came_out(store: Store) -> None:
    runs = [outcome({"x": float(n)}, point={"n": n}) for n in (1, 2, 3)]
    rows = check([Threshold("x", max=2.0)], runs)
    drawn = Record("figure", "f", png=PNG)
    met = judge("latency.p50", 1.0)
    for run, holds in zip(runs, (1.0, 0.0, 1.0), strict=True):
        run.metrics["target/latency.p50"] = holds
    note = described(store, runs, rows, [*judged(met), drawn])
    assert note.startswith("**Question.** Why?\n\n**Verdict: not met.** 2 of 3 means keep their")
    assert "**What varied.** n = 1, 2, 3. 3 points, 6 runs of tiny, 2 seeds." in note
    assert "| metric | point | mean [95 % interval] | n | threshold | verdict |" in note
    lines = [line for line in note.splitlines() if line.startswith("| x |")]
    assert [line.rsplit("| ", 1)[1] for line in lines] == ["not met |", "met |", "met |"]
    assert f"| {met.statement} | &#60; 10 ms | 1 ms | comes out in 2 of 3 runs |" in note
    assert "| 1 | n=1 |\n| 2 | n=2 |\n| 3 | n=3 |" in note
    assert note.index("### Thresholds") < note.index("![f]") < note.index("### Stated")


def test_a_fleet_and_many_points_are_told_in_short(store: Store) -> None:
    values = ", ".join(map(str, range(1, 31)))
    note = described(store, [], [], text=f"sweep: {{n: [{values}]}}\n")
    assert "**What varied.** n = 1, …, 30 (30 values). 30 points, 30 runs of tiny." in note
    assert "| 20 | n=20 |\n\n… and 10 more rows." in note
    alone = described(store, [], [], text="parameters: {n: 3}\n")
    assert "**What varied.** Nothing. 1 point, 1 run of tiny." in alone
    assert "### Points" not in alone
    assert alone.startswith("**Verdict: no thresholds.**\n\n")


def test_runs_that_did_not_finish_are_counted(store: Store) -> None:
    runs = [outcome(), outcome(status="FAILED"), outcome(status="KILLED")]
    note = described(store, runs, [])
    assert "**Not all finished.** Of 3 runs: 1 failed, 1 killed." in note


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (["met", "met"], "met"),
        (["met", "undecided"], "undecided"),
        (["undecided", "missing"], "missing"),
        (["missing", "not met", "met"], "not met"),
    ],
)
def test_the_worst_verdict_is_that_of_the_sweep(
    store: Store, verdicts: list[Any], worst: str
) -> None:
    rows = [Row("x", {}, 1.0, 1.0, 1.0, 2, ">= 0", verdict) for verdict in verdicts]
    plan = make_plan(store)
    assert sweep_tags(plan, [], rows, [], "whole")[VERDICT] == worst


texts = st.one_of(st.text(max_size=300), st.text("|*_`<&\\ \n", max_size=700))
judgements = st.builds(
    Judgement,
    id=st.uuids().map(str),
    statement=texts,
    stated=texts,
    stated_value=st.just(1.0),
    measured=texts,
    verdict=st.sampled_from(["met", "not met", "reproduced", "differs"]),
)


@given(question=texts, cause=texts, found=st.lists(judgements, max_size=30))
def test_no_text_breaks_a_table_or_what_mlflow_holds(
    question: str, cause: str, found: list[Judgement]
) -> None:
    drawn = Record("figure", "é" * 99, png=PNG)
    tags = run_tags(question, [*judged(*found), drawn], "0" * 32, cause)
    note = tags.get(NOTE, "")
    assert len(note) <= 8000
    rows = [line for line in note.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} <= {5}
    assert len(rows) <= 2 + 8
    shown = max(0, len(rows) - 2)
    if found and shown < len(found) and rows:
        assert f"… and {len(found) - shown} more row" in note


def test_a_run_that_audits_claims_lists_their_verdicts() -> None:
    columns = ("id", "statement", "stated_text", "regenerated_text", "verdict")
    rows = tuple((f"c{i}", f"claim {i}", "1", "2", v) for i, v in enumerate(VERDICTS))
    tags = run_tags("", [Record("table", "claims/audit", columns=columns, rows=rows)], "r")
    assert tags[VERDICT] == "some do not"
    assert "Of 4 claims: 1 reproduced, 1 reproduced but means something else, " in tags[NOTE]
    lines = [line for line in tags[NOTE].splitlines() if line.startswith("| claim")]
    assert [line.split(" | ")[-1] for line in lines] == [
        f"{VERDICTS[place]} |" for place in (2, 1, 0, 3)
    ]
    held = Record("table", "claims/audit", columns=columns, rows=rows[:2])
    assert run_tags("", [held], "r")[VERDICT] == "all come out"
