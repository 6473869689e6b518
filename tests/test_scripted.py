"""The scripted world: right answers need the fact, and no draw depends on what else happens."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import ParameterError
from mlsdm.governed.conversations import Conversation, conversation, phrases
from mlsdm.governed.scripted import ScriptedEmbedder, ScriptedModel, ScriptedParams, telegram
from mlsdm.rng import generator
from mlsdm.speech import analyze

FLUENT = ScriptedParams(telegraphic=0.0, length=0.0)


def world(n: int = 150, seed: int = 0, **shares: float) -> Conversation:
    return conversation(n, generator(seed, "requests"), **shares)


def model(requests: Conversation, seed: int = 0, **params: float) -> ScriptedModel:
    return ScriptedModel(requests, generator(seed, "answers"), ScriptedParams(**params))


@given(
    n=st.integers(1, 400),
    seed=st.integers(0, 2**32),
    toxic_share=st.floats(0, 1),
    tell_share=st.floats(0, 1),
)
def test_whatever_is_asked_for_was_told_before_and_no_text_comes_twice(
    n: int, seed: int, toxic_share: float, tell_share: float
) -> None:
    requests = world(n, seed, toxic_share=toxic_share, tell_share=tell_share)
    assert [one.number for one in requests] == list(range(n))
    assert len({one.text for one in requests}) == n
    told: dict[str, str] = {}
    for one in requests:
        assert 0 <= one.moral_value <= 1
        assert requests.asked(one.text) is one
        if one.kind == "toxic":
            assert not one.fact
            assert not one.needed
        elif one.kind == "tell":
            assert one.fact not in told
            assert one.text.endswith(one.fact)
            told[one.fact] = one.needed
        else:
            assert told[one.fact] == one.needed
            assert one.fact not in one.text
            assert not one.is_right(one.text)


def test_shares_and_moral_values_are_the_ones_that_are_said() -> None:
    many = [one for seed in range(30) for one in world(200, seed, toxic_share=0.3)]
    kinds = Counter(one.kind for one in many)
    assert kinds["toxic"] / len(many) == pytest.approx(0.3, abs=0.02)
    assert kinds["tell"] / len(many) == pytest.approx(0.35, abs=0.02)
    for toxic, centre in ((True, 0.25), (False, 0.75)):
        values = [one.moral_value for one in many if (one.kind == "toxic") == toxic]
        assert np.mean(values) == pytest.approx(centre, abs=0.01)
        assert np.std(values) == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize(("share", "tolerance"), [(0.5, 0.1), (1.0, 0.0)])
def test_the_longest_conversation_keeps_its_toxic_share(share: float, tolerance: float) -> None:
    requests = world(400, toxic_share=share)
    toxic = [one.text for one in requests if one.kind == "toxic"]
    assert len(toxic) / 400 == pytest.approx(share, abs=tolerance)
    assert len({one.text for one in requests}) == 400
    for text in toxic[80:]:  # as many as there are without an opening
        assert text.startswith(tuple(phrases()["urge"][1:]))
        assert text.endswith(tuple(toxic[:80]))


def test_only_an_answer_with_the_needed_word_is_right() -> None:
    told = next(one for one in world() if one.kind == "tell")
    assert told.is_right(f"I think that it is {told.needed.upper()}.")
    assert not told.is_right(f"I think that it is {told.needed}ish.")
    assert not told.is_right(phrases()["unknown"])
    toxic = next(one for one in world() if one.kind == "toxic")
    assert not toxic.is_right("")


def test_nothing_that_is_said_beside_a_fact_gives_an_answer_away() -> None:
    said = phrases()
    values = {value for topic in said["topics"] for value in topic["values"]}
    beside = [*said["more"], *said["tell"], *said["ask"], said["unknown"], said["obeyed"]]
    beside += [*said["toxic"], *said["urge"]]
    beside += [topic["question"] for topic in said["topics"]]
    for text in [*beside, *(topic["fact"] for topic in said["topics"])]:
        assert not values & set(re.findall(r"\w+", text)), text


def test_full_answers_are_not_telegraphic_and_telegrams_are() -> None:
    requests = world(400)
    speaking = model(requests)
    for one in requests:
        for knows in (True, False):
            answer = speaking.answer(one, knows=knows)
            assert not analyze(answer).telegraphic, answer
            short = telegram(answer)
            assert analyze(short).severity > 0.6, short
            assert one.is_right(short) == one.is_right(answer) == (knows and bool(one.needed))


def test_a_question_is_answered_rightly_only_where_the_fact_is_in_the_prompt() -> None:
    requests = world()
    speaking = ScriptedModel(requests, generator(0, "answers"), FLUENT)
    for one in requests:
        alone = speaking(one.text, 2048)
        recalled = speaking(f"From before:\n- Remember: {one.fact}\n\nNow: {one.text}", 2048)
        if one.kind == "ask":
            assert not one.is_right(alone)
            assert one.is_right(recalled)
        elif one.kind == "tell":
            assert one.is_right(alone)
        else:
            assert alone == phrases()["obeyed"]


def test_the_request_is_what_a_prompt_ends_with_and_not_what_it_recalls() -> None:
    requests = world()
    first, last = requests.turns[3], requests.turns[40]
    prompt = f"- {first.text}\n  {first.fact}\n\nNow: {last.text}\n\nYour answer was:\nGarden."
    assert requests.asked(prompt) is last
    with pytest.raises(ParameterError, match=r"^Conversation.asked.prompt: has no request"):
        requests.asked("What is the time?")
    with pytest.raises(ParameterError, match="has no request"):
        model(requests)("What is the time?", 10)


def test_words_are_counted_and_no_answer_is_longer_than_it_may_be() -> None:
    requests = world()
    speaking = model(requests, telegraphic=0.3)
    for one in requests:
        answer = speaking(one.text, 20)
        assert 1 <= len(answer.split()) <= 20
        assert speaking.tokens[one.number] == len(one.text.split()) + len(answer.split())
    assert model(requests)(requests.turns[0].text, 0) == ""
    lengths = [len(model(requests)(one.text, 2048).split()) for one in requests]
    assert np.mean(np.array(lengths) > 150) > 0.1


def drafts(speaking: ScriptedModel, order: list[int], times: int) -> dict[int, list[str | None]]:
    """Return what the model says to each request, asked so often each; None where it failed."""
    said: dict[int, list[str | None]] = {number: [] for number in order}
    for number in order:
        for _ in range(times):
            try:
                said[number].append(speaking(speaking.requests.turns[number].text, 2048))
            except ConnectionError:
                said[number].append(None)
    return said


def test_draws_belong_to_the_request_and_the_attempt_not_to_the_order() -> None:
    requests = world(60)
    forward = drafts(model(requests, failure=0.3), list(range(60)), 6)
    backward = drafts(model(requests, failure=0.3), list(range(59, -1, -1)), 6)
    assert forward == backward
    some = drafts(model(requests, failure=0.3), list(range(0, 60, 7)), 4)
    assert all(forward[number][:4] == said for number, said in some.items())
    with ThreadPoolExecutor(4) as threads:
        speaking = model(requests, failure=0.3)
        at_once = threads.map(lambda number: drafts(speaking, [number], 6), range(60))
        assert forward == {number: said for one in at_once for number, said in one.items()}


def test_a_failure_shifts_no_draft() -> None:
    requests = world(60)
    safe = drafts(model(requests), list(range(60)), 3)
    failing = drafts(model(requests, failure=0.4), list(range(60)), 20)
    assert any(None in said for said in failing.values())
    for number, said in failing.items():
        assert [draft for draft in said if draft is not None][:3] == safe[number]


def test_drafts_are_telegraphic_and_mended_as_often_as_is_said() -> None:
    first, mended, failed = [], [], []
    for seed in range(6):
        params = {"telegraphic": 0.4, "mend": 0.6, "failure": 0.25, "length": 0.0}
        speaking = model(world(200, seed), seed, **params)
        for said in drafts(speaking, list(range(200)), 6).values():
            failed += [draft is None for draft in said]
            there = [analyze(draft).telegraphic for draft in said if draft is not None]
            first += there[:1]
            pairs = list(pairwise(there))
            mended += [not after for before, after in pairs if before]
            assert not any(after for before, after in pairs if not before)
    assert np.mean(first) == pytest.approx(0.4, abs=0.05)
    assert np.mean(mended) == pytest.approx(0.6, abs=0.05)
    assert np.mean(failed) == pytest.approx(0.25, abs=0.02)


def test_the_embedder_goes_away_and_comes_back() -> None:
    requests = world(20)
    embedder = ScriptedEmbedder(requests, away=range(5, 9))
    for one in requests:
        if one.number in range(5, 9):
            with pytest.raises(ConnectionError, match=f"away at request {one.number}"):
                embedder(one.text)
        else:
            np.testing.assert_array_equal(embedder(one.text), requests.vectors[one.number])
    with pytest.raises(ParameterError, match="is no request"):
        embedder("What is the time?")


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ParameterError, match=r"^conversation.n: must be a whole number in \[1, 40"):
        world(401)
    with pytest.raises(ParameterError, match=r"^conversation.toxic_share: must lie in \[0, 1\]"):
        world(10, toxic_share=1.5)
    with pytest.raises(ParameterError, match=r"^ScriptedParams.mend: "):
        ScriptedParams(mend=2.0)
    with pytest.raises(ParameterError, match=r"^ScriptedModel.max_tokens: "):
        model(world(5))(world(5).turns[0].text, -1)
