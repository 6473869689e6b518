"""A governed model: each part of a request, what is left out, and what is refused."""

import asyncio

import numpy as np
import pytest
from governing import ASLEEP, OPEN, SENTENCE, answer, embed, governed
from support import every_byte

from mlsdm.errors import ParameterError
from mlsdm.governed import GovernedModel, GovernedParams
from mlsdm.speech import Governed, Governor, Pipeline


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


def test_models_and_replies_show_themselves_as_tables():
    model = governed(memory=False)
    assert "telegraphic" in model._repr_html_()
    assert "memory" in model._repr_html_()
    assert "committed" in model.reply("What?", 0.9)._repr_html_()
