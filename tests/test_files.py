from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.errors import DataError, ParameterError
from mlsdm.streams import embed, load_stream
from mlsdm.streams.files import READERS
from mlsdm.streams.scorers import SCORERS

VECTORS = np.random.default_rng(0).standard_normal((4, 12)).astype(np.float32)
VALUES = np.array([0.1, 0.1 + 0.2, 1.0, 5e-324])
TOXIC = np.array([True, False, False, True])
TEXTS = ['a comma, a "quote"\nand a line', "NA", "", "ünï 🙂"]


def npz(folder, name="data.npz", **arrays):
    np.savez(folder / name, **arrays)
    return folder / name


def csv(folder, content):
    path = folder / "data.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def columns_v():
    return {f"v{i}": VECTORS[:, i] for i in range(VECTORS.shape[1])}


@pytest.mark.parametrize(
    "form", ["csv", "parquet", "npz", "frame", "listed parquet", "listed frame"]
)
def test_every_form_brings_back_the_same_events(tmp_path, form):
    named = {"text": TEXTS, "moral_value": VALUES, "label": TOXIC}
    frame = pd.DataFrame(named | columns_v())
    if "listed" in form:
        frame = pd.DataFrame(named | {"vector": list(VECTORS)}, index=[7, 7, 1, 0])
    # Columns in reverse, so that v10 comes before v2: their numbers order them, not their places.
    frame = frame[frame.columns[::-1]]
    data = frame
    if form == "csv":
        data = tmp_path / "data.CSV"
        frame.to_csv(data, index=False)
    elif "parquet" in form:
        data = tmp_path / "data.parquet"
        frame.to_parquet(data)
    elif form == "npz":
        data = npz(tmp_path, vectors=VECTORS, texts=TEXTS, moral_values=VALUES, labels=TOXIC)
    stream = load_stream(data)
    assert stream.vectors.tobytes() == VECTORS.tobytes()
    assert stream.vectors.dtype == np.float32
    assert stream.moral_values.tobytes() == VALUES.tobytes()
    assert stream.toxic.tolist() == TOXIC.tolist()
    assert stream.texts == TEXTS
    name = "DataFrame" if "frame" in form else data.name
    assert stream.source == f"{name}, n=4, moral values as given"


@given(st.integers(1, 5), st.booleans(), st.data())
def test_names_are_taken_with_and_without_an_s(n, plural, data):
    values = data.draw(st.lists(st.floats(0, 1), min_size=n, max_size=n))
    s = "s" * plural
    stream = load_stream(pd.DataFrame({f"moral_value{s}": values, f"label{s}": [1] * n}))
    assert stream.moral_values.tolist() == values
    assert stream.toxic.all()
    assert stream.vectors is None
    assert stream.texts is None
    scored = load_stream(pd.DataFrame({f"score{s}": values}))
    assert scored.moral_values.tolist() == [1 - value for value in values]
    assert scored.toxic is None
    assert scored.source == f"DataFrame, n={n}, moral values 1 - score"


def test_texts_alone_are_scored_and_embedded(tmp_path):
    path = csv(tmp_path, "\ufefftext,other\nI love it,1\nyou horrible liar,2\n007,3\n")
    stream = load_stream(path, scorer="vader")
    assert stream.texts == ["I love it", "you horrible liar", "007"]
    np.testing.assert_array_equal(stream.moral_values, SCORERS["vader"](stream.texts))
    np.testing.assert_array_equal(stream.vectors, embed(stream.texts))
    assert stream.source == "data.csv, n=3, moral values by vader, vectors by wordllama"


@pytest.mark.parametrize(
    "labels",
    [
        ["toxic", "SAFE", " Safe "],
        ["1", "0", "0"],
        ["True", "false", "FALSE"],
        [1, 0, 0],
        [1.0, 0.0, 0.0],
        [True, False, False],
        np.array([1, 0, 0], dtype=">i2"),
    ],
)
def test_labels_may_be_written_in_several_ways(labels):
    stream = load_stream(pd.DataFrame({"moral_value": [0.5] * 3, "label": labels}))
    assert stream.toxic.tolist() == [True, False, False]


@pytest.mark.parametrize("dtype", ["f2", "<f8", ">f4", "i1", "u2", "i8"])
def test_vectors_of_any_real_dtype_become_float32(tmp_path, dtype):
    vectors = np.arange(6).reshape(3, 2).astype(dtype)
    stream = load_stream(npz(tmp_path, vector=vectors, score=np.zeros(3)))
    assert stream.vectors.dtype == np.dtype("float32")
    assert stream.vectors.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_own_names_are_given_in_columns(tmp_path):
    path = csv(tmp_path, "v1,v2,text\ntoxic,you liar,not this\nsafe,fine,nor this\n")
    stream = load_stream(path, scorer="vader", columns={"labels": "v1", "text": "v2"})
    assert stream.texts == ["you liar", "fine"]
    assert stream.toxic.tolist() == [True, False]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("moral_value\n0.5\n1.5\n", "moral_value: must be a number in [0, 1] (got '1.5' at row 1"),
        ("moral_value\n0.5\nnan\n", "(got 'nan' at row 1, counted from 0)"),
        ("moral_value,a\n0.5,1\n,1\n", "(got '' at row 1"),
        ("moral_value\n-inf\n", "(got '-inf' at row 0"),
        ("moral_value\nTrue\n", "(got 'True' at row 0"),
        ("score\n0.5\nabc\n", "score: must be a number in [0, 1] (got 'abc' at row 1"),
        ("score,label\n0.5,1\n0.5,2\n", "label: must be 0, 1, false, true, safe or toxic (got '2'"),
        ("score,label\n0.5,1\n0.5,\n", "(got '' at row 1"),
        ("score,v0,v1\n0.5,1,2\n0.5,1,\n", "finite in float32 (got '' at row 1, column 1"),
        ("score,v0,v1\n0.5,1,2\n0.5,x,2\n", "finite in float32 (got 'x' at row 1, column 0"),
        ("score,v0,v1\n0.5,1,2\n0.5,1,1e39\n", "(got 1e+39 at row 1, column 1"),
        ("score,v0,v1\n0.5,1,2\n0.5,1,inf\n", "(got inf at row 1, column 1"),
        ("score,v0,v2\n0.5,1,2\n", "has 2 columns v0, v1, … but no v1"),
        ("score,v1\n0.5,1\n", "has 1 columns v0, v1, … but no v0"),
        ('score,vector\n0.5,"[1, 2]"\n', "vector: must be a list of numbers (or columns v0, v1"),
        ("score,label\n0.5,1\n0.5,1,1\n", "cannot be read: Error tokenizing data"),
        ("score,label\n0.5,1,1\n", "some rows have more cells than the header"),
        ("score,score\n1,0\n", "column names must be unique"),
        ("text,texts\na,b\n", "has both 'text' and 'texts'"),
        ("score,moral_value\n1,0\n", "has both moral_value and score"),
        ("comment,label\na,1\n", "needs moral_value, score or text (has comment, label)"),
        ("text;label\na;1\n", "needs moral_value, score or text (has text;label)"),
        ("score\n", "holds no rows"),
        ("", "is empty"),
        ("\n\n", "cannot be read"),
        (b"text\n\xff\xfe\n", "cannot be read: 'utf-8' codec"),
    ],
)
def test_what_a_csv_must_not_hold(tmp_path, content, said):
    with pytest.raises(DataError, match=r"data\.csv: .*" + re.escape(said)):
        load_stream(csv(tmp_path, content))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"scores": np.zeros(2)}, "score has 2 rows, but vector has 3"),
        ({"moral_values": np.float32([0, 1, -0.5])}, "(got -0.5 at row 2"),
        ({"moral_values": np.array([True, True, False])}, "(got True at row 0"),
        ({"scores": np.zeros((3, 1))}, "score: must be 1-d (got shape (3, 1))"),
        ({"scores": np.float64(1)}, "score: must be 1-d (got shape ())"),
        ({"texts": np.array(["a", None, "b"])}, "texts must be an array of numbers or of text"),
        ({"texts": np.array([b"a", b"b", b"c"])}, "must be text (got b'a' at row 0"),
        ({"vectors": np.ones((3, 2), complex)}, "real numbers (got complex128 of shape (3, 2))"),
        ({"vectors": np.ones((3, 2), bool)}, "real numbers (got bool of shape (3, 2))"),
        ({"vectors": np.ones((3, 0))}, "real numbers (got float64 of shape (3, 0))"),
        ({"vectors": np.ones(3)}, "a list of numbers (or columns v0, v1, …) (got 1.0 at row 0"),
        ({"vectors": np.ones((3, 1, 1))}, "vector: must be 1-d (got shape (3, 1, 1))"),
        ({"vectors": np.array([[1, 2], [3, np.nan], [np.inf, 0]])}, "(got nan at row 1, column 1"),
        ({"vectors": np.full((3, 1), 1e39)}, "finite in float32 (got 1e+39 at row 0, column 0"),
    ],
)
def test_what_an_npz_must_not_hold(tmp_path, arrays, said):
    usual = {"vectors": VECTORS[:3]}
    if "vectors" in arrays:
        usual["scores"] = np.zeros(3)
    with pytest.raises(DataError, match=r"data\.npz: .*" + re.escape(said)):
        load_stream(npz(tmp_path, **usual | arrays))


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ([[1, 2], [3]], "vector: must be 2 numbers, as many as in row 0 (got 1 at row 1"),
        ([[1, 2], None], "a list of numbers (or columns v0, v1, …) (got None at row 1"),
        ([[1, 2], [1, [2]]], "a list of numbers (or columns v0, v1, …) (got [1, [2]] at row 1"),
        ([[1, 2], [None, 2]], "(got None at row 1, column 0"),
        ([[1, 2], [1, "a"]], "(got 'a' at row 1, column 1"),
        ([[], []], "real numbers (got float64 of shape (2, 0))"),
    ],
)
def test_lists_must_be_equally_long_and_of_numbers(vectors, said):
    with pytest.raises(DataError, match="^DataFrame: " + ".*" + re.escape(said)):
        load_stream(pd.DataFrame({"vector": vectors, "score": [0.5, 0.5]}))


def test_a_missing_value_of_a_frame_is_refused():
    for field, gap in [
        ("moral_value", pd.array([0.5, None], dtype="Float64")),
        ("score", [1, None]),
    ]:
        with pytest.raises(DataError, match=rf"{field}: must be a number in \[0, 1\].*row 1"):
            load_stream(pd.DataFrame({field: gap}))
    with pytest.raises(DataError, match=r"text: must be text \(got .* at row 1"):
        load_stream(pd.DataFrame({"text": ["a", None]}))
    with pytest.raises(DataError, match="column names must be unique"):
        load_stream(pd.DataFrame([[0.1, 0.2]], columns=["score", "score"]))


def test_what_is_no_file_of_a_known_kind(tmp_path):
    for name, said in [
        ("data.tsv", "must be a file ending in .csv, .npz, .parquet"),
        ("data.csv", "there is no such file"),
    ]:
        with pytest.raises(DataError, match=f"{name}: {said}"):
            load_stream(tmp_path / name)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="there is no such file"):
        load_stream(str(tmp_path / "folder.csv"))
    np.save(tmp_path / "one.npy", VECTORS)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(DataError, match=r"one.npz: cannot be read: it is no \.npz file"):
        load_stream(tmp_path / "one.npz")


def test_names_in_columns_must_exist(tmp_path):
    path = csv(tmp_path, "comment\na\n")
    with pytest.raises(DataError, match="has no column 'coment'; did you mean 'comment'"):
        load_stream(path, columns={"text": "coment"})
    with pytest.raises(ParameterError, match="'txt' is no field; did you mean 'text'"):
        load_stream(path, columns={"txt": "comment"})
    with pytest.raises(ParameterError, match="did you mean 'vader'"):
        load_stream(path, columns={"text": "comment"}, scorer="vadr")


def test_nothing_is_scored_before_all_is_checked(tmp_path, monkeypatch):
    monkeypatch.setitem(SCORERS._held, "vader", lambda texts: pytest.fail("scored"))
    with pytest.raises(DataError, match="label"):
        load_stream(csv(tmp_path, "text,label\na,x\n"), scorer="vader")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def whole(suffix):
    """The bytes of a good file."""
    into = io.BytesIO()
    frame = pd.DataFrame({"moral_value": VALUES, "label": TOXIC} | columns_v())
    if suffix == ".npz":
        np.savez_compressed(into, moral_values=VALUES, vectors=VECTORS)
    elif suffix == ".csv":
        frame.to_csv(into, index=False)
    else:
        frame.to_parquet(into)
    return into.getvalue()


@pytest.mark.parametrize("suffix", READERS)
@given(st.data())
def test_damaged_bytes_give_a_stream_or_a_data_error(folder, suffix, data):
    good = whole(suffix)
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 20)) | st.just(len(good)))
    path = folder / f"data{suffix}"
    path.write_bytes(good[:start] + data.draw(st.binary(max_size=20)) + good[end:])
    try:
        stream = load_stream(path)
    except DataError as error:
        assert path.name in str(error)  # noqa: PT017
    else:
        assert ((stream.moral_values >= 0) & (stream.moral_values <= 1)).all()
        assert stream.vectors is None or np.isfinite(stream.vectors).all()


@pytest.mark.parametrize("column", ["moral_value", "score", None])
def test_a_stream_names_the_scorer_only_where_one_was_asked(column):
    frame = pd.DataFrame({"text": ["good", "bad"], **({column: [0.5, 0.5]} if column else {})})
    stream = load_stream(frame.assign(v0=1.0), scorer="vader")
    assert stream.scorer == (None if column else "vader")
