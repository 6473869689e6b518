"""The detector: the published rule against a transcription of it, and what the default mends."""

import math
import re

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlsdm.errors import DataError, ParameterError
from mlsdm.speech import FLAGS, SpeechParams, SpeechReport, analyze, analyze_many, function_words
from mlsdm.speech.reading import default

PUBLISHED_WORDS = ["the", "a", "an", "and", "or", "but", "if", "that", "which", "who", "to", "of"]
PUBLISHED_WORDS += ["in", "on", "at", "for", "with", "by", "as", "is", "are", "was", "were", "be"]
PUBLISHED_WORDS += ["been", "being"]
PIECES = ["the", "Cat", "is", "don't", "3.14", "Dr.", "e.g.", "U.S.", "...", "?!", ".", "!", "\n"]
PIECES += ["\n\n", "- ", "1.", ")", "”", "'", "’s", "кот", "猫", "é", "e\u0301", "\x00", "\u200b"]
# Texts of everything, and texts that look like English but for what is wrong with them.
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join),
    st.text(alphabet=".!?… aIbD\n'’-", max_size=100),
)


def transcribed(text):
    """The released rule in plain Python: severity and flags."""
    if not text.strip():
        return 1.0, ("empty_text",)
    sentences = [piece.lower().split() for piece in re.split(r"[.!?]+", text)]
    sentences = [words for words in sentences if words]
    if not sentences:
        return 1.0, ("no_sentence_boundaries",)
    words = [word for sentence in sentences for word in sentence]
    average = len(words) / len(sentences)
    function = sum(word in PUBLISHED_WORDS for word in words) / len(words)
    fragments = sum(len(sentence) < 4 for sentence in sentences) / len(sentences)
    flags = {
        "short_sentences": average < 6.0,
        "low_function_words": function < 0.15,
        "high_fragment_ratio": fragments > 0.5,
    }
    short, low = max(0, 6.0 - average) / 6.0, max(0, 0.15 - function) / 0.15
    severity = min(1, (short + low + max(0, fragments - 0.5) / 0.5) / 3)
    return severity, tuple(name for name, up in flags.items() if up)


def judged(text):
    report = analyze(text, "published")
    return report.severity, report.flags


def is_sound(report):
    speaks = set(report.flags) - {"unsupported_script"}
    return 0.0 <= report.severity <= 1.0 and report.telegraphic == bool(speaks)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
@example("The cat is on the mat, and it sleeps. Good.")
@example("ΑΣ. İi\u0307 of")
def test_the_published_rule_is_exact(text):
    assert judged(text) == transcribed(text)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
@example("\ud800 lone surrogate")
def test_any_text_has_a_severity_from_0_to_1(text):
    assert is_sound(analyze(text))
    assert is_sound(analyze(text, "published"))


@pytest.mark.long
@given(TEXTS)
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_texts_obey_both(text):
    assert judged(text) == transcribed(text)
    assert is_sound(analyze(text))
    assert is_sound(analyze(text, "published"))


def test_the_published_words_are_those_of_the_released_code():
    assert function_words("published") == set(PUBLISHED_WORDS)
    assert function_words("published") <= function_words()


def test_the_published_code_does_not_know_a_function_word_with_a_comma():
    text = "that, which, who, and the man is by the door"
    assert analyze(text, "published").function_word_ratio == 5 / 10
    assert analyze(text).function_word_ratio == 8 / 10


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("Dr. Smith paid 3.14 dollars to Mr. J. P. Morgan. He left.", [10, 2]),
        ("She works for the U.S. government. It is in Washington, D.C. today.", [6, 6]),
        ("We met at 5 p.m. Then we slept.", [5, 3]),
        ("Bring fruit, e.g. apples, etc. and go home!", [8]),
        ("No... yes. Well… Maybe?! Fine.", [2, 1, 1, 1]),
        ("“Stop.” she said. “Stop!” He did.", [3, 1, 2]),
        ("So do I. You too.", [3, 2]),
        ("1. Open the door\n- close it\n- go\n\nDone", [4, 2, 1, 1]),
        ("I saw it.Then I left.", [3, 3]),
        ("See example.com, or ask.me now.", [7]),
        ("more cookie . more juice ? i see .", [2, 2, 2]),
        ("1,000.5 well-known re\u0301sume\u0301s don’t", [4]),
        ("Ph.D. students write.", [4]),
        ("No. I want it. She said no. go on. no.", [1, 3, 3, 2, 1]),
        ("No. 5 is open, see figs. 2 and 3. Ed. left.", [9, 1, 1]),
        ("", []),
    ],
)
def test_sentences_and_words_are_those_of_written_english(text, lengths):
    assert default(text).lengths.tolist() == lengths


@pytest.mark.parametrize("word", ["isn't", "they’ve", "What's", "THE", "won't", "dont"])
def test_a_contraction_is_a_function_word_where_its_word_is(word):
    assert default(word).function_words == 1


@pytest.mark.parametrize("word", ["dog's", "cat", "o'clock", "3", "'", "cat-the"])
def test_other_words_are_none(word):
    assert default(word).function_words == 0


@pytest.mark.parametrize("text", ["你好世界", "Привет, мир и Tom", "שלום", "Καλημέρα κόσμε"])
def test_another_script_is_not_judged(text):
    report = analyze(text)
    assert report.flags == ("unsupported_script",)
    assert not report.telegraphic
    assert report.severity == 0
    assert math.isnan(report.average_sentence_length)


def test_mixed_scripts_are_judged_where_most_letters_are_latin():
    assert analyze("The word привет is Russian for hello, as everybody knows.").flags == ()


def test_nothing_and_no_sentence_are_said_to_be_such():
    assert analyze(" \n").flags == ("empty_text",)
    assert analyze("?!… 😀").flags == ("no_sentence_boundaries",)
    assert analyze("").severity == analyze("...").severity == 1.0


PATHOLOGICAL = {
    "no sentence end": ("word ", {"short_sentences": False}),
    "stops alone": (".", {"no_sentence_boundaries": True}),
    "stops with spaces": (". ", {"no_sentence_boundaries": True}),
    "one word": ("x", {"short_sentences": True}),
    "single letters": ("a.", {"short_sentences": True}),
    "abbreviations": ("Mr. ", {"low_function_words": True}),
    "blank lines": ("\n", {"empty_text": True}),
    "brackets": (".)", {"no_sentence_boundaries": True}),
    "marks": ("a\u0301\u0316", {"short_sentences": True}),
    "mixed scripts": ("aбc中 ", {"unsupported_script": False}),
    "control characters": ("\x00\x1f", {"no_sentence_boundaries": True}),
    "ellipses": ("a… ", {"short_sentences": False}),
    # One long word, then stops that each ask what the word before them was.
    "a long number and stops": ("1| .", {"short_sentences": True}),
    "a long word and joined stops": ("x|.-", {"short_sentences": True}),
    "long initials and stops": ("a.| .", {"short_sentences": True}),
}


def pathological(name, characters):
    """Return a long text, and which flags are to be up."""
    unit, flags = PATHOLOGICAL[name]
    units = unit.split("|")
    return "".join(one * (characters // len(units) // len(one)) for one in units), flags


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_long_texts_without_structure_are_read(name):
    text, flags = pathological(name, 100_000)
    report = analyze(text)
    assert {flag: flag in report.flags for flag in flags} == flags
    assert judged(text) == transcribed(text)


@pytest.mark.long
@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_ten_megabytes_without_structure_are_read(name):
    """What takes longer than in proportion would not end."""
    text, flags = pathological(name, 10_000_000)
    report = analyze(text)
    assert {flag: flag in report.flags for flag in flags} == flags
    assert is_sound(analyze(text, "published"))


@given(st.lists(TEXTS, max_size=5))
@settings(max_examples=50, deadline=None)
def test_many_texts_are_judged_as_each_is(texts):
    for preset in ("default", "published"):
        frame = analyze_many(texts, preset)
        assert len(frame) == len(texts)
        for text, row in zip(texts, frame.to_dict("records"), strict=True):
            flags = tuple(flag for flag in FLAGS if row.pop(flag))
            one, other = SpeechReport(**row, flags=flags), analyze(text, preset)
            assert repr(one) == repr(other)  # NaN is NaN


def test_many_texts_make_a_frame_of_numbers_and_flags():
    frame = analyze_many(["The cat is asleep on the old mat.", "Cat."])
    assert frame["telegraphic"].tolist() == [False, True]
    assert [str(kind) for kind in frame[list(FLAGS)].dtypes.unique()] == ["bool"]
    assert isinstance(analyze_many([]), pd.DataFrame)


def test_parameters_of_ones_own_take_the_place_of_a_preset():
    never = SpeechParams(min_sentence_length=0.0, min_function_words=0.0, max_fragments=1.0)
    assert analyze("Cat.", never).severity == 0.0
    assert analyze("Cat.", never).flags == ()
    published = SpeechParams.published()
    assert analyze("Good, the cat.", published) == analyze("Good, the cat.", "published")


@pytest.mark.parametrize("preset", ["publshed", None, ["default"]])
def test_an_unknown_preset_is_refused(preset):
    with pytest.raises(ParameterError, match=r"^analyze\.preset: "):
        analyze("text", preset)


def test_what_is_no_text_is_refused():
    with pytest.raises(ParameterError, match=r"^analyze\.text: must be a text \(got int\)$"):
        analyze(3)
    with pytest.raises(DataError, match=r"^analyze_many\.texts: must be text \(got None at row 1"):
        analyze_many(["a", None])


def test_a_report_shows_itself_as_a_table():
    assert "short_sentences" in analyze("Cat.")._repr_html_()
