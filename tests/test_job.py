from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import make_notebook

from mlsdm.errors import DataError, ParameterError
from mlsdm.record import MIME, records
from mlsdm.sweep.job import DATA_PACKAGES, DRAWN, Job, Source, read_source, titled

CELL = """n: int = 1  # in [1, 100]
mode: str = "fine"
data: str = ""
seed: int | None = None
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    project = tmp_path_factory.mktemp("project")
    return read_source(make_notebook(project / "07-tiny.ipynb", CELL, "print(n)"), project)


def edited(source: Source, edit: Callable[[dict[str, object]], object]) -> Source:
    content = json.loads(source.text)
    edit(content)
    return dataclasses.replace(source, text=json.dumps(content, indent=1))


def packaged(source: Source, **packages: str) -> Source:
    held = {**source.provenance.packages, **packages}
    return dataclasses.replace(
        source, provenance=dataclasses.replace(source.provenance, packages=held)
    )


def code(source: Source, **fields: str) -> Source:
    return dataclasses.replace(source, provenance=dataclasses.replace(source.provenance, **fields))


def key(source: Source, **values: object) -> str:
    return source.job({"seed": 1, **values}).key


def test_a_job_says_what_is_run(source: Source) -> None:
    job = source.job({"n": 3, "seed": 5})
    assert job.parameters == {"n": 3, "mode": "fine", "data": "", "seed": 5}
    assert job.differing == {"n": 3, "seed": 5}
    assert (job.notebook, job.experiment, job.title) == ("07-tiny.ipynb", "07-tiny", "n=3, seed=5")
    assert (job.seed, job.data_sha256, job.point, job.base) == (5, "", {}, source.base)
    assert job == source.job({"seed": 5, "n": 3})
    outcome = job.not_made()
    assert (outcome.run_id, outcome.status, outcome.key) == ("", "KILLED", job.key)


def test_without_what_differs_it_is_called_as_the_notebook(tmp_path: Path) -> None:
    path = make_notebook(tmp_path / "a.ipynb", "n: int = 1")
    job = read_source(path, tmp_path).job({})
    assert (job.title, job.experiment, job.seed) == ("a", "a", None)


@pytest.mark.parametrize(
    ("text", "title"),
    [("x" * 75, f"mode={'x' * 75}"), ("x" * 76, f"mode={'x' * 74}…"), ("x" * 900, None)],
)
def test_a_long_title_is_cut(source: Source, text: str, title: str | None) -> None:
    found = source.job({"mode": text, "seed": None}).title
    assert len(found) <= 80
    assert found.startswith("mode=xxx")
    if title is not None and len(title) == 80:
        assert found == title or found.endswith("…")


def test_other_parameters_have_another_key(source: Source) -> None:
    keys = [key(source, n=n, mode=mode) for n in (1, 2) for mode in ("fine", "1")]
    assert len({*keys, key(source, seed=2)}) == 5


@given(st.permutations([("n", 3), ("mode", "é"), ("seed", 2)]))
def test_the_order_of_the_parameters_does_not_count(
    source: Source, pairs: list[tuple[str, object]]
) -> None:
    assert source.job(dict(pairs)).key == source.job({"seed": 2, "n": 3, "mode": "é"}).key


def test_what_is_given_as_the_notebook_has_it_is_the_same_run(source: Source) -> None:
    assert key(source, n=1, mode="fine") == key(source)


def test_other_code_has_another_key(source: Source) -> None:
    def last(content: dict[str, object]) -> None:
        content["cells"][-1]["source"] = ["print(n + 1)"]  # type: ignore[index]

    def tagged(content: dict[str, object]) -> None:
        content["cells"][-1]["metadata"]["tags"] = ["raises-exception"]  # type: ignore[index]

    others = [
        edited(source, last),
        edited(source, tagged),
        code(source, code_sha256="other"),
        code(source, version="9"),
        *(packaged(source, **{name: "9"}) for name in DATA_PACKAGES),
    ]
    keys = [key(other) for other in others]
    assert len({*keys, key(source)}) == len(keys) + 1
    assert len({*(other.base for other in others), source.base}) == len(keys) + 1


def test_the_packages_with_data_are_found_by_their_names(source: Source) -> None:
    assert all(source.provenance.packages.get(name) for name in DATA_PACKAGES)


def test_outputs_prose_counts_and_other_packages_do_not_count(source: Source) -> None:
    def prose(content: dict[str, object]) -> None:
        content["cells"][0]["source"] = ["Another question?"]  # type: ignore[index]

    def executed(content: dict[str, object]) -> None:
        text = {"output_type": "stream", "name": "stdout", "text": ["1\n"]}
        content["cells"][-1] |= {"outputs": [text], "execution_count": 7}  # type: ignore[index]

    def one_text(content: dict[str, object]) -> None:
        cell = content["cells"][1]  # type: ignore[index]
        cell["source"] = "".join(cell["source"])

    def kernel(content: dict[str, object]) -> None:
        content["metadata"] = {}

    for edit in (prose, executed, one_text, kernel):
        assert key(edited(source, edit)) == key(source)
    assert key(packaged(source, pytest="99")) == key(source)
    assert key(code(source, commit="other", python="9", cpu="other", diff="+")) == key(source)


def test_other_data_have_another_key(source: Source) -> None:
    file = source.project / "own.csv"
    file.write_text("a")
    first = source.job({"data": "own.csv", "seed": 1})
    file.write_text("b")
    assert source.job({"data": "own.csv", "seed": 1}) == first  # read once for all its jobs
    second = dataclasses.replace(source, digests={}).job({"data": "own.csv", "seed": 1})
    assert first.key != second.key
    assert first.data_sha256 != second.data_sha256
    file.write_text("a")
    assert dataclasses.replace(source, digests={}).job(first.parameters) == first


def test_a_seed_that_was_not_given_is_drawn_and_the_key_stays(source: Source) -> None:
    jobs = [source.job({}) for _ in range(9)]
    seeds = {job.seed for job in jobs}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**32 for seed in seeds if seed is not None)
    assert len({job.key for job in jobs}) == 1
    assert key(source) != jobs[0].key
    for job in jobs:
        assert job.parameters["seed"] == job.differing["seed"] == job.seed
        assert json.loads(job.tags[DRAWN]) == {"seed": job.seed}
    assert source.job({"seed": 1}).tags == {}


def test_seeds_in_a_list_are_drawn_too(tmp_path: Path) -> None:
    path = make_notebook(tmp_path / "a.ipynb", "seeds: list[int] | None = None")
    job: Job = read_source(path, tmp_path).job({})
    (seed,) = job.parameters["seeds"]
    assert 0 <= seed < 2**32
    assert json.loads(job.tags[DRAWN]) == {"seeds": [seed]}


@pytest.mark.parametrize(
    ("comment", "seed"), [("in (6, 8)", 7), ("in [0, 0]", 0), ("> 4294967294", 2**32 - 1)]
)
def test_a_seed_is_drawn_within_its_range(tmp_path: Path, comment: str, seed: int) -> None:
    path = make_notebook(tmp_path / "a.ipynb", f"seed: int | None = None  # {comment}")
    assert read_source(path, tmp_path).job({}).parameters["seed"] == seed


@pytest.mark.parametrize("declared", ["int | None = None  # < 0", "float | None = None"])
def test_where_no_seed_can_be_drawn_one_must_be_given(tmp_path: Path, declared: str) -> None:
    path = make_notebook(tmp_path / "a.ipynb", f"seed: {declared}")
    with pytest.raises(ParameterError, match=r"^a.seed: no seed can be drawn; give one$"):
        read_source(path, tmp_path).job({})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"n": 0}, r"^07-tiny.n: must be int, in \[1, 100\] \(got 0"),
        ({"m": 1}, r"^07-tiny.m: unknown parameter"),
        ({"mode": "a\udcff"}, r"^07-tiny.mode: must hold nothing but Unicode text"),
        ({"data": "absent.csv"}, r"^07-tiny.data: there is no file .*absent.csv"),
    ],
)
def test_bad_parameters_are_refused(
    source: Source, values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ParameterError, match=sentence):
        source.job(values)


def test_a_notebook_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.ipynb"):
        read_source(tmp_path / "absent.ipynb", tmp_path)


def test_a_task_carries_nothing_of_what_the_notebook_stores_of_an_earlier_run(
    tmp_path: Path,
) -> None:
    path = make_notebook(tmp_path / "notebooks" / "a.ipynb", "n: int = 1", "n")
    node = nbformat.read(path, as_version=4)
    shown = {MIME: {"kind": "metric", "name": "old", "value": 5.0}}
    node.cells[-1].outputs = [nbformat.v4.new_output("display_data", shown)]
    nbformat.write(node, path)
    source = read_source(path, tmp_path)
    assert records(nbformat.reads(source.text, as_version=4)) == []
    assert "old" in path.read_text(encoding="utf-8")


def test_parts_of_a_mapping_are_shown_by_dotted_names(tmp_path: Path) -> None:
    cell = "engine: dict = {}\nother: dict = {}\n"
    source = read_source(make_notebook(tmp_path / "a.ipynb", cell), tmp_path)
    engine = {"moral": {"step": 0.1}, "dim": 8}
    job = source.job({"engine": engine, "other": {"a b": 1}})
    assert job.parameters == {"engine": engine, "other": {"a b": 1}}
    expected = {"engine.moral.step": 0.1, "engine.dim": 8, "other": {"a b": 1}}
    assert job.differing == expected
    assert job.title.startswith("step=0.1, dim=8, other=")
    both = {"moral": {"step": 0.1}, "rhythm": {"clock": "commit"}}
    assert source.job({"engine": both}).title == "step=0.1, clock=commit"
    assert titled({"a.x": 1, "b.x": 2}, "") == "a.x=1, b.x=2"
    assert source.job({"other": {}}).differing == {}


def test_in_a_sweep_what_varies_is_shown_even_if_it_is_the_notebooks_own(source: Source) -> None:
    job = source.job({"mode": "b"}, varied={"n": 1})
    assert job.differing == {"n": 1, "seed": job.seed}  # which was drawn
    odd = source.job({"n": 2, "seed": 1}, varied={"a(b": 1})
    assert odd.differing == {"n": 2, "seed": 1}  # MLflow could not hold the other


def test_a_job_carries_what_its_run_can_be_found_by(tmp_path: Path) -> None:
    path = make_notebook(tmp_path / "a.ipynb", "engine: dict = {}\n")
    content = json.loads(path.read_text())
    content["cells"][0]["source"] = "**Question.** Its own?"
    path.write_text(json.dumps(content))
    source = read_source(path, tmp_path)
    assert source.job({}).tags == {"question": "Its own?", "preset": "default"}
    assert source.job({}, question="The sweep's?").tags["question"] == "The sweep's?"
