"""Real texts come from installed packages, whole, in two halves that share nothing."""

from __future__ import annotations

import importlib.metadata
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import citing
from mlsdm.errors import DataError, ParameterError
from mlsdm.speech import corpora
from mlsdm.speech.blocking import blocks, matched
from mlsdm.streams.corpus import corpus

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=40)


def said(lengths, word="a"):
    return [" ".join([f"{word}{i}"] * n) + "." for i, n in enumerate(lengths)]


@pytest.mark.parametrize(("speaker", "n", "words"), [("child", 704, 1.55), ("adult", 844, 3.63)])
def test_the_recording_is_the_one_that_is_known(speaker, n, words):
    texts = corpora.utterances(speaker)
    assert len(texts) == n  # 37 of the child's 741 and 3 of the adults' 847 hold no word
    assert np.mean([len(text.split()) for text in texts]) == pytest.approx(words, abs=0.01)
    assert all(re.fullmatch(r"[A-Za-z', ]+(\.|\?|!|\.\.\.)", text) for text in texts)


def test_what_was_said_is_written_as_one_writes():
    adult = corpora.utterances("adult")
    assert corpora.utterances("child")[0] == "more cookie."
    assert "yes, that's much better." in adult
    assert "how about another graham cracker?" in adult
    assert not any(" ," in text or text.startswith(",") for text in adult)


@pytest.mark.parametrize(
    ("read", "n"), [(corpora.prose, 293), (corpora.fragments, 5086), (corpora.comments, None)]
)
def test_other_texts_are_halved_one_by_one(read, n):
    whole = read()
    assert len(whole) == len(set(whole)) == (n or len(corpus()[1]))
    assert read("calibration") == whole[::2]
    assert read("evaluation") == whole[1::2]
    assert all(text.strip() for text in whole)


@pytest.mark.parametrize("speaker", ["child", "adult"])
def test_the_recording_is_halved_in_time(speaker):
    first, second = (corpora.utterances(speaker, half) for half in ("calibration", "evaluation"))
    assert first + second == corpora.utterances(speaker)
    assert 0.4 < len(first) / len(first + second) < 0.6


def test_prose_is_prose_and_fragments_are_none():
    assert min(len(text.split()) for text in corpora.prose()) == 45
    names = corpora.fragments()
    assert "Patient's Birth Date" in names
    assert np.mean([name.endswith((".", "?", "!")) for name in names]) < 0.001


def test_neither_package_of_texts_is_imported():
    corpora.prose()
    corpora.fragments()
    assert not {"gensim", "pydicom"} & set(sys.modules)


def test_an_unknown_speaker_or_half_is_refused():
    with pytest.raises(ParameterError, match=r"utterances\.speaker: 'chlid' is unknown.*child"):
        corpora.utterances("chlid")
    for read in (corpora.prose, corpora.fragments, corpora.comments):
        with pytest.raises(ParameterError, match=rf"{read.__name__}\.half: 'test' is unknown"):
            read("test")


def test_a_package_that_is_missing_or_another_says_so(monkeypatch, tmp_path):
    class Other:
        version = "9.9"

        def locate_file(self, name):
            return tmp_path / name

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Other())
    with pytest.raises(DataError, match=r"gensim 9\.9: has no data file"):
        corpora.prose()
    path = tmp_path / "gensim" / "test" / "test_data" / "lee_background.cor"
    path.parent.mkdir(parents=True)
    path.write_text("Another article.\n")
    with pytest.raises(DataError, match=r"gensim 9\.9: .* is not the file that mlsdm knows"):
        corpora.prose()

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    for package, read in (("gensim", corpora.prose), ("pydicom", corpora._dictionary.__wrapped__)):
        with pytest.raises(DataError, match=rf"{package}: is not installed; pip install mlsdm"):
            read()


def test_where_the_texts_come_from_is_cited(monkeypatch):
    monkeypatch.setattr(citing, "_used", {})
    corpora.utterances("child")
    corpora.prose()
    assert citing.citations().keys == ("brown1973", "macwhinney2000", "lee2005")


@given(LENGTHS, st.integers(1, 10), st.integers(0, 2**32))
def test_blocks_are_runs_of_utterances_and_share_none(lengths, size, seed):
    texts = said(lengths)
    if len(texts) < size:
        with pytest.raises(DataError, match=f"at least {size} utterances"):
            blocks(texts, size, np.random.default_rng(seed))
        return
    found = blocks(texts, size, np.random.default_rng(seed))
    assert len(found) == len(texts) // size
    assert " ".join(found) in " ".join(texts)
    assert {text.count(".") for text in found} == {size}


@given(LENGTHS, LENGTHS, st.integers(1, 5), st.integers(0, 2**32))
def test_a_control_has_the_lengths_of_the_blocks_as_far_as_there_are_such(ours, theirs, size, seed):
    size = min(size, len(ours))
    texts, others = said(ours), said(theirs, "b")
    control = matched(texts, others, size, np.random.default_rng(seed))
    wanted = blocks(texts, size, np.random.default_rng(seed))

    def lengths(blocks):
        return [[len(one.split()) for one in text.split(".")[:-1]] for text in blocks]

    pairs = [
        (want, got)
        for ours, theirs in zip(lengths(wanted), lengths(control.texts), strict=True)
        for want, got in zip(ours, theirs, strict=True)
    ]
    nearest = [min(abs(want - length) for length in theirs) for want, _ in pairs]
    assert [abs(want - got) for want, got in pairs] == nearest
    assert control.exact == pytest.approx(np.mean([want == got for want, got in pairs]))
    # None is drawn again before all others of its length have been.
    drawn = [one.strip() + "." for text in control.texts for one in text.split(".")[:-1]]
    uses = {text: drawn.count(text) for text in drawn}
    assert control.uses == pytest.approx(len(drawn) / len(uses))
    for text, n in uses.items():
        same = [other for other in others if len(other.split()) == len(text.split())]
        assert all(uses.get(other, 0) >= n - 1 for other in same)


def test_a_control_needs_utterances():
    with pytest.raises(DataError, match=r"matched\.others: must hold at least one"):
        matched(["a."], [], 1, np.random.default_rng(0))
    with pytest.raises(ParameterError, match=r"blocks\.size"):
        blocks(["a."], 0, np.random.default_rng(0))
