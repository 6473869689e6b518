"""The errors of mlsdm: one sentence each, naming the owner, the field and the value."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from textwrap import shorten

__all__ = ["DataError", "MlsdmError", "ParameterError", "RunError", "in_a_line", "nearest"]


class MlsdmError(Exception):
    """Any error that mlsdm raises on purpose; the command line prints it without a traceback."""


class ParameterError(MlsdmError, ValueError):
    """A parameter or an argument has a wrong name, type or value."""


class DataError(MlsdmError, ValueError):
    """A file or a data set does not hold what it must, or is not installed."""


class RunError(MlsdmError, RuntimeError):
    """A notebook, a store or a server did not do what was asked of it."""


def in_a_line(error: BaseException) -> str:
    """Return what an error says in one short line, with its kind where it is not ours.

    It may be an error whose message cannot be made.
    """
    line = " ".join("".join(traceback.format_exception_only(error)).split())
    _, _, said = line.partition(": ")
    return shorten(said if said and isinstance(error, MlsdmError) else line, 300)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name closest to `name`, else list them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"
