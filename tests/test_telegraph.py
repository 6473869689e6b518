"""Text made telegraphic loses function words and ends of sentences, more with every dose."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mlsdm.errors import ParameterError
from mlsdm.speech import corpora
from mlsdm.speech.reading import is_function_word
from mlsdm.speech.telegraphing import LEFT, telegraph

WORDS = [
    "the",
    "a",
    "Of",
    "isn't",
    "dog,",
    "barked",
    "(loudly)",
    "--",
    "3.5",
    "café",
    '"He',
    "Who?",
]
ENDS = [".", "!", "...", '."', "?!", ""]
SENTENCES = st.builds(
    lambda words, end: " ".join(words) + end,
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=12),
    st.sampled_from(ENDS),
)
TEXTS = st.one_of(st.text(), st.lists(SENTENCES, max_size=8).map(" \n".join))
DOSES = st.floats(0, 1)


def shortened(text, dose, seed=0):
    return telegraph(text, dose, np.random.default_rng(seed))


def cores(text):
    """Return the words without their punctuation and case."""
    return [core.lower() for core in re.findall(r"[^\W_]+(?:[^\s\w]+[^\W_]+)*", text)]


def is_part(few, many):
    rest = iter(many)
    return all(word in rest for word in few)


@given(TEXTS, st.integers(0, 2**32))
def test_dose_0_returns_the_text(text, seed):
    assert shortened(text, 0, seed) == text


@examples(max_examples=300)
@given(TEXTS, DOSES, DOSES, st.integers(0, 2**32))
def test_a_higher_dose_leaves_out_what_a_lower_one_does_and_more(text, one, other, seed):
    few, many = (cores(shortened(text, dose, seed)) for dose in (max(one, other), min(one, other)))
    assert is_part(few, many)
    assert is_part(many, cores(text))


@given(st.lists(SENTENCES, max_size=8).map(" ".join), st.integers(0, 2**32))
def test_dose_1_leaves_no_function_word_and_few_others_a_sentence(text, seed):
    left = shortened(text, 1, seed)
    assert not [word for word in cores(left) if is_function_word(word)]
    for sentence in re.split(r"[.!?]+[\"')]*(?:\s|$)", left):
        assert len([word for word in sentence.split() if cores(word)]) <= LEFT


def test_what_is_left_is_still_written_in_sentences():
    text = 'The dog of my aunt barked at the man. "She was asleep at the time."'
    for seed in range(20):
        assert re.fullmatch(r'Dog( aunt)?( barked)?\. Asleep( time)?\."', shortened(text, 1, seed))


def test_the_dose_is_the_share_of_function_words_left_out():
    """Sentences of function words alone have no other word to be cut behind."""
    text = "and of the with in a to by. " * 500
    for dose in (0.2, 0.5, 0.8):
        share = 1 - len(cores(shortened(text, dose))) / len(cores(text))
        assert share == pytest.approx(dose, abs=0.03)


def test_the_dose_is_the_share_of_sentences_that_are_cut():
    text = "big dog barked loudly yesterday evening again. " * 500
    for dose in (0.2, 0.5, 0.8):
        cut = [len(one.split()) <= LEFT for one in shortened(text, dose).split(".")[:-1]]
        assert np.mean(cut) == pytest.approx(dose, abs=0.06)


def test_a_text_without_end_takes_no_longer_than_it_is_long():
    for text in ("." * 200_000, "a" * 200_000, "the " * 50_000, "." * 100_000 + "x", '"' * 100_000):
        assert len(shortened(text, 1)) <= len(text)


@pytest.mark.parametrize("dose", [-0.1, 1.1, float("nan"), "half"])
def test_what_is_no_dose_is_refused(dose):
    with pytest.raises(ParameterError, match=r"telegraph\.dose"):
        shortened("A text.", dose)


def test_what_is_no_text_is_refused():
    with pytest.raises(ParameterError, match=r"telegraph\.text: must be a text \(got 3\)"):
        shortened(3, 0.5)


def test_the_same_generator_state_gives_the_same_text_and_another_another():
    text = corpora.prose()[0]
    assert shortened(text, 0.5, 1) == shortened(text, 0.5, 1) != shortened(text, 0.5, 2)


@pytest.mark.long
@examples(max_examples=10_000, deadline=None)
@given(TEXTS, DOSES, DOSES, st.integers(0, 2**32))
def test_many_texts_are_nested(text, one, other, seed):
    few, many = (cores(shortened(text, dose, seed)) for dose in (max(one, other), min(one, other)))
    assert is_part(few, many)
