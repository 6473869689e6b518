"""The executed notebooks as pages that one can browse, and an index of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mlsdm.errors import RunError
from mlsdm.provenance import SOURCE
from mlsdm.report.audit import day
from mlsdm.report.rendering import render
from mlsdm.sweep.recorder import KEY

if TYPE_CHECKING:
    import nbformat

    from mlsdm.tracking import Found, Store

__all__ = ["gallery"]

# Inputs are folded: the page is to be read.
TEMPLATE = """{% extends 'basic/index.html.j2' %}
{% block input_group %}<details class="code"><summary>Code</summary>{{ super() }}</details>
{% endblock %}"""
STYLE = "friendly"  # of Pygments


@dataclass(frozen=True)
class _Entry:
    """A notebook in the index; `about`, `picture` and `body` are HTML."""

    file: str
    title: str
    about: str
    picture: str
    body: str
    css: str
    run: Found
    day: str


def gallery(store: Store) -> dict[str, str]:
    """Return the files of the gallery: the newest finished run of every notebook, and an index.

    Raises
    ------
    RunError
        When the store holds no notebook that was run to its end, or refuses.
    """
    found = sorted(_newest(store).values(), key=lambda run: run.tags[SOURCE])
    if not found:
        raise RunError(
            f"report: {store.address} holds no finished run of a notebook yet; "
            "make one with `mlsdm run`"
        )
    slugs: list[str] = []
    for run in found:
        slugs.append(_slug(run.tags[SOURCE], slugs))
    entries = [_entry(store, run, slug) for run, slug in zip(found, slugs, strict=True)]
    pages = {entry.file: render("notebook.html", entry=entry) for entry in entries}
    return {**pages, "index.html": render("gallery.html", entries=entries)}


def _newest(store: Store) -> dict[str, Found]:
    """Return the newest finished run of each notebook, in a few requests an experiment."""
    newest: dict[str, Found] = {}
    for experiment in store.experiments():
        for run in _each(store, experiment):
            name = run.tags[SOURCE]
            if name not in newest or newest[name].started < run.started:
                newest[name] = run
    return newest


def _each(store: Store, experiment: str) -> Iterator[Found]:
    """Yield the newest finished run of each notebook in an experiment: as a rule there is one."""
    seen: list[str] = []
    # The key marks those that hold an executed notebook; the run of a sweep as a whole has none.
    while run := next(store.finished({KEY: None, SOURCE: seen}, experiment), None):
        yield run
        seen.append(run.tags[SOURCE])


def _slug(source: str, taken: Collection[str]) -> str:
    """Return a name for the page of a notebook that neither another page nor the index has."""
    stem = str(PurePosixPath(source).with_suffix("")).removeprefix("notebooks/").replace("/", "-")
    # Some file systems do not tell upper from lower case.
    used = {"index", *map(str.casefold, taken)}
    free = (f"{stem}-{number}" for number in count(2))
    return next(slug for slug in chain([stem], free) if slug.casefold() not in used)


def _entry(store: Store, run: Found, slug: str) -> _Entry:
    import nbformat
    from nbconvert.filters import markdown2html

    name = PurePosixPath(run.tags[SOURCE])
    text = store.read(run.id, name.name).decode()
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    title, about = _introduction(notebook)
    body, css = _body(notebook)
    png = next(_pictures(notebook), None)
    return _Entry(
        file=f"{slug}.html",
        title=title or name.stem,
        about=markdown2html(about),
        picture="".join(png["data"]["image/png"].split()) if png else "",
        body=body,
        css=css,
        run=run,
        day=day(run),
    )


def _introduction(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """Return the first heading, and the rest of the Markdown cell that it begins."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            head = re.search(r"^#+[ \t]+(.+)$", cell["source"], re.MULTILINE)
            if head is None:
                return "", str(cell["source"])
            return head[1].strip(), cell["source"].replace(head[0], "", 1).strip()
    return "", ""


def _pictures(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    """Yield the outputs that are a PNG."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                yield output


def _body(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """Return the notebook as HTML without a head, and the style of its code."""
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    settings: Any = Config({"CSSHTMLHeaderPreprocessor": {"style": STYLE}})
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        config=settings,
        raw_template=TEMPLATE,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    for output in _pictures(notebook):  # for those who cannot see it
        said = output["data"].get("text/plain", "figure")
        output["metadata"].setdefault("image/png", {}).setdefault("alt", said)
    body, resources = exporter.from_notebook_node(notebook)
    return body, "\n".join(resources["inlining"]["css"])
