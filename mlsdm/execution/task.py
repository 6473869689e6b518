"""What a worker is given and what it gives back: plain values that travel as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter

__all__ = ["CALLED_OFF", "CellError", "Result", "Task", "Usage", "from_json", "to_json"]

_T = TypeVar("_T", "Task", "Result")
Kind = Literal["cell", "kernel", "timeout", "memory", "worker", "stopped"]


@dataclass(frozen=True)
class Task:
    """One notebook to run, with all that a worker needs, here or on another machine.

    Parameters
    ----------
    key
        What its result is known by, and the name of the result's file.
    name, source
        The notebook's file name and its text.
    parameters
        Validated values of all its parameters.
    cwd
        The kernel's working directory; where there is no such folder, a temporary one.
    cell_timeout, timeout
        Seconds that one cell, and the whole notebook, may take; None for no limit.
    memory_limit
        Bytes that the kernel and its children may hold; None for no limit.
    threads
        The most threads of BLAS and Numba in the kernel; None leaves the environment as it is.
    warm
        Whether to fork the kernel from a server that has the libraries imported.
    """

    key: str
    name: str
    source: str
    parameters: dict[str, Any]
    cwd: str
    cell_timeout: float | None = None
    timeout: float | None = None
    memory_limit: int | None = None
    threads: int | None = None
    warm: bool = False


@dataclass(frozen=True)
class CellError:
    """Why a notebook stopped before its end.

    `kind` is ``"cell"`` for an exception, ``"kernel"`` for a kernel that died or did not start,
    ``"timeout"`` for a cell or a notebook that took too long, ``"memory"`` for one that held too
    much, ``"worker"`` for a worker that died, ``"stopped"`` for a run that was called off. `cell`
    is the index in the executed notebook, from 0, or None when no cell was reached; as text, cells
    count from 1.
    """

    kind: Kind
    name: str
    message: str
    cell: int | None

    def __str__(self) -> str:
        where = "" if self.cell is None else f"cell {self.cell + 1}: "
        message = " ".join(self.message.split())[:300]
        return f"{where}{self.name}: {message}".removesuffix(": ")


CALLED_OFF = CellError("stopped", "Stopped", "called off", None)


@dataclass(frozen=True)
class Usage:
    """The most bytes that a kernel and its children held at once, and the CPU seconds they took."""

    peak_memory: int
    cpu_seconds: float


@dataclass(frozen=True)
class Result:
    """An executed notebook, whole or as far as it came, and what stopped it, if anything.

    `started` is in seconds since 1970, `seconds` the wall time; `usage` is None where no kernel ran
    or nothing could be measured.
    """

    key: str
    notebook: str
    started: float
    seconds: float
    error: CellError | None
    usage: Usage | None


_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (Task, Result)}


def to_json(value: Task | Result) -> str:
    """Write a task or a result as one line of JSON."""
    return _ADAPTERS[type(value)].dump_json(value).decode()


def from_json(kind: type[_T], text: str | bytes) -> _T:
    """Read what `to_json` wrote.

    Raises
    ------
    ValueError
        When it is not what `kind` holds.
    """
    read: _T = _ADAPTERS[kind].validate_json(text)
    return read
