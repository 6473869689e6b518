"""A governed model when something fails: each outcome is typed, and nothing is half done."""

import asyncio
import threading

import numpy as np
import pytest
from governing import DIM, SENTENCE, Clock, answer, embed, governed, replayed
from support import every_byte, state_bytes


def faulty(clock, n=300):
    """A model that fails at 30 % of its calls, and an embedder that is away for a while."""
    rng = np.random.default_rng(4)

    def generate(prompt, max_tokens):
        clock.sleep(1.0)
        if rng.random() < 0.3:
            raise ConnectionError("the other side has hung up")
        return SENTENCE

    def embedder(text):
        if 60 < clock.now < 110:
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

    # The clock is all tasks' own: with deadlines, the others' work would count as a call's time.
    whenever = {"deadline": None, "embedding_deadline": None}
    calls = {"attempts": 2, "breaker_failures": 4}
    model = governed(agenerate, embedder, clock=clock, calls=calls, **whenever)

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


def test_an_interrupt_comes_through_and_changes_nothing():
    def interrupted(prompt, max_tokens):
        raise KeyboardInterrupt

    model = governed(interrupted, deadline=None)
    before = every_byte(model.controller)
    with pytest.raises(KeyboardInterrupt):
        model.reply("What is it?", 0.9)
    assert every_byte(model.controller) == before


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
