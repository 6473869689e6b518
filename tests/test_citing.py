from __future__ import annotations

import inspect
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlsdm
from mlsdm import citing
from mlsdm.analysis import significance, statistics
from mlsdm.citing import Citations, Reference, citations, cites, latex, note, references
from mlsdm.errors import ParameterError

PACKAGE = Path(citing.__file__).parent
DOI = re.compile(r"10\.\d{4,9}/\S+")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(citing, "_used", {})


def parsed(text: str) -> dict[str, dict[str, str]]:
    """Read BibTeX as strictly as BibTeX itself: balanced braces, commas, each field once."""
    entries: dict[str, dict[str, str]] = {}
    place = 0
    while match := re.compile(r"\s*@(\w+)\{([^\s,{}]+),").match(text, place):
        fields = {"kind": match[1]}
        place = match.end()
        while field := re.compile(r"\s*(\w+) = \{").match(text, place):
            depth, place = 1, field.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(text[place], 0)
                place += 1
            assert field[1] not in fields
            fields[field[1]] = text[field.end() : place - 1]
            assert text[place] == ","
            place += 1
        end = re.compile(r"\s*\}").match(text, place)
        assert end, text[place : place + 40]
        place = end.end()
        assert match[2] not in entries
        entries[match[2]] = fields
    assert not text[place:].strip(), text[place : place + 40]
    return entries


def test_what_was_called_is_listed_once_in_the_order_of_first_use() -> None:
    assert len(citations()) == 0
    assert str(citations()) == "No source was used yet."
    significance.holm([0.1, 0.2])
    significance.effect_size([1.0, 2.0, 3.0])
    significance.holm([0.1, 0.2])
    assert citations().keys == ("holm1979", "lakens2013")
    assert mlsdm.citations().text.startswith("[1] Sture Holm (1979).")


def test_only_the_method_that_was_taken_is_cited() -> None:
    rng = np.random.default_rng(0)
    statistics.interval([1.0, 2.0, 3.0], rng)  # Student's t, which no paper is named for
    assert citations().keys == ()
    statistics.interval(rng.normal(size=40), rng)
    assert citations().keys == ("efron1987",)


def test_text_bibtex_and_html_are_one_list() -> None:
    note("sobol2001", "agarwal2021", "mlsdm")
    found = citations()
    assert str(found) == repr(found) == f"{found.text}\n\n{found.bibtex}"
    assert list(parsed(found.bibtex)) == list(found.keys)
    assert found.text.count("\n") == 2
    page = found._repr_html_()
    assert page.count("<li>") == 3
    assert '<a href="https://doi.org/10.1016/S0378-4754(00)00270-6">' in page
    assert "Sobol&#x27;" in page
    assert "https://arxiv.org/abs/2108.13264" in found.text
    assert Citations(())._repr_html_() == "<p>No source was used yet.</p>"


def test_a_typing_error_in_a_key_is_found_at_once_and_notes_nothing() -> None:
    with pytest.raises(ParameterError, match=r"'holm1978'; did you mean 'holm1979'\?"):
        cites("lakens2013", "holm1978")
    with pytest.raises(ParameterError, match="has no source 'nobody'"):
        note("lakens2013", "nobody")
    assert citations().keys == ()


def test_a_marked_function_is_still_the_same_function() -> None:
    @cites("holm1979")
    def half(x: float, *, of: float = 2.0) -> float:
        """Return a share."""
        return x / of

    assert half(3.0, of=3.0) == 1.0
    assert (half.__name__, half.__doc__) == ("half", "Return a share.")
    assert str(inspect.signature(half)) == "(x: 'float', *, of: 'float' = 2.0) -> 'float'"


def test_a_marked_class_notes_when_an_object_is_made() -> None:
    @cites("sobol2001")
    class Model:
        def __init__(self, size: int) -> None:
            self.size = size

    assert citations().keys == ()
    assert isinstance(Model, type)
    assert Model(3).size == 3
    assert citations().keys == ("sobol2001",)


def test_what_was_noted_survives_a_reload() -> None:
    code = (
        "import importlib; from mlsdm import citing; from mlsdm.citing import note; "
        "note('holm1979'); importlib.reload(citing); note('sobol2001'); citing.note('mlsdm'); "
        "print(*citing.citations().keys)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["holm1979", "sobol2001", "mlsdm"]


def test_threads_lose_nothing() -> None:
    keys = sorted(references())
    start = threading.Barrier(8)

    def work(offset: int) -> None:
        start.wait()
        for _ in range(200):
            for i in range(len(keys)):
                note(keys[(i + offset) % len(keys)])
                citations()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(citations().keys) == keys


def test_every_source_is_complete_and_valid_bibtex() -> None:
    found = citations(all=True)
    assert found.bibtex.isascii()
    entries = parsed(found.bibtex)
    assert list(entries) == sorted(references())
    needed = {
        "article": {"author", "title", "journal", "year"},
        "book": {"author", "title", "publisher", "year"},
        "inproceedings": {"author", "title", "booktitle", "year"},
        "phdthesis": {"author", "title", "school", "year"},
        "techreport": {"author", "title", "institution", "year"},
        "misc": {"title"},
    }
    for key, fields in entries.items():
        assert needed[fields["kind"]] <= set(fields), key
        assert re.fullmatch(r"[a-z]+(\d{4}[a-z]?)?", key), key


@pytest.mark.parametrize("key", sorted(references()))
def test_the_fields_of_each_source_have_their_forms(key: str) -> None:
    source = references()[key]
    assert not source.doi or DOI.fullmatch(source.doi)
    assert not source.eprint or re.fullmatch(r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}", source.eprint)
    assert not source.url or source.url.startswith("https://")
    assert source.year is None or 1600 < source.year < 2100
    assert source.link or source.kind in ("book", "misc", "inproceedings")
    for author in source.authors:
        assert author == author.strip()
        assert author.count(",") <= 1
        assert " and " not in author
    if source.year is not None and key[-4:].isdigit():
        assert key.endswith(str(source.year))


def test_no_source_is_there_twice() -> None:
    links = [source.link for source in references().values() if source.link]
    assert len(links) == len(set(links))


def test_the_code_names_every_source_by_its_key_its_doi_or_author_and_year() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))

    def named(source: Reference) -> bool:
        first = source.authors[0].split(",")[0] if source.authors else source.key
        return (
            f'"{source.key}"' in code
            or (source.doi != "" and source.doi in code)
            or re.search(rf"{re.escape(first)}\b[^.]*{source.year}", code) is not None
        )

    assert [key for key, source in references().items() if not named(source)] == []


def test_every_doi_and_preprint_that_the_code_names_is_a_source() -> None:
    known = {source.doi.lower() for source in references().values()}
    known |= {source.eprint for source in references().values()}
    missing = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for found in re.findall(r"10\.\d{4,9}/[^\s\"'`]+|(?<=arXiv:)\d{4}\.\d{4,5}", text):
            number = found.lower()
            while number not in known and number[-1] in ").,;:]":
                number = number[:-1]
            if number not in known:
                missing.append(f"{path.name}: {found}")
    assert missing == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Candès", r"Cand{\`e}s"),
        ("Sobol'", "Sobol'"),
        ("Gödel & Erdős", r"G{\"o}del \& Erd{\H o}s"),
        ("Muñoz, François", r"Mu{\~n}oz, Fran{\c c}ois"),
        ("Åström", r"{\r A}str{\"o}m"),
        ("García", r"Garc{\'\i}a"),
        ("Dvořák–Łukasz", r"Dvo{\v r}{\'a}k--{\L}ukasz"),
        ("Nguyễn", r"Nguy{\~{\^e}}n"),
        ("50 % of α_1 {x}", r"50 \% of {$\alpha$}\_1 \textbraceleft{}x\textbraceright{}"),
    ],
)
def test_names_are_escaped_for_latex(text: str, written: str) -> None:
    assert latex(text) == written


def test_pages_organisations_and_titles_are_written_as_bibtex_reads_them() -> None:
    source = Reference(
        "who2020",
        "The MLSDM & I",
        authors=("World Health Organization", "van der Waals, J. D."),
        year=2020,
        journal="Sløjd",
        volume="3",
        number="2",
        pages="1-9",
        doi="10.1000/a_b",
    )
    (fields,) = parsed(source.bibtex).values()
    assert fields == {
        "kind": "article",
        "author": "{World Health Organization} and van der Waals, J. D.",
        "title": r"{The MLSDM \& I}",
        "journal": r"Sl{\o}jd",
        "volume": "3",
        "number": "2",
        "pages": "1--9",
        "year": "2020",
        "doi": "10.1000/a_b",
    }
    assert source.text == (
        "World Health Organization and J. D. van der Waals (2020). The MLSDM & I. Sløjd 3(2), 1–9. "
        "https://doi.org/10.1000/a_b"
    )
    assert Reference("a1", "Why?", kind="misc").text == "Why?"


letters = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1)


@given(letters, letters)
def test_no_name_or_title_breaks_the_braces(name: str, title: str) -> None:
    source = Reference("a2000", title, authors=(name,), year=2000, url="https://example.org")
    assert parsed(source.bibtex)["a2000"]["year"] == "2000"
