"""The papers behind what was used: noted where it is used, listed as text and BibTeX."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from html import escape
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast

from mlsdm.errors import ParameterError, nearest

__all__ = ["Citations", "Reference", "citations", "cites", "note", "references"]

F = TypeVar("F", bound=Callable[..., Any])

# The keys used in this process, in order of first use; a dict's setdefault is atomic, and a reload
# of this module finds what was noted before.
_used: dict[str, None] = globals().get("_used", {})
_own: dict[str, Reference] = globals().get("_own", {})  # sources that users brought

_ACCENTS = dict(
    zip(
        "\u0300\u0301\u0302\u0303\u0308\u0304\u0307\u0327\u0328\u030c\u030b\u0306\u030a\u0323",
        "`'^~\"=.ckvHurd",
        strict=True,
    )
)
_MARKS = {
    **{mark: f"\\{mark}" for mark in "&%$#_"},
    **{"~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\\": "\\textbackslash{}"},
    **{"{": "\\textbraceleft{}", "}": "\\textbraceright{}"},
    **{"–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "\u00a0": "~", "−": "--"},
    **{"ß": "{\\ss}", "ø": "{\\o}", "Ø": "{\\O}", "ł": "{\\l}", "Ł": "{\\L}", "ı": "{\\i}"},
    **{"æ": "{\\ae}", "Æ": "{\\AE}", "œ": "{\\oe}", "Œ": "{\\OE}"},
}


@dataclass(frozen=True)
class Reference:
    """One source; text and BibTeX are made from the same fields.

    Parameters
    ----------
    kind
        The kind of the BibTeX entry.
    authors
        Each as ``"Family, Given"``; a name without a comma is that of an organisation.
    pages
        As ``"1697-1706"``, or the number of an article.
    eprint
        Number on arXiv.
    """

    key: str
    title: str
    kind: Literal["article", "book", "inproceedings", "misc", "phdthesis", "techreport"] = "article"
    authors: tuple[str, ...] = ()
    year: int | None = None
    journal: str = ""
    booktitle: str = ""
    school: str = ""
    institution: str = ""
    publisher: str = ""
    volume: str = ""
    number: str = ""
    pages: str = ""
    note: str = ""
    doi: str = ""
    eprint: str = ""
    url: str = ""

    @property
    def link(self) -> str:
        """Where the source is found; empty where nothing is known."""
        if self.doi:
            return f"https://doi.org/{self.doi}"
        return f"https://arxiv.org/abs/{self.eprint}" if self.eprint else self.url

    @property
    def text(self) -> str:
        """The source as one line of plain text."""
        return " ".join([*self._sentences, self.link]).rstrip()

    @property
    def html(self) -> str:
        """The source as HTML, with a link."""
        link = escape(self.link)
        said = escape(" ".join(self._sentences))
        return f'{said} <a href="{link}">{link}</a>' if link else said

    @property
    def _sentences(self) -> list[str]:
        names = [" ".join(reversed(name.split(", ", 1))) for name in self.authors]
        who = " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
        when = f" ({self.year})" if self.year else ""
        issue = self.volume + (f"({self.number})" if self.number else "")
        within = " ".join(filter(None, [self.journal or self.booktitle, issue]))
        place = [within, self.pages.replace("-", "–"), self.school]
        where = ", ".join(filter(None, [*place, self.institution, self.publisher, self.note]))
        parts = [who + when, self.title] if who else [self.title + when]
        return [part if part[-1] in ".?!" else f"{part}." for part in [*parts, where] if part]

    @property
    def bibtex(self) -> str:
        """The source as a BibTeX entry, in ASCII."""
        authors = [latex(name) if "," in name else f"{{{latex(name)}}}" for name in self.authors]
        fields = {
            "author": " and ".join(authors),
            "title": f"{{{latex(self.title)}}}",  # braces keep its capitals
            **{name: latex(getattr(self, name)) for name in ("journal", "booktitle", "school")},
            **{name: latex(getattr(self, name)) for name in ("institution", "publisher")},
            **{"volume": self.volume, "number": self.number},
            "pages": self.pages.replace("-", "--"),
            "year": str(self.year or ""),
            "note": latex(self.note),
            "doi": self.doi,
            "eprint": self.eprint,
            "archiveprefix": self.eprint and "arXiv",
            "url": self.url,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def latex(text: str) -> str:
    """Write text for LaTeX: accents as commands, signs that mean something there escaped."""
    done: list[str] = []
    for char in text:
        base, *accents = list(unicodedata.normalize("NFD", char))
        if char in _MARKS:
            done.append(_MARKS[char])
        elif accents and all(accent in _ACCENTS for accent in accents):
            for accent in accents:
                command = _ACCENTS[accent]
                base = {"i": "\\i", "j": "\\j"}.get(base, base) if command not in "ckd" else base
                space = " " if command.isalpha() and base.isalpha() else ""
                base = f"{{\\{command}{space}{base}}}"
            done.append(base)
        elif unicodedata.name(char, "").startswith("GREEK SMALL LETTER "):
            done.append(f"{{$\\{unicodedata.name(char).split()[-1].lower()}$}}")
        else:
            done.append(char)
    return "".join(done)


@cache
def references() -> Mapping[str, Reference]:
    """Return every source that mlsdm knows, by key."""
    content = files("mlsdm").joinpath("references.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(content)
    return MappingProxyType(
        {
            key: Reference(key, **fields | {"authors": tuple(fields.get("authors", ()))})
            for key, fields in tables.items()
        }
    )


def _known(keys: tuple[str, ...]) -> None:
    for key in keys:
        if key not in references():
            raise ParameterError(
                f"references.toml: has no source {key!r}{nearest(str(key), references())}"
            )


def note(*sources: str | Reference, used: bool = True) -> None:
    """Note that sources were used.

    Parameters
    ----------
    *sources
        Keys of ours, or a `Reference` each for a source of your own.
    used
        False only checks the keys.

    Raises
    ------
    ParameterError
        When a key is unknown; then none is noted.
    """
    own = {source.key: source for source in sources if isinstance(source, Reference)}
    _known(tuple(source for source in sources if isinstance(source, str)))
    if used:
        _own.update(own)
        for source in sources:
            _used.setdefault(source if isinstance(source, str) else source.key)


def cites(*keys: str) -> Callable[[F], F]:
    """Mark a function, or a class, whose use is to be noted: when it is called, or made.

    It belongs above other decorators.

    Raises
    ------
    ParameterError
        When a key is unknown.
    """
    _known(keys)

    def marked(used: F) -> F:
        call = used.__init__ if isinstance(used, type) else used  # type: ignore[misc]

        @wraps(call)
        def noting(*args: Any, **kwargs: Any) -> Any:
            note(*keys)
            return call(*args, **kwargs)

        if isinstance(used, type):
            used.__init__ = noting  # type: ignore[misc]
            return used
        return cast(F, noting)

    return marked


@dataclass(frozen=True, repr=False)
class Citations:
    """Sources as text, BibTeX and HTML; `print` shows the text, then the BibTeX.

    Parameters
    ----------
    sources
        In order of their first use.
    """

    sources: tuple[Reference, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the sources."""
        return tuple(source.key for source in self.sources)

    @property
    def text(self) -> str:
        """One numbered line a source."""
        return "\n".join(f"[{i}] {source.text}" for i, source in enumerate(self.sources, 1))

    @property
    def bibtex(self) -> str:
        """One entry a source."""
        return "\n\n".join(source.bibtex for source in self.sources)

    def __len__(self) -> int:
        return len(self.sources)

    def __str__(self) -> str:
        return f"{self.text}\n\n{self.bibtex}" if self.sources else "No source was used yet."

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self.sources:
            return f"<p>{self}</p>"
        items = "".join(f"<li>{source.html}</li>" for source in self.sources)
        return (
            f"<ol>{items}</ol><details><summary>BibTeX</summary>"
            f"<pre>{escape(self.bibtex)}</pre></details>"
        )


def citations(all: bool = False) -> Citations:
    """Return the sources behind what was used in this process, in order of first use.

    Parameters
    ----------
    all
        Every source that is known, in the order of their keys.
    """
    known = {**references(), **_own}
    keys = sorted(known) if all else list(_used)
    return Citations(tuple(known[key] for key in keys))
