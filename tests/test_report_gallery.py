from __future__ import annotations

import re
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_output
from reporting import PNG, add_run, executed
from test_report_page import Reader

from mlsdm.errors import RunError
from mlsdm.report.gallery import gallery
from mlsdm.tracking import Store

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def loads_nothing(text: str) -> bool:
    read = Reader(text)
    return (
        not {"script", "link", "iframe", "object", "embed"} & set(read.tags)
        and all(load.startswith(("#", "data:")) for load in read.loads)
        and "@import" not in text
        and not re.search(r"url\(['\"]?http", text)
    )


def test_each_notebook_is_a_page_of_its_newest_finished_run(store: Store) -> None:
    add_run(store, source="notebooks/01-a.ipynb", experiment="01-a", text=executed("Old"))
    newest = add_run(store, source="notebooks/01-a.ipynb", experiment="sweep", text=executed("New"))
    add_run(
        store, source="notebooks/01-a.ipynb", experiment="01-a", text=executed(), status="FAILED"
    )
    add_run(store, source="mine/what's 1 é.ipynb", experiment="sweep", text=executed("Mine & <b>"))
    add_run(store, source="index.ipynb", experiment="index", text=executed("Index"))
    # The run of a sweep as a whole is tagged like its notebook, and holds none.
    whole = store.start("sweep", "w", parameters={}, tags={"mlflow.source.name": "n.ipynb"})
    whole.finish("FINISHED")
    files = gallery(store)
    names = ["index-2.html", "mine-what's 1 é.html", "01-a.html", "index.html"]
    assert list(files) == names
    assert "<h1>New</h1>" in re.sub(r"<h1[^>]*>", "<h1>", files["01-a.html"])
    assert newest in files["01-a.html"]
    index = files["index.html"]
    assert newest in index
    assert "mine-what%27s%201%20%C3%A9.html" in Reader(index).links
    assert "Mine &amp; &lt;b&gt;" in index
    assert all(map(loads_nothing, files.values()))


def test_each_notebook_has_a_page_of_its_own(store: Store) -> None:
    sources = ["A-b.ipynb", "a-b-2.ipynb", "a-b.ipynb", "a/b.ipynb", "notebooks/a/b.ipynb"]
    for source in sources:
        add_run(store, source=source, experiment="one", text=executed(f"This is {source}"))
    files = gallery(store)
    assert len({name.casefold() for name in files}) == len(files) == len(sources) + 1
    shown = [text for name, text in files.items() if name != "index.html"]
    assert all(source in text for source, text in zip(sources, shown, strict=True))
    assert set(Reader(files["index.html"]).links) >= set(files) - {"index.html"}


def test_the_index_shows_question_answer_and_the_first_figure(store: Store) -> None:
    add_run(store, source="notebooks/01-a.ipynb", text=executed("A title"))
    files = gallery(store)
    index = files["index.html"]
    assert f"data:image/png;base64,{PNG}" in index
    assert "<strong>Question.</strong> What <em>is</em> it?" in index
    assert "It is 3 &lt; 4." in index
    assert index.count("A title</a></h2>") == 1
    page = files["01-a.html"]
    assert '<details class="code"><summary>Code</summary>' in page
    assert f"data:image/png;base64,{PNG}" in page
    assert ".highlight" in page


def test_a_notebook_without_words_or_figures_has_its_name(store: Store) -> None:
    import nbformat
    from nbformat.v4 import new_notebook

    text = str(nbformat.writes(new_notebook(cells=[new_code_cell("1")])))
    add_run(store, source="notebooks/plain.ipynb", text=text)
    index = gallery(store)["index.html"]
    assert "plain</a></h2>" in index
    assert "no figure" in index


def test_a_notebook_cannot_reach_the_network(store: Store) -> None:
    script = '<script src="https://example.org/x.js"></script>'
    cell = new_code_cell("x", outputs=[new_output("display_data", {"text/html": script})])
    add_run(store, source="notebooks/01-a.ipynb", text=executed("A", cell))
    text = gallery(store)["01-a.html"]
    policy = text.index("""http-equiv="Content-Security-Policy" content="default-src 'none';""")
    assert policy < text.index(script), "the browser runs no script, and loads nothing"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_our_own_notebooks_read_well(store: Store, path: Path) -> None:
    add_run(store, source=f"notebooks/{path.name}", text=path.read_text(encoding="utf-8"))
    files = gallery(store)
    assert loads_nothing(files[f"{path.stem}.html"])
    assert loads_nothing(files["index.html"])
    assert "<img" in files["index.html"]
    assert "Question." in files["index.html"]


def test_an_empty_store_says_how_to_fill_it(store: Store) -> None:
    with pytest.raises(RunError, match=r"holds no finished run of a notebook yet; .*`mlsdm run`"):
        gallery(store)
