"""What a governed model remembers: the texts of the rows, whatever becomes of the rows."""

import numpy as np
import pytest
from governing import OPEN, SENTENCE, embed, governed
from hypothesis import given, settings
from hypothesis import strategies as st
from support import state_bytes

from mlsdm.governed.memory import _key as key


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


def test_what_is_kept_of_a_text_is_bounded():
    model = governed(remembered_characters=10)
    model.reply("What is it? " * 100, 0.9)
    (exchange,) = model._memory._exchanges.values()
    assert exchange == ("What is it", SENTENCE[:10])
