"""Parameters whose name says what they hold, in every notebook: checked before anything starts."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from mlsdm.errors import ParameterError, nearest
from mlsdm.evidence import claims

__all__ = ["check_meaning", "data_file"]


def data_file(values: Mapping[str, object], project: Path) -> Path | None:
    """Return the file that the parameter ``data`` names, from the project on, or None."""
    data = values.get("data")
    return project / data if isinstance(data, str) and data else None


def check_meaning(
    owner: str,
    values: Mapping[str, object],
    project: Path,
    policies: Collection[str] = (),
) -> None:
    """Refuse an ``engine`` that is none, a ``data`` that names no file, an unknown ``claim``.

    Of `policies`, those that the notebook itself registers, only the kernel knows the parameters.

    Raises
    ------
    ParameterError
        With `owner` at the front.
    """
    file = data_file(values, project)
    if file is not None and not os.path.isfile(file):  # which refuses a name too long as well
        raise ParameterError(f"{owner}.data: there is no file {file} (got {values['data']!r})")
    claim = values.get("claim")
    if isinstance(claim, str) and claim not in claims():
        raise ParameterError(
            f"{owner}.claim: nothing is stated under {claim!r}{nearest(claim, claims())}"
        )
    engine = values.get("engine")
    if isinstance(engine, Mapping) and engine:
        from mlsdm.engine.params import EngineParams
        from mlsdm.engine.policies import POLICIES

        moral = engine.get("moral")
        name = moral.get("policy") if isinstance(moral, Mapping) else None
        if isinstance(name, str) and name in policies and name not in POLICIES:
            engine = {part: value for part, value in engine.items() if part != "moral"}
        try:
            EngineParams().replace(engine)
        except ParameterError as error:
            raise ParameterError(f"{owner}.engine: {error}") from None


def number_kind(name: str) -> type[int] | type[float] | None:
    """Return what numbers a dotted name of the engine's parameters holds; None for others."""
    root, *path = name.split(".")
    if root != "engine":
        return None
    from mlsdm.engine.params import EngineParams

    value: object = EngineParams()
    for part in path:
        value = getattr(value, part, None)
    if isinstance(value, float):
        return float
    return int if type(value) is int else None
