"""YAML as version 1.2 reads it: `on` is text, `1e-3` is a number, and a key is given once."""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["Loader", "lines", "parse"]


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema, refusing repeated keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own class attribute)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, unless a key is given twice."""
        seen: list[Any] = []
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} is given twice", problem_mark=key.start_mark
                )
            seen.append(key.value)
        return super().construct_mapping(node, deep)


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


def parse(text: str, loader: type[yaml.SafeLoader | yaml.BaseLoader] = Loader) -> Any:
    """Return what `text` says.

    Raises
    ------
    ValueError
        When it is not YAML; the message names the line.
    """
    try:
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ValueError(f"{where}{problem}") from None


def lines(text: str) -> dict[str, int]:
    """Return the line of each key of a mapping, and as ``a.b`` of each key one level below."""
    found: dict[str, int] = {}
    root = yaml.compose(text, Loader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else []:
        found[str(key.value)] = key.start_mark.line + 1
        for inner, _ in value.value if isinstance(value, yaml.MappingNode) else []:
            found[f"{key.value}.{inner.value}"] = inner.start_mark.line + 1
    return found
