from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import streams
from mlsdm.citing import citations
from mlsdm.errors import DataError, ParameterError
from mlsdm.streams import scorers
from mlsdm.streams.comments import comments
from mlsdm.streams.corpus import corpus
from mlsdm.streams.files import load_stream
from mlsdm.streams.quality import auc
from mlsdm.streams.scorers import SCORERS, scorer, scorer_label, scorer_named
from mlsdm.streams.trained import TRAINED, classifier

ANY_TEXT = st.text(st.characters(), max_size=80)  # with lone surrogates


@pytest.fixture
def own(monkeypatch):
    """Scorers registered in a test are gone after it."""
    monkeypatch.setattr(SCORERS, "_held", dict(SCORERS._held))


def returning(value):
    """Return the registered scorer that returns `value` for whatever texts."""
    scorer("mine")(lambda texts: value)
    return scorer_named("mine")


def test_three_scorers_come_with_the_package():
    assert list(SCORERS) == ["classifier", "characters", "vader"]
    assert {name: SCORERS[name] for name in TRAINED} == TRAINED
    assert streams.SCORERS is SCORERS
    assert streams.scorer is scorer


def test_a_record_names_the_weights_behind_the_scores():
    assert scorer_label("vader") == "vader"
    assert scorer_label("classifier") == f"classifier {classifier().fingerprint}"
    source = load_stream(pd.DataFrame({"text": ["a river"]})).source
    assert f"moral values by classifier {classifier().fingerprint}, " in source


def test_vader_is_above_chance_below_the_classifier_and_cited():
    _, held_out = corpus()
    values = scorer_named("vader")(held_out.texts[:1000].tolist())
    assert 0.6 < auc(held_out.toxic[:1000], values) < 0.9
    assert "hutto2014" in citations().keys
    texts = ["", "I love this, it is great", "this is horrible"]
    np.testing.assert_allclose(SCORERS["vader"](texts), [0.5, 0.93, 0.23], atol=0.02)


@given(st.lists(ANY_TEXT, max_size=5))
@pytest.mark.parametrize("name", ["classifier", "vader"])
def test_a_named_scorer_returns_what_is_registered(name, texts):
    values = scorer_named(name)(texts)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, SCORERS[name](texts))
    alone = [SCORERS[name]([text])[0] for text in texts]
    np.testing.assert_allclose(values, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SCORERS)
def test_what_is_no_sequence_of_texts_is_refused(name):
    with pytest.raises(DataError, match="a sequence of texts"):
        scorer_named(name)("one text")
    with pytest.raises(DataError, match=r"must be text \(got None at row 1"):
        scorer_named(name)(["a", None])


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    with pytest.raises(DataError, match=r"vaderSentiment: is not installed; pip install mlsdm"):
        scorers._analyzer.__wrapped__()


def test_an_unknown_scorer_is_refused_with_the_nearest_name():
    for ask in (scorer_named, scorer_label):
        with pytest.raises(
            ParameterError, match=r"scorer: 'clasifier' is not known; did you mean 'classifier'"
        ):
            ask("clasifier")


@pytest.mark.usefixtures("own")
def test_an_own_scorer_is_used_like_ours():
    @scorer("length")
    def length(texts):
        return [1 / (1 + len(text)) for text in texts]

    assert length(["abc"]) == [0.25]  # the function stays as it is
    stream = load_stream(pd.DataFrame({"text": ["", "abc"]}), scorer="length")
    np.testing.assert_array_equal(stream.moral_values, [1.0, 0.25])
    assert stream.scorer == "length"
    assert "moral values by length, " in stream.source
    drawn = comments(9, np.random.default_rng(0), scorer="length", embed=False)
    np.testing.assert_array_equal(drawn.moral_values, length(drawn.texts))
    assert drawn.source.endswith("scorer=length")


@pytest.mark.usefixtures("own")
def test_the_same_name_again_replaces_but_none_of_ours():
    scorer("mine")(lambda texts: np.zeros(len(texts)))
    scorer("mine")(lambda texts: np.ones(len(texts)))
    assert scorer_named("mine")(["a"]) == [1.0]
    assert scorer_label("mine") == "mine"  # no fingerprint of what was not trained here
    with pytest.raises(ParameterError, match="'classifier' comes with mlsdm, choose another name"):
        scorer("classifier")(lambda texts: np.ones(len(texts)))
    SCORERS.add("ours", TRAINED["classifier"])
    assert scorer_label("ours") == f"ours {classifier().fingerprint}"


@pytest.mark.usefixtures("own")
def test_a_scorer_that_changes_its_texts_changes_a_copy():
    @scorer("emptying")
    def emptying(texts):
        values = [0.5] * len(texts)
        texts.clear()
        return values

    texts = ["a", "b"]
    np.testing.assert_array_equal(scorer_named("emptying")(texts), [0.5, 0.5])
    assert texts == ["a", "b"]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    "value",
    [[0, 1], (0.0, 1.0), np.array([0, 1], np.float32), pd.Series([0.0, 1.0], index=[5, 3])],
    ids=["list", "tuple", "float32", "Series"],
)
def test_numbers_of_any_kind_are_taken(value):
    found = returning(value)(["a", "b"])
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [0.0, 1.0])


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([0.5], r"must return one number per text \(got float64 of shape \(1,\) for 2 texts\)"),
        (0.5, r"\(got float64 of shape \(\) for 2 texts\)"),
        (None, r"\(got object of shape \(\) for 2 texts\)"),
        ([[0.5], [0.5]], r"\(got float64 of shape \(2, 1\) for 2 texts\)"),
        ([[0.5], 0.5], r"must return one number per text"),
        (["0.5", "1"], r"\(got <U3 of shape \(2,\) for 2 texts\)"),
        ([True, False], r"\(got bool of shape \(2,\) for 2 texts\)"),
        ([0.5, None], r"\(got object of shape \(2,\) for 2 texts\)"),
        ([0.5, 1j], r"\(got complex128 of shape \(2,\) for 2 texts\)"),
    ],
)
def test_what_is_not_one_number_per_text_is_refused(value, said):
    with pytest.raises(DataError, match=rf"^scorer 'mine': .*{said}"):
        returning(value)(["a", "b"])


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), float("inf"), -5e-324])
def test_a_number_outside_the_range_is_refused_with_its_row(value):
    score = returning([0.5, value])
    with pytest.raises(DataError) as refused:
        score(["a", "b"])
    assert str(refused.value) == (
        "moral value by scorer 'mine': must be a number in [0, 1] "
        f"(got {value!r} at row 1, counted from 0)"
    )


@pytest.mark.usefixtures("own")
def test_what_is_no_function_or_has_no_name_is_refused():
    with pytest.raises(ParameterError, match=r"scorer 'mine': must be a function of texts \(got 7"):
        scorer("mine")(7)
    assert "mine" not in SCORERS
    SCORERS.add("module", sys)  # as an entry point may
    with pytest.raises(ParameterError, match="scorer 'module': must be a function of texts"):
        scorer_named("module")
    with pytest.raises(ParameterError, match=r'as in @scorer\("name"\)'):
        scorer(lambda texts: texts)
    for name in (7, "", " "):
        with pytest.raises(ParameterError, match="scorer: must have a text as its name"):
            scorer(name)(len)


def test_an_installed_package_adds_a_scorer(tmp_path, monkeypatch):
    (tmp_path / "fair.py").write_text("def score(texts):\n    return [0.25 for _ in texts]\n")
    (tmp_path / "fair-1.0.dist-info").mkdir()
    points = tmp_path / "fair-1.0.dist-info" / "entry_points.txt"
    points.write_text("[mlsdm.scorers]\nfair = fair:score\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(SCORERS, "_held", dict(SCORERS._held))
    assert list(SCORERS)[-1] == "fair"
    np.testing.assert_array_equal(scorer_named("fair")(["a", "b"]), [0.25, 0.25])
    assert scorer_label("fair") == "fair"
    with pytest.raises(ParameterError, match="did you mean 'fair'"):
        scorer_named("fairr")
