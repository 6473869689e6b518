"""The errors of mlsdm: one sentence each, naming the owner, the field and the value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["DataError", "MlsdmError", "ParameterError", "RunError", "nearest"]


class MlsdmError(Exception):
    """Any error that mlsdm raises on purpose; the command line prints it without a traceback."""


class ParameterError(MlsdmError, ValueError):
    """A parameter or an argument has a wrong name, type or value."""


class DataError(MlsdmError, ValueError):
    """A file or a data set does not hold what it must, or is not installed."""


class RunError(MlsdmError, RuntimeError):
    """A notebook, a store or a server did not do what was asked of it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name closest to `name`, else list them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"
