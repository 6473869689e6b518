"""Governors: what is asked, what is kept, what is said, and what a failing one does: nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import ParameterError
from mlsdm.speech import (
    Asking,
    Governance,
    Governed,
    Governor,
    Pipeline,
    SpeechParams,
    TelegraphicGovernor,
    analyze,
)

FULL = "The garden is behind the house, and it has been there for a hundred years."
TELEGRAPHIC = "Garden house. Hundred years. Big. Green."
HALF = "There is garden. Years. Big."


def answers(*drafts: Any) -> Callable[[str], str]:
    """Return an ask that gives one draft after another, and raises those that are exceptions."""
    left: Iterator[Any] = iter(drafts)

    def ask(instruction: str) -> str:
        assert "full" in instruction
        draft = next(left, None)
        assert draft is not None, "asked more often than expected"
        if isinstance(draft, Exception):
            raise draft
        return draft  # type: ignore[no-any-return]

    return ask


def run(pipeline: Pipeline, draft: str, ask: Callable[[str], str]) -> Governance:
    """Run it synchronously."""
    return pipeline.run(draft, ask)


def arun(pipeline: Pipeline, draft: str, ask: Callable[[str], str]) -> Governance:
    """Run it in an event loop, with an ask that is awaited."""

    async def asked(instruction: str) -> str:
        await asyncio.sleep(0)
        return ask(instruction)

    return asyncio.run(pipeline.arun(draft, asked))


DRIVERS = pytest.mark.parametrize("drive", [run, arun])


def test_the_texts_are_what_the_tests_take_them_for() -> None:
    assert analyze(FULL).severity == 0
    assert 0.3 <= analyze(HALF).severity < 0.5
    assert analyze(TELEGRAPHIC).severity > 0.7


@DRIVERS
def test_a_telegraphic_draft_is_mended_by_asking(drive: Any) -> None:
    done = drive(Pipeline(TelegraphicGovernor()), TELEGRAPHIC, answers(FULL))
    assert done.text == FULL
    (step,) = done.steps
    assert (step.governor, step.status, step.tries) == ("telegraphic", "changed", 1)
    assert (step.before, step.after) == (TELEGRAPHIC, FULL)
    assert step.said.startswith("severity fell from ")
    assert step.said.endswith(" to 0 after 1 try")


@DRIVERS
def test_a_full_draft_is_left_alone(drive: Any) -> None:
    done = drive(Pipeline(TelegraphicGovernor()), FULL, answers())
    assert done.text == FULL
    assert done.steps[0].status == "kept"
    assert done.steps[0].said == "severity 0 is below 0.3: nothing was asked"


@DRIVERS
def test_tries_are_used_up_and_the_first_of_equals_stays(drive: Any) -> None:
    equal = TELEGRAPHIC.replace("Green", "Brown")
    assert analyze(equal).severity == analyze(TELEGRAPHIC).severity
    done = drive(Pipeline(TelegraphicGovernor(tries=3)), TELEGRAPHIC, answers(equal, "Dog.", equal))
    assert done.text == TELEGRAPHIC
    (step,) = done.steps
    assert (step.status, step.tries) == ("kept", 3)
    assert "did not improve" in step.said
    assert "after 3 tries, all there are" in step.said


@DRIVERS
def test_what_was_best_before_asking_failed_is_kept_and_said(drive: Any) -> None:
    drafts = answers(HALF, TimeoutError("no answer in 60 s"))
    done = drive(Pipeline(TelegraphicGovernor(tries=5)), TELEGRAPHIC, drafts)
    assert done.text == HALF
    (step,) = done.steps
    assert (step.status, step.tries) == ("changed", 2)
    assert step.said.endswith("and asking failed: TimeoutError: no answer in 60 s")


@DRIVERS
@pytest.mark.parametrize("rubbish", [None, 7, b"text", ["text"]])
def test_an_answer_that_is_no_text_is_an_ask_that_failed(drive: Any, rubbish: object) -> None:
    def ask(_: str) -> Any:
        return rubbish

    done = drive(Pipeline(TelegraphicGovernor()), TELEGRAPHIC, ask)
    assert done.text == TELEGRAPHIC
    assert "asking failed" in done.steps[0].said
    assert "is no text" in done.steps[0].said


def test_an_ask_that_raises_stop_iteration_has_failed_like_any_other() -> None:
    done = run(Pipeline(TelegraphicGovernor()), TELEGRAPHIC, answers(StopIteration("over")))
    assert done.text == TELEGRAPHIC
    assert "StopIteration: over" in done.steps[0].said


@given(
    first=st.sampled_from([FULL, HALF, TELEGRAPHIC, ""]) | st.text(max_size=60),
    drafts=st.lists(
        st.sampled_from([FULL, HALF, TELEGRAPHIC, "", None, OSError("gone"), ValueError("no")])
        | st.text(max_size=60)
        | st.lists(st.sampled_from(["the", "dog", "is", "big", "."]), max_size=20).map(" ".join),
        max_size=8,
    ),
    severity=st.floats(0, 1),
    tries=st.integers(0, 6),
    preset=st.sampled_from(["default", "published"]),
)
def test_whatever_the_drafts_tries_are_bounded_and_none_worse_than_the_first_is_kept(
    first: str, drafts: list[Any], severity: float, tries: int, preset: str
) -> None:
    asked: list[Any] = []

    def ask(_: str) -> Any:
        draft = drafts[len(asked) % len(drafts)] if drafts else None
        asked.append(draft)
        if isinstance(draft, Exception):
            raise draft
        return draft

    pipeline = Pipeline(TelegraphicGovernor(severity=severity, tries=tries, preset=preset))
    done = run(pipeline, first, ask)
    (step,) = done.steps
    assert len(asked) == step.tries <= tries
    offered = [first, *(draft for draft in asked if isinstance(draft, str))]
    judged = [analyze(text, preset).severity for text in offered]
    assert done.text == offered[judged.index(min(judged))]
    failed = bool(asked) and not isinstance(asked[-1], str)
    assert min(judged) < severity or step.tries == tries or failed
    assert all(isinstance(draft, str) for draft in asked[:-1])
    asked.clear()
    assert arun(pipeline, first, ask) == done


class Own(Governor):
    """One whose rule is given."""

    def __init__(self, name: str, rule: Callable[[str], Any], tries: int = 10) -> None:
        self.name, self.rule, self.tries = name, rule, tries

    def govern(self, draft: str) -> Any:
        return self.rule(draft)


def before(draft: str) -> Governed:
    raise OSError("disk gone")


def before_a_first_ask(draft: str) -> Generator[str, str, None]:
    if draft:
        raise OSError("disk gone")
    yield "Never in full."


def between(draft: str) -> Asking:
    yield "Say it in full."
    raise OSError("disk gone")


def after(draft: str) -> Asking:
    new = yield "Say it in full."
    yield "And again in full."
    assert not new, "disk gone"
    return Governed(new, "done")


def passes_it_on(draft: str) -> Asking:
    yield "Say it in full."
    yield "fails: full."
    return Governed("never", "never")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise OSError("disk gone")


def unspeakable(draft: str) -> Governed:
    raise Unspeakable


def endless(draft: str) -> Generator[str, str, None]:
    while True:
        try:
            yield "Once more in full."
        except Exception:
            continue


FAILING = {
    before: (0, "OSError: disk gone"),
    before_a_first_ask: (0, "OSError: disk gone"),
    between: (1, "OSError: disk gone"),
    after: (2, "AssertionError: disk gone"),
    passes_it_on: (2, "ConnectionError: line cut"),
    unspeakable: (0, "Unspeakable"),
    endless: (10, "asked more than 10 times"),
}
RUBBISH: dict[str, Any] = {
    "none": lambda draft: None,
    "text": lambda draft: "text",
    "a list": lambda draft: [Governed("x", "y")],
    "a governed without a text": lambda draft: Governed(None, "y"),  # type: ignore[arg-type]
    "a generator that returns nothing": lambda draft: (text for text in ""),
    "a generator of what is no instruction": lambda draft: (number for number in (1, 2)),
}


def marked(mark: str) -> Own:
    return Own(mark, lambda draft: Governed(f"{draft}{mark}", f"added {mark}"))


def full_or_cut(instruction: str) -> str:
    if instruction.startswith("fails"):
        raise ConnectionError("line cut")
    return FULL


@DRIVERS
@pytest.mark.parametrize("rule", FAILING, ids=lambda rule: rule.__name__)
def test_a_governor_that_fails_is_skipped_logged_and_named(
    drive: Any, rule: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tries, cause = FAILING[rule]
    pipeline = Pipeline(marked("1"), Own("broken", rule), marked("2"))
    with caplog.at_level(logging.WARNING, "mlsdm.speech"):
        done = drive(pipeline, "a draft", full_or_cut)
    assert done.text == "a draft12"
    assert [(step.governor, step.status) for step in done.steps] == [
        ("1", "changed"),
        ("broken", "failed"),
        ("2", "changed"),
    ]
    broken = done.steps[1]
    assert broken.before == broken.after == "a draft1"
    assert broken.tries == tries
    assert cause in broken.said
    (record,) = caplog.records
    assert "'broken'" in record.getMessage()
    assert cause in record.getMessage()


@DRIVERS
@pytest.mark.parametrize("rubbish", RUBBISH)
def test_a_governor_that_returns_rubbish_is_one_that_fails(drive: Any, rubbish: str) -> None:
    done = drive(Pipeline(Own("broken", RUBBISH[rubbish]), marked("2")), "a draft", answers())
    assert done.text == "a draft2"
    assert [step.status for step in done.steps] == ["failed", "changed"]
    assert done.steps[0].said.startswith("failed and was skipped: ")


def test_governors_stand_in_their_order_each_given_what_the_one_before_it_made() -> None:
    done = Pipeline(marked("1"), TelegraphicGovernor(), marked("2")).run("Dog.", answers(FULL))
    assert done.text == f"{FULL}2"
    assert [step.before for step in done.steps] == ["Dog.", "Dog.1", FULL]
    assert [step.after for step in done.steps] == ["Dog.1", FULL, done.text]
    table = done.to_frame()
    assert list(table["governor"]) == ["1", "telegraphic", "2"]
    assert list(table["tries"]) == [0, 1, 0]
    assert "telegraphic" in done._repr_html_()


def test_a_pipeline_without_governors_changes_nothing() -> None:
    done = Pipeline().run("Dog.", answers())
    assert done == Governance("Dog.", ())
    assert list(done.to_frame().columns)[:2] == ["governor", "status"]


def test_what_is_no_exception_of_work_goes_through_and_closes_the_governor() -> None:
    closed = []

    def watched(draft: str) -> Asking:
        try:
            yield "Say it in full."
        finally:
            closed.append(draft)
        return Governed(draft, "never")

    def interrupted(instruction: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Pipeline(Own("watched", watched)).run("a draft", interrupted)
    assert closed == ["a draft"]

    async def cancelled() -> None:
        async def never(instruction: str) -> str:
            await asyncio.sleep(60)
            return instruction

        await asyncio.wait_for(Pipeline(Own("watched", watched)).arun("b draft", never), 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())
    assert closed == ["a draft", "b draft"]


def test_one_pipeline_serves_many_at_once() -> None:
    pipeline = Pipeline(TelegraphicGovernor())

    async def one(i: int) -> str:
        async def ask(instruction: str) -> str:
            await asyncio.sleep(0.001 * (i % 3))
            return f"{FULL} This is the answer number {i} of all the answers."

        return (await pipeline.arun(f"Dog {i}.", ask)).text

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(one, range(20)))

    texts = asyncio.run(all_of_them())
    assert all(f"number {i} of" in text for i, text in enumerate(texts))


def test_a_governor_without_a_name_of_its_own_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"^Pipeline.governors: must be governors \(got 'x'"):
        Pipeline("x")  # type: ignore[arg-type]
    twice = TelegraphicGovernor(), TelegraphicGovernor(tries=1)
    with pytest.raises(ParameterError, match="a name of its own \\(got 'telegraphic'"):
        Pipeline(*twice)
    with pytest.raises(ParameterError, match="a name of its own \\(got ''"):
        Pipeline(marked(""))
    with pytest.raises(ParameterError, match=r"x\.tries: must be a whole number"):
        Pipeline(Own("x", before, tries=-1))


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ParameterError, match=r"^Pipeline.govern.draft: must be a text \(got None"):
        Pipeline().run(None, answers())  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"^TelegraphicGovernor.severity: "):
        TelegraphicGovernor(severity=1.5)
    with pytest.raises(ParameterError, match=r"^TelegraphicGovernor.tries: "):
        TelegraphicGovernor(tries=-1)
    with pytest.raises(ParameterError, match=r"'publishd' is unknown; did you mean 'published'"):
        TelegraphicGovernor(preset="publishd")

    async def ask(instruction: str) -> str:
        return instruction

    with pytest.raises(ParameterError, match="is a coroutine function"):
        Pipeline().run("a draft", ask)  # type: ignore[arg-type]


def test_parameters_of_ones_own_judge_the_drafts() -> None:
    strict = SpeechParams(min_sentence_length=1000.0)
    assert analyze(FULL, strict).severity > 0.3
    done = Pipeline(TelegraphicGovernor(preset=strict)).run(FULL, answers(FULL, FULL))
    assert done.steps[0].tries == 2


@DRIVERS
def test_a_draft_in_a_script_that_the_detector_does_not_know_is_no_better(drive: Any) -> None:
    done = drive(Pipeline(TelegraphicGovernor(tries=1)), TELEGRAPHIC, answers("你好世界"))
    assert done.text == TELEGRAPHIC
    assert "did not improve" in done.steps[0].said


def test_an_ask_that_need_not_be_awaited_is_not() -> None:
    sync: Any = answers(FULL)
    assert asyncio.run(Pipeline(TelegraphicGovernor()).arun(TELEGRAPHIC, sync)).text == FULL


class Asked:
    """An object whose call is a coroutine."""

    async def __call__(self, instruction: str) -> str:
        return FULL


def test_an_ask_that_must_be_awaited_is_refused_by_run() -> None:
    asked: Any = Asked()
    with pytest.raises(ParameterError, match=r"^Pipeline\.run\.ask: is a coroutine function"):
        Pipeline(TelegraphicGovernor()).run(TELEGRAPHIC, asked)
    assert asyncio.run(Pipeline(TelegraphicGovernor()).arun(TELEGRAPHIC, asked)).text == FULL


def test_a_governor_names_itself_when_its_preset_is_unknown() -> None:
    with pytest.raises(ParameterError, match=r"^TelegraphicGovernor\.preset: 3 is unknown"):
        TelegraphicGovernor(preset=3)
