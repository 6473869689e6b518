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
from mlsdm.streams import trained
from mlsdm.streams.corpus import Comments, corpus, read_corpus
from mlsdm.streams.quality import auc
from mlsdm.streams.trained import TRAINED, TrainedScorer, classifier

ANY_TEXT = st.text(st.characters(), max_size=80)  # with lone surrogates
WORDS = ["garden", "train", "music", "river", "lamp", "paper"]
EACH = pytest.mark.parametrize("scorer", TRAINED.values(), ids=TRAINED)


def made_up(folder):
    """Return the file of a made-up corpus in which the word "blarg" offends."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(300):
        words = [*rng.choice(WORDS, 4), f"number{number}"]
        rows.append((number % 3 == 0, " ".join([*words, "blarg"] if number % 3 == 0 else words)))
    path = folder / "clean_data.csv"
    frame = pd.DataFrame(rows, columns=["is_offensive", "text"])
    frame.astype({"is_offensive": int}).to_csv(path, index=False)
    return path


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A made-up corpus, and a cache of its own."""
    monkeypatch.setenv("MLSDM_CACHE_DIR", str(tmp_path / "cache"))
    return made_up(tmp_path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """What each scorer learns from the made-up corpus."""
    folder = tmp_path_factory.mktemp("made up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLSDM_CACHE_DIR", str(folder / "cache"))
        return {scorer: load(scorer, made_up(folder))[0] for scorer in TRAINED.values()}


def load(scorer, path):
    """Return the classifier of a file, and whether it had to be trained."""
    read = []

    def reading():
        read.append(path)
        return read_corpus(path, min_rows=0)

    return trained._load_or_train(scorer, path, reading), bool(read)


def parts(model):
    report = vars(model.report) | {"calibration": model.report.calibration.to_dict()}
    return model.weights.tobytes(), model.intercept, report


def cache_of(path):
    (found,) = (path.parent / "cache").iterdir()
    return found


@EACH
def test_it_learns_the_word_that_offends(scorer, data):
    model, _ = load(scorer, data)
    good, bad = model.moral_values(["river music", "river blarg"])
    assert good > 0.5 > bad
    assert model.report.auc > 0.99
    assert (model.report.n_train, model.report.n_held_out) == tuple(
        len(part) for part in read_corpus(data, min_rows=0)
    )


def test_only_characters_know_a_word_in_another_form(models):
    words, characters = (models[TRAINED[name]] for name in ("classifier", "characters"))
    texts = ["river xblargs", "river garden"]
    assert np.diff(characters.moral_values(texts)) > 0.2
    assert abs(np.diff(words.moral_values(texts))) < 0.2


def test_characters_read_the_beginning_of_a_text_and_words_the_whole(models):
    long = "river " * 200
    for scorer, model in models.items():
        one, other = model.moral_values([long, long + "blarg"])
        assert (one == other) == (scorer.max_chars == 1000), scorer


@EACH
def test_training_twice_and_loading_give_the_same(scorer, data):
    first, was_trained = load(scorer, data)
    assert was_trained
    loaded, was_trained = load(scorer, data)
    assert not was_trained
    assert loaded.scorer is scorer
    cache_of(data).unlink()
    again, was_trained = load(scorer, data)
    assert was_trained
    assert parts(first) == parts(loaded) == parts(again)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "other", "pickle"])
@EACH
def test_a_damaged_cache_is_trained_again(scorer, data, damage, caplog):
    first, _ = load(scorer, data)
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
    again, was_trained = load(scorer, data)
    assert was_trained
    assert "is damaged" in caplog.text
    assert parts(again) == parts(first)
    assert not load(scorer, data)[1]
    assert cache_of(data) == cache


def test_weights_and_values_are_rounded_so_that_machines_agree(models):
    for model in models.values():
        values = model.moral_values([*WORDS, "river blarg"])
        for numbers in (model.weights, np.array(model.intercept), values):
            np.testing.assert_array_equal(numbers, np.round(numbers, 6))


@EACH
def test_training_hardly_depends_on_the_last_bits_of_its_input(scorer, monkeypatch):
    """CPUs differ in the last bits; a solver that stops early carries that far."""
    some = [Comments(part.texts[:3000], part.toxic[:3000]) for part in corpus()]
    plain = trained._train(scorer, *some)
    assert auc(plain["toxic"], plain["moral_values"]) > 0.93
    features = TrainedScorer.features

    def shaken(self, texts):
        rows = features(self, texts)
        rows.data *= 1 + np.random.default_rng(0).uniform(-1e-15, 1e-15, rows.nnz)
        return rows

    monkeypatch.setattr(TrainedScorer, "features", shaken)
    again = trained._train(scorer, *some)
    np.testing.assert_allclose(again["weights"], plain["weights"], rtol=0, atol=1.01e-6)


def test_the_fingerprint_is_that_of_the_weights(data):
    scorer = TRAINED["classifier"]
    first, _ = load(scorer, data)
    assert load(scorer, data)[0].fingerprint == first.fingerprint
    assert len(first.fingerprint) == 8
    moved = first.weights.copy()
    moved[7] += 1e-6
    assert dataclasses.replace(first, weights=moved).fingerprint != first.fingerprint
    other = dataclasses.replace(first, intercept=first.intercept + 1e-6)
    assert other.fingerprint != first.fingerprint


def test_other_data_and_other_settings_have_another_cache(data):
    scorer = TRAINED["characters"]
    for other in (scorer, dataclasses.replace(scorer, max_chars=999), TRAINED["classifier"]):
        assert load(other, data)[1]
    data.write_text(data.read_text() + "0,one more text\n")
    assert load(scorer, data)[1]
    names = [path.name.rpartition("-")[0] for path in (data.parent / "cache").iterdir()]
    assert sorted(names) == ["characters"] * 3 + ["classifier"]


def test_those_who_train_at_once_do_not_harm_each_other(data):
    scorer = TRAINED["classifier"]
    with ThreadPoolExecutor(4) as pool:
        models = [model for model, _ in pool.map(load, [scorer] * 8, [data] * 8)]
    assert all(parts(model) == parts(models[0]) for model in models)
    assert cache_of(data).suffix == ".npz"
    assert not load(scorer, data)[1]


def test_a_cache_that_cannot_be_written_only_costs_time(data, monkeypatch, caplog):
    monkeypatch.setenv("MLSDM_CACHE_DIR", str(data / "below a file"))
    assert load(TRAINED["classifier"], data)[1]
    assert "cannot be written" in caplog.text


@given(st.lists(ANY_TEXT, max_size=5))
def test_every_text_has_a_moral_value_of_its_own(models, texts):
    for model in models.values():
        values = model.moral_values(texts)
        assert values.dtype == np.float64
        assert values.shape == (len(texts),)
        assert ((values >= 0) & (values <= 1)).all()
        alone = [model.moral_values([text])[0] for text in texts]
        np.testing.assert_allclose(values, alone, rtol=0, atol=1e-12)


def test_many_texts_are_scored_in_batches(models, monkeypatch):
    texts = [*WORDS, "river blarg"]
    whole = {scorer: model.moral_values(texts) for scorer, model in models.items()}
    monkeypatch.setattr(trained, "BATCH", 3)
    for scorer, model in models.items():
        np.testing.assert_array_equal(model.moral_values(texts), whole[scorer])


def test_what_is_no_sequence_of_texts_is_refused(models):
    for model in models.values():
        with pytest.raises(DataError, match="a sequence of texts"):
            model.moral_values("one text")
        with pytest.raises(DataError, match=r"must be text \(got None at row 1"):
            model.moral_values(["a", None])


@pytest.mark.parametrize(
    ("name", "least"),
    [("classifier", 0.975), pytest.param("characters", 0.979, marks=pytest.mark.long)],
)
def test_the_real_classifier_tells_held_out_comments_apart(name, least):
    model = classifier(name)
    assert model is TRAINED[name].classifier
    assert model.report.auc_low < model.report.auc < model.report.auc_high
    assert model.report.auc_low > least
    assert model.report.auc_high - model.report.auc_low < 0.01
    assert model.report.brier < 0.045
    assert model.report.calibration_error < 0.03
    assert model.report.n_held_out == 30_000

    _, held_out = corpus()
    values = TRAINED[name](held_out.texts[:2000].tolist())
    assert auc(held_out.toxic[:2000], values) == pytest.approx(model.report.auc, abs=0.015)


def test_an_unknown_classifier_is_refused_with_the_nearest_name():
    with pytest.raises(
        ParameterError, match=r"classifier.name: 'character' is not known; did you .*'characters'"
    ):
        classifier("character")


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(DataError, match=r"scikit-learn: is not installed; pip install mlsdm"):
        TRAINED["characters"].features(["a text"])
