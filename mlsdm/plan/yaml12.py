"""YAML as version 1.2 reads it, and only what is plain: each key is text and given once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from reprlib import repr as shortened
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.constructor import BaseConstructor, ConstructorError

__all__ = ["Loader", "Place", "TextLoader", "load", "parse"]

Place = tuple[str | int, ...]
"""The keys and the indices, from the outermost, that lead to a value."""
MOST_LEVELS = 50


class _Plain(Composer, BaseConstructor):
    """Refuses what a file of plain values has no need of, at the line where it stands."""

    levels = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Build a node, unless it is shared, tagged, nested without end or no Unicode."""
        event: Any = self.peek_event()  # type: ignore[attr-defined]
        problem = ""
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            problem = "anchors (&) and aliases (*) are not allowed"
        elif event.tag is not None:
            problem = f"tags are not allowed (got {event.tag!r})"
        elif self.levels == MOST_LEVELS:
            problem = f"values may be nested in {MOST_LEVELS} levels at most"
        elif isinstance(event, yaml.ScalarEvent) and re.search("[\ud800-\udfff]", event.value):
            problem = f"surrogates are no text (got {shortened(event.value)})"
        if problem:
            raise ComposerError(problem=problem, problem_mark=event.start_mark)
        self.levels += 1
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, unless a key is not text or is given twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            problem = ""
            if key.tag != "tag:yaml.org,2002:str":
                got = f"a {key.id}" if key.id != "scalar" else key.value or "null"
                problem = f"a key must be text, in quotes if need be (got {got})"
            elif key.value in seen:
                problem = f"{shortened(key.value)} is given twice"
            if problem:
                raise ConstructorError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a value; ValueError means a number that Python does not read."""
        try:
            return super().construct_object(node, deep)
        except ValueError:
            problem = f"the number has too many digits (got {shortened(node.value)})"
            raise ConstructorError(problem=problem, problem_mark=node.start_mark) from None


class Loader(_Plain, yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own class attribute)


class TextLoader(_Plain, yaml.BaseLoader):
    """A loader for which every scalar is text."""


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first
    )


def _lines(node: yaml.Node | None, place: Place = ()) -> Iterator[tuple[Place, int]]:
    if isinstance(node, yaml.MappingNode):
        parts = [(key.value, key.start_mark.line, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        parts = [(i, item.start_mark.line, item) for i, item in enumerate(node.value)]
    else:
        return
    for part, line, inner in parts:
        yield (*place, part), line + 1
        yield from _lines(inner, (*place, part))


def load(text: str, loader: type[Loader | TextLoader] = Loader) -> tuple[Any, dict[Place, int]]:
    """Return what `text` says, and the line of each key and of each item of a list.

    Raises
    ------
    ValueError
        When it is not YAML, or not plain; the message begins with the line.
    """
    try:
        reader = loader(text)
        node = reader.get_single_node()
        value = None if node is None else reader.construct_document(node)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        got = chr(error.character) if isinstance(error.character, int) else error.character
        raise ValueError(f"line {line}: the character {got!r} is not allowed") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise ValueError(f"{where}{problem}") from None
    return value, dict(_lines(node))


def parse(text: str, loader: type[Loader | TextLoader] = Loader) -> Any:
    """Return what `text` says.

    Raises
    ------
    ValueError
        When it is not YAML, or not plain; the message begins with the line.
    """
    return load(text, loader)[0]
