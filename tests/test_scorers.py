from __future__ import annotations

import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.errors import DataError, ParameterError
from mlsdm.streams import scorers
from mlsdm.streams.corpus import Comments, corpus, read_corpus
from mlsdm.streams.files import load_stream
from mlsdm.streams.quality import auc
from mlsdm.streams.scorers import SCORERS, classifier, scorer_label, scorer_named

ANY_TEXT = st.text(st.characters(), max_size=80)  # with lone surrogates
WORDS = ["garden", "train", "music", "river", "lamp", "paper"]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A made-up corpus in which the word "blarg" offends, and a cache of its own."""
    monkeypatch.setenv("MLSDM_CACHE_DIR", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    rows = []
    for number in range(300):
        words = [*rng.choice(WORDS, 4), f"number{number}"]
        rows.append((number % 3 == 0, " ".join([*words, "blarg"] if number % 3 == 0 else words)))
    path = tmp_path / "clean_data.csv"
    frame = pd.DataFrame(rows, columns=["is_offensive", "text"])
    frame.astype({"is_offensive": int}).to_csv(path, index=False)
    return path


def load(path):
    """Return the classifier of a file, and whether it had to be trained."""
    trained = []

    def read():
        trained.append(path)
        return read_corpus(path, min_rows=0)

    return scorers._load_or_train(path, read), bool(trained)


def parts(model):
    report = vars(model.report) | {"calibration": model.report.calibration.to_dict()}
    return model.weights.tobytes(), model.intercept, report


def cache_of(path):
    (found,) = (path.parent / "cache").iterdir()
    return found


def test_it_learns_the_word_that_offends(data):
    model, _ = load(data)
    good, bad = model.moral_values(["river music", "river blarg"])
    assert good > 0.5 > bad
    assert model.report.auc > 0.99
    assert (model.report.n_train, model.report.n_held_out) == tuple(
        len(part) for part in read_corpus(data, min_rows=0)
    )


def test_training_twice_and_loading_give_the_same(data):
    first, trained = load(data)
    assert trained
    loaded, trained = load(data)
    assert not trained
    cache_of(data).unlink()
    again, trained = load(data)
    assert trained
    assert parts(first) == parts(loaded) == parts(again)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "other", "pickle"])
def test_a_damaged_cache_is_trained_again(data, damage, caplog):
    first, _ = load(data)
    cache = cache_of(data)
    whole = cache.read_bytes()
    if damage == "other":
        np.savez(cache, weights=np.zeros(3))
    elif damage == "pickle":
        np.savez(cache, weights=np.array([{}], dtype=object))
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        cuts = {"empty": b"", "cut": whole[:middle], "flipped": flipped, "text": b"a text"}
        cache.write_bytes(cuts[damage])
    again, trained = load(data)
    assert trained
    assert "is damaged" in caplog.text
    assert parts(again) == parts(first)
    assert not load(data)[1]
    assert cache_of(data) == cache


def test_weights_and_values_are_rounded_so_that_machines_agree(data):
    model, _ = load(data)
    values = model.moral_values([*WORDS, "river blarg"])
    for numbers in (model.weights, np.array(model.intercept), values):
        np.testing.assert_array_equal(numbers, np.round(numbers, 6))


def test_training_hardly_depends_on_the_last_bits_of_its_input(monkeypatch):
    """CPUs differ in the last bits; a solver that stops early carries that far."""
    parts = [Comments(part.texts[:5000], part.toxic[:5000]) for part in corpus()]
    weights = scorers._train(*parts)["weights"]
    plain = scorers._vectorizer()

    class Shaken:
        def transform(self, texts):
            rows = plain.transform(texts)
            rows.data *= 1 + np.random.default_rng(0).uniform(-1e-15, 1e-15, rows.nnz)
            return rows

    monkeypatch.setattr(scorers, "_vectorizer", Shaken)
    np.testing.assert_allclose(scorers._train(*parts)["weights"], weights, rtol=0, atol=1.01e-6)


def test_the_fingerprint_is_that_of_the_weights(data):
    first, _ = load(data)
    assert load(data)[0].fingerprint == first.fingerprint
    assert len(first.fingerprint) == 8
    moved = first.weights.copy()
    moved[7] += 1e-6
    assert dataclasses.replace(first, weights=moved).fingerprint != first.fingerprint
    other = dataclasses.replace(first, intercept=first.intercept + 1e-6)
    assert other.fingerprint != first.fingerprint


def test_a_record_names_the_weights_behind_the_scores():
    assert scorer_label("vader") == "vader"
    assert scorer_label("classifier") == f"classifier {classifier().fingerprint}"
    source = load_stream(pd.DataFrame({"text": ["a river"]})).source
    assert f"moral values by classifier {classifier().fingerprint}, " in source


def test_other_data_have_another_cache(data):
    load(data)
    data.write_text(data.read_text() + "0,one more text\n")
    assert load(data)[1]
    assert len(list((data.parent / "cache").iterdir())) == 2


def test_those_who_train_at_once_do_not_harm_each_other(data):
    with ThreadPoolExecutor(4) as pool:
        models = [model for model, _ in pool.map(load, [data] * 8)]
    assert all(parts(model) == parts(models[0]) for model in models)
    assert cache_of(data).suffix == ".npz"
    assert not load(data)[1]


def test_a_cache_that_cannot_be_written_only_costs_time(data, monkeypatch, caplog):
    monkeypatch.setenv("MLSDM_CACHE_DIR", str(data / "below a file"))
    assert load(data)[1]
    assert "cannot be written" in caplog.text


def test_the_real_classifier_tells_held_out_comments_apart():
    report = classifier().report
    assert report.auc_low < report.auc < report.auc_high
    assert report.auc_low > 0.975
    assert report.auc_high - report.auc_low < 0.01
    assert report.brier < 0.045
    assert report.calibration_error < 0.03
    assert report.n_held_out == 30_000

    _, held_out = corpus()
    values = SCORERS["classifier"](held_out.texts[:2000].tolist())
    assert auc(held_out.toxic[:2000], values) == pytest.approx(report.auc, abs=0.015)


def test_vader_is_above_chance_and_below_the_classifier():
    _, held_out = corpus()
    values = SCORERS["vader"](held_out.texts[:1000].tolist())
    assert 0.6 < auc(held_out.toxic[:1000], values) < 0.9
    assert SCORERS["vader"](["", "I love this, it is great", "this is horrible"]) == pytest.approx(
        [0.5, 0.93, 0.23], abs=0.02
    )


@given(st.lists(ANY_TEXT, max_size=5))
@pytest.mark.parametrize("name", SCORERS)
def test_every_text_has_a_moral_value_of_its_own(name, texts):
    values = SCORERS[name](texts)
    assert values.dtype == np.float64
    assert values.shape == (len(texts),)
    assert ((values >= 0) & (values <= 1)).all()
    alone = [SCORERS[name]([text])[0] for text in texts]
    np.testing.assert_allclose(values, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SCORERS)
def test_what_is_no_sequence_of_texts_is_refused(name):
    with pytest.raises(DataError, match="a sequence of texts"):
        SCORERS[name]("one text")
    with pytest.raises(DataError, match=r"must be text \(got None at row 1"):
        SCORERS[name](["a", None])


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    with pytest.raises(DataError, match=r"vaderSentiment: is not installed; pip install mlsdm"):
        scorers._analyzer.__wrapped__()
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(DataError, match=r"scikit-learn: is not installed; pip install mlsdm"):
        scorers._vectorizer.__wrapped__()


def test_an_unknown_scorer_is_refused_with_the_nearest_name():
    assert scorer_named("vader") is SCORERS["vader"]
    with pytest.raises(
        ParameterError, match=r"'clasifier' is not known; did you mean 'classifier'"
    ):
        scorer_named("clasifier")
