"""A governed model: each part of a request, each outcome, and what is never half done."""

import asyncio
import threading

import numpy as np
import pytest
from governing import DIM, SENTENCE, Clock, answer, embed, governed, replayed
from hypothesis import given, settings
from hypothesis import strategies as st
from support import every_byte, state_bytes

from mlsdm.errors import ParameterError
from mlsdm.governed import GovernedModel, GovernedParams
from mlsdm.governed.memory import _key as key
from mlsdm.speech import Governed, Governor, Pipeline

ASLEEP = {"rhythm": {"wake_duration": 1, "sleep_duration": 1000}}
OPEN = {"moral": {"policy": "fixed", "threshold": 0.0}}


def test_a_request_is_answered_remembered_and_recalled():
    asked = []

    def generate(prompt, max_tokens):
        asked.append((prompt, max_tokens))
        return SENTENCE

    model = governed(generate)
    first, second = (model.reply("The box is blue.", 0.9) for _ in range(2))
    assert (first.status, first.why, first.text, first.calls) == ("committed", "", SENTENCE, 1)
    assert first.event.reason == "committed"
    assert first.recalled == ()
    assert [(one.prompt, one.answer) for one in second.recalled] == [("The box is blue.", SENTENCE)]
    assert second.recalled[0].resonance == pytest.approx(1.0)
    assert asked[0] == ("The box is blue.", 2048)
    assert "The box is blue." in asked[1][0].split("Now: ")[0]
    assert model.controller.lattice.size == 2


def test_what_the_filter_refuses_reaches_neither_model_nor_embedder():
    def never(*arguments):
        raise AssertionError

    model = governed(never, never)
    reply = model.reply("Insult her.", 0.1)
    assert (reply.status, reply.why, reply.text, reply.calls) == ("refused", "moral", "", 0)
    assert reply.event.reason == "moral"
    assert not reply.answered


@pytest.mark.parametrize(("asleep", "status"), [("shorten", "degraded"), ("refuse", "refused")])
def test_sleep_shortens_or_refuses(asleep, status):
    tokens = []

    def generate(prompt, max_tokens):
        tokens.append(max_tokens)
        return SENTENCE

    model = governed(generate, engine=ASLEEP, asleep=asleep)
    awake, sleeping = (model.reply("How are you?", 0.9) for _ in range(2))
    assert (awake.status, awake.phase) == ("committed", "wake")
    assert (sleeping.status, sleeping.why, sleeping.phase) == (status, "sleep", "sleep")
    assert tokens == ([2048, 150] if asleep == "shorten" else [2048])
    assert sleeping.event.reason == "sleep"


@pytest.mark.parametrize(("wanted", "tokens"), [(10, [10, 10]), (1000, [1000, 150])])
def test_the_fewer_tokens_hold_of_those_asked_for_and_those_allowed(wanted, tokens):
    got = []

    def generate(prompt, max_tokens):
        got.append(max_tokens)
        return SENTENCE

    model = governed(generate, engine=ASLEEP)
    for _ in range(2):
        model.reply("How are you?", 0.9, max_tokens=wanted)
    assert got == tokens


def test_asleep_the_texts_of_the_wake_are_recalled_from_their_replay():
    engine = {"rhythm": {"wake_duration": 3, "sleep_duration": 5}}
    model = governed(engine=engine)
    prompts = ["The cat is grey.", "The dog is brown.", "The cow is white."]
    for prompt in prompts:
        model.reply(prompt, 0.9)
    asleep = model.reply(prompts[1], 0.9)
    assert asleep.phase == "sleep"
    assert asleep.recalled[0].prompt == prompts[1]
    assert {one.prompt for one in asleep.recalled} == set(prompts)


@given(
    st.integers(1, 7), st.integers(1, 6), st.integers(1, 4), st.sampled_from(["event", "commit"]),
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), max_size=40),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_every_row_has_the_text_whose_vector_it_holds(capacity, wake, sleep, clock, requests):
    rhythm = {"wake_duration": wake, "sleep_duration": sleep, "clock": clock}
    model = governed(engine={"lattice": {"capacity": capacity}, "rhythm": rhythm})
    for number, value in requests:
        model.reply(f"The number is {number}.", value)
    for vector in model.controller.lattice.vectors:
        exchange = model._memory._exchanges[key(vector)]
        np.testing.assert_array_equal(embed(exchange.prompt), vector)
    assert len(model._memory._exchanges) <= 2 * capacity


def test_events_of_ones_own_have_no_texts_and_take_none_away():
    engine = {"lattice": {"capacity": 4}, "rhythm": {"wake_duration": 3}}
    model = governed(engine=engine | OPEN)
    model.controller.process_event(embed("direct"), 0.9)
    for prompt in ("A", "B"):
        model.reply(prompt, 0.9)
    asleep = model.reply("A", 0.9)
    assert (asleep.recalled[0].prompt, asleep.phase) == ("A", "sleep")
    assert {one.prompt for one in model.reply("direct", 0.9).recalled} <= {"A", "B"}


def test_an_interrupt_right_after_the_event_can_only_lose_a_text(monkeypatch):
    model = governed(engine={"rhythm": {"wake_duration": 3}} | OPEN)
    process = model.controller.process_event

    def interrupted(*arguments):
        process(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(model.controller, "process_event", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.reply("A", 0.9)
    for prompt in ("B", "C"):
        model.reply(prompt, 0.9)
    asleep = model.reply("B", 0.9)
    assert (asleep.phase, asleep.recalled[0].prompt) == ("sleep", "B")
    assert "A" not in {one.prompt for one in asleep.recalled}


@pytest.mark.parametrize("name", ["threshold", "phase"])
def test_a_flipped_copy_of_the_state_is_put_right_before_anything_is_decided(name):
    model, other = (governed(asleep="refuse") for _ in range(2))
    model.controller._memory.states[name][0] = 1
    replies = [one.reply("The box is blue.", 0.8) for one in (model, other)]
    assert replies[0] == replies[1]
    assert state_bytes(model.controller) == state_bytes(other.controller)


def faulty(clock, n=300):
    """A model that fails at 30 % of its calls, and an embedder that is away for a while."""
    rng = np.random.default_rng(4)

    def generate(prompt, max_tokens):
        clock.sleep(1.0)
        if rng.random() < 0.3:
            raise ConnectionError("the other side has hung up")
        return SENTENCE

    def embedder(text):
        if 100 < clock.now < 250:
            raise TimeoutError("nobody there")
        return embed(text)

    values = np.random.default_rng(5).uniform(0.2, 1.0, n)
    requests = [(f"Request number {i}.", float(value)) for i, value in enumerate(values)]
    return generate, embedder, requests


CHANGES = {("closed", "open"), ("open", "half-open"), ("half-open", "closed")}
CHANGES.add(("half-open", "open"))


def check_faulty(model, done):
    """No request without a typed outcome, no partial commit, breakers through half-open only."""
    statuses = {(reply.status, reply.why) for _, _, reply in done}
    assert {("committed", ""), ("refused", "moral"), ("failed", "model")} <= statuses
    assert ("degraded", "embedder") in statuses
    for _, _, reply in done:
        if reply.status == "committed":
            assert reply.event.reason == "committed"
        assert bool(reply.text) == reply.answered
        assert bool(reply.detail) == (reply.status == "failed" or reply.why == "embedder")
    changes = model.breakers["embed"].transitions
    assert set(changes) <= CHANGES
    assert {("closed", "open"), ("open", "half-open"), ("half-open", "closed")} <= set(changes)
    assert state_bytes(model.controller) == state_bytes(replayed(model, done))


def test_with_faults_the_engine_is_that_of_the_successful_requests_alone():
    clock = Clock()
    generate, embedder, requests = faulty(clock)
    model = governed(generate, embedder, clock=clock, calls={"attempts": 2, "breaker_failures": 4})
    done = [(prompt, value, model.reply(prompt, value)) for prompt, value in requests]
    assert len(done) == 300
    check_faulty(model, done)


def test_with_faults_many_tasks_at_once_leave_the_engine_as_whole():
    clock = Clock()
    generate, embedder, requests = faulty(clock)

    async def agenerate(prompt, max_tokens):
        await asyncio.sleep(0)
        return generate(prompt, max_tokens)

    model = governed(agenerate, embedder, clock=clock, calls={"attempts": 2, "breaker_failures": 4})

    async def one(prompt, value, gate):
        async with gate:
            return prompt, value, await model.areply(prompt, value)

    async def all_of_them():
        gate = asyncio.Semaphore(8)
        return await asyncio.gather(*(one(*request, gate) for request in requests))

    check_faulty(model, asyncio.run(all_of_them()))


def test_many_threads_leave_the_engine_as_whole():
    model, done = governed(), []

    def some(first):
        for i in range(first, 200, 4):
            prompt, value = f"Request number {i}.", 0.2 + 0.8 * (i % 7) / 7
            done.append((prompt, value, model.reply(prompt, value)))

    threads = [threading.Thread(target=some, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 200
    assert state_bytes(model.controller) == state_bytes(replayed(model, done))


def test_a_model_that_is_too_slow_misses_the_deadline_and_changes_nothing():
    clock = Clock()

    def slow(prompt, max_tokens):
        clock.sleep(11)
        return SENTENCE

    model = governed(slow, clock=clock, deadline=10.0)
    before = every_byte(model.controller)
    reply = model.reply("How are you?", 0.9)
    assert (reply.status, reply.why) == ("failed", "deadline")
    assert "deadline" in reply.detail
    assert every_byte(model.controller) == before


def test_an_open_circuit_answers_at_once():
    def broken(prompt, max_tokens):
        raise ConnectionError

    model = governed(broken, calls={"attempts": 1, "breaker_failures": 2})
    replies = [model.reply("How are you?", 0.9) for _ in range(3)]
    assert [reply.why for reply in replies] == ["model", "model", "circuit open"]
    assert [reply.calls for reply in replies] == [1, 1, 0]


@pytest.mark.parametrize("returned", [None, 7, [1.0] * (DIM - 1), [np.nan] * DIM, "vector"])
def test_an_embedding_that_is_none_is_a_degraded_reply(returned):
    model = governed(embedder=lambda text: returned, calls={"attempts": 1})
    before = every_byte(model.controller)
    reply = model.reply("How are you?", 0.9)
    assert (reply.status, reply.why, reply.text) == ("degraded", "embedder", SENTENCE)
    assert reply.detail.startswith("embed: ")
    assert every_byte(model.controller) == before


@pytest.mark.parametrize("returned", [None, 7, b"bytes"])
def test_an_answer_that_is_no_text_is_a_failure(returned):
    model = governed(lambda prompt, max_tokens: returned, calls={"attempts": 2})
    reply = model.reply("How are you?", 0.9)
    assert (reply.status, reply.why, reply.calls) == ("failed", "model", 2)
    assert reply.detail.startswith("generate: ")


def damaged(**values):
    """A governed model whose memory is damaged beyond what can be put right."""
    model = governed(**values)
    for number in range(4):
        model.reply(f"Request number {number}.", 0.9)
    for element in (0, 1):
        model.controller.lattice._memory.vectors[0][element] += 1
    while model.controller.emergency is None:
        model.controller.process_event(embed("x"), 0.9)
    return model


def test_without_its_memory_the_model_still_answers_what_the_filter_lets_through():
    model = damaged()
    before = every_byte(model.controller)
    good, bad = model.reply("How are you?", 0.95), model.reply("Insult her.", 0.1)
    assert (good.status, good.why, good.text) == ("degraded", "memory", SENTENCE)
    assert good.recalled == ()
    assert good.detail == model.controller.emergency
    assert (bad.status, bad.why) == ("refused", "moral")
    assert every_byte(model.controller) == before
    model.controller.repair()
    model.controller.recover()
    assert model.reply("How are you?", 0.95).event is not None


def test_an_emergency_may_refuse_everything():
    reply = damaged(emergency="refuse").reply("How are you?", 0.95)
    assert (reply.status, reply.why, reply.text) == ("refused", "emergency", "")


def test_damage_that_the_commit_finds_degrades_the_reply():
    model = governed(engine={"lattice": {"capacity": 50, "scrub_rows": 50}})
    model.reply("The box is blue.", 0.9)

    def damage(prompt, max_tokens):
        model.controller.lattice._memory.vectors[0][:2] += 1
        return SENTENCE

    model._calls["generate"]._function = damage
    reply = model.reply("Which box?", 0.9)
    assert (reply.status, reply.why, reply.event) == ("degraded", "memory", None)
    assert reply.detail == model.controller.emergency


@pytest.mark.parametrize("method", ["retrieve_context", "process_event"])
def test_a_memory_that_raises_degrades_the_reply(monkeypatch, method):
    model = governed()

    def fails(*arguments):
        raise RuntimeError

    monkeypatch.setattr(model.controller, method, fails)
    reply = model.reply("Which box?", 0.9)
    assert (reply.status, reply.why, reply.detail) == ("degraded", "memory", "RuntimeError()")
    assert reply.text == SENTENCE


def test_a_vector_that_the_levels_cannot_take_in_is_the_embedders():
    model = governed(embedder=lambda text: [3e38] * DIM, engine={"lattice": {"capacity": 5}})
    first, second = (model.reply("Which box?", 0.9) for _ in range(2))
    assert first.status == "committed"
    assert (second.status, second.why, second.event) == ("degraded", "embedder", None)


def test_a_threshold_that_has_moved_meanwhile_refuses_the_draft():
    inner = []

    def generate(prompt, max_tokens):
        if prompt == "outer":
            inner.extend(model.reply(f"inner {i}", 0.9) for i in range(4))
        return SENTENCE

    model = governed(generate, memory=False)
    reply = model.reply("outer", 0.55)
    assert [one.status for one in inner] == ["committed"] * 4
    assert (reply.status, reply.why, reply.text) == ("refused", "moral", "")
    assert reply.event.reason == "moral"


def test_who_falls_asleep_meanwhile_is_answered_and_not_remembered():
    def generate(prompt, max_tokens):
        if prompt == "outer":
            model.reply("inner", 0.9)
        return SENTENCE

    model = governed(generate, engine=ASLEEP | OPEN)
    reply = model.reply("outer", 0.9)
    assert (reply.status, reply.why, reply.text) == ("degraded", "sleep", SENTENCE)
    assert reply.phase == "wake"


def test_without_memory_nothing_is_embedded_or_recalled():
    model = GovernedModel(answer, params=GovernedParams(memory=False))
    replies = [model.reply("How are you?", 0.9) for _ in range(3)]
    assert [reply.status for reply in replies] == ["committed"] * 3
    assert [reply.recalled for reply in replies] == [()] * 3
    assert set(model.breakers) == {"generate"}


def test_without_rhythm_it_never_sleeps():
    model = governed(engine=ASLEEP | OPEN, rhythm=False)
    assert {model.reply("How are you?", 0.9).phase for _ in range(30)} == {"wake"}


def test_without_filter_everything_passes():
    model = governed(filter=False)
    assert {model.reply("Insult her.", 0.0).status for _ in range(5)} == {"committed"}


def test_without_governor_drafts_stay_as_they_are():
    kept = governed(lambda prompt, n: "Cookie.", governor=False).reply("What?", 0.9)
    assert (kept.text, kept.governance, kept.calls) == ("Cookie.", None, 1)


def mended(prompt, max_tokens):
    return SENTENCE if "Your answer was:\nCookie." in prompt else "Cookie."


@pytest.mark.parametrize("name", ["reply", "areply"])
def test_a_telegraphic_draft_is_asked_for_again(name):
    model = governed(mended)
    reply = getattr(model, name)("What is it?", 0.9)
    reply = asyncio.run(reply) if name == "areply" else reply
    assert (reply.text, reply.calls) == (SENTENCE, 2)
    (step,) = reply.governance.steps
    assert (step.governor, step.status, step.before) == ("telegraphic", "changed", "Cookie.")


def test_asking_again_that_fails_keeps_the_draft():
    def generate(prompt, max_tokens):
        if "Cookie." in prompt:
            raise ConnectionError("the other side has hung up")
        return "Cookie."

    reply = governed(generate, calls={"attempts": 2}).reply("What is it?", 0.9)
    assert (reply.status, reply.text, reply.calls) == ("committed", "Cookie.", 3)
    assert "hung up" in reply.governance.steps[0].said


class Shouting(Governor):
    name = "shouting"

    def govern(self, draft):
        return Governed(draft.upper(), "raised its voice")


def test_governors_of_ones_own_take_their_place_in_a_pipeline():
    params = governed().params
    model = GovernedModel(answer, embed, params, governor=Pipeline(Shouting()))
    assert model.reply("What is it?", 0.9).text == SENTENCE.upper()


def test_an_interrupt_comes_through_and_changes_nothing():
    def interrupted(prompt, max_tokens):
        raise KeyboardInterrupt

    model = governed(interrupted, deadline=None)
    before = every_byte(model.controller)
    with pytest.raises(KeyboardInterrupt):
        model.reply("What is it?", 0.9)
    assert every_byte(model.controller) == before


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"prompt": ""}, r"reply\.prompt: must be a text with a word in it \(got"),
        ({"prompt": 3}, r"reply\.prompt: must be a text with a word in it \(got"),
        ({"moral_value": 1.5}, r"reply\.moral_value"),
        ({"moral_value": "good"}, r"reply\.moral_value"),
        ({"context": np.nan}, r"reply\.context"),
        ({"max_tokens": 0}, r"reply\.max_tokens: must be a whole number of at least 1"),
    ],
)
def test_bad_input_changes_nothing(arguments, why):
    model = governed()
    before = every_byte(model.controller)
    with pytest.raises(ParameterError, match=why):
        model.reply(**{"prompt": "What?", "moral_value": 0.9, **arguments})
    assert every_byte(model.controller) == before


def test_a_model_with_memory_needs_an_embedder():
    with pytest.raises(ParameterError, match=r"^GovernedModel\.embed: must be given"):
        GovernedModel(answer)


async def agenerate(prompt, max_tokens):
    return SENTENCE


async def aembed(text):
    return embed(text)


@pytest.mark.parametrize("functions", [(agenerate, embed), (answer, aembed), (agenerate, aembed)])
def test_coroutine_functions_are_awaited_and_else_refused_before_anything_happens(functions):
    model = governed(*functions)
    before = every_byte(model.controller)
    for value in (0.1, 0.9):
        with pytest.raises(ParameterError, match="is a coroutine function; await areply instead"):
            model.reply("What is it?", value)
    assert every_byte(model.controller) == before
    assert asyncio.run(model.areply("What is it?", 0.9)).status == "committed"


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize("who", ["model", "embedder"])
def test_an_exception_without_a_message_is_a_typed_reply_too(who):
    def fails(*arguments):
        raise Unspeakable

    model = governed(*((fails, embed) if who == "model" else (answer, fails)))
    reply = model.reply("What is it?", 0.9)
    assert (reply.status, reply.why) == ("failed" if who == "model" else "degraded", who)
    assert "Unspeakable" in reply.detail


def test_embeddings_that_are_none_open_the_circuit():
    calls = {"attempts": 3, "breaker_failures": 2}
    model = governed(embedder=lambda text: [np.nan] * DIM, calls=calls)
    replies = [model.reply("What is it?", 0.9) for _ in range(3)]
    assert {(reply.status, reply.why) for reply in replies} == {("degraded", "embedder")}
    assert replies[0].detail.startswith("embed: returned")
    assert model.breakers["embed"].state == "open"


def test_an_embedder_that_hangs_leaves_time_for_an_answer():
    clock = Clock()

    def embedder(text):
        clock.sleep(11)
        return embed(text)

    reply = governed(embedder=embedder, clock=clock).reply("What is it?", 0.9)
    assert (reply.status, reply.why, reply.text) == ("degraded", "embedder", SENTENCE)
    assert "deadline" in reply.detail


@pytest.mark.parametrize("name", ["compose", "clock", "sleep"])
def test_what_must_be_a_function_is_one(name):
    with pytest.raises(ParameterError, match=rf"^GovernedModel\.{name}: must be a function"):
        GovernedModel(answer, embed, **{name: 3})


def test_what_composes_a_prompt_must_return_one():
    model = GovernedModel(answer, embed, governed().params, compose=lambda prompt, recalled: None)
    before = every_byte(model.controller)
    with pytest.raises(ParameterError, match=r"^GovernedModel\.compose: must return a text"):
        model.reply("What is it?", 0.9)
    assert every_byte(model.controller) == before


class Text(str):
    __slots__ = ()

    def __getitem__(self, key):
        raise RuntimeError


def test_an_answer_is_a_plain_text_whatever_it_was():
    reply = governed(lambda prompt, max_tokens: Text(SENTENCE)).reply("What is it?", 0.9)
    assert (type(reply.text), reply.text) == (str, SENTENCE)


def test_what_is_kept_of_a_text_is_bounded():
    model = governed(remembered_characters=10)
    model.reply("What is it? " * 100, 0.9)
    (exchange,) = model._memory._exchanges.values()
    assert exchange == ("What is it", SENTENCE[:10])


def test_models_and_replies_show_themselves_as_tables():
    model = governed(memory=False)
    assert "telegraphic" in model._repr_html_()
    assert "memory" in model._repr_html_()
    assert "committed" in model.reply("What?", 0.9)._repr_html_()
