"""Snapshots: one engine in one file, that can be gone on from as if it had never stopped.

A file holds, one after another:

1. the line ``mlsdm snapshot 2``, with the version of this format;
2. one line of JSON: `mlsdm` (version of the package), `params`, `memory` (names of what the moral
   policy keeps of its own), `rows` (kept rows of the lattice), `emergency` (its reason, or null),
   `restored`, and `arrays` (name, dtype, shape and bytes of each array that follows);
3. the bytes of the arrays: `states` (the state and its copies), `levels`, `vectors`, `rows`;
4. the SHA-256 digest of all this, 32 bytes.

Everything is kept as it is held, with its checks: what is damaged when it is saved is found, named
and restored or not after loading just as before. Only the compact forms are made anew from the
vectors. The digest tells damage to the file; it does not tell who wrote it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_whole
from mlsdm.engine.integrity import Memory
from mlsdm.engine.params import EngineParams
from mlsdm.engine.rhythm import PHASES
from mlsdm.engine.rules import copies, layout
from mlsdm.engine.rules.recall import finish
from mlsdm.errors import DataError, ParameterError

__all__ = ["Header", "opened", "read", "write", "written"]

FORMAT = 2
_TITLE = b"mlsdm snapshot "
_DIGEST = hashlib.sha256().digest_size
_CHUNK = 2**24  # bytes hashed and written at a time: between two, a busy thread may take its turn


class Header(NamedTuple):
    """What a snapshot says before its arrays."""

    params: EngineParams
    rows: int
    emergency: str | None
    restored: int


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes the name `path` on leaving, all of it on disk, or not at all.

    Raises
    ------
    DataError
        When the file cannot be written.
    """
    aside = path.parent / f".snapshot-{secrets.token_hex(8)}.part"
    try:
        try:
            with aside.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise DataError(
            f"CognitiveController.save: {str(path)!r} cannot be written: {error.strerror or error}"
        ) from None


def write(file: BinaryIO, memory: Memory, params: EngineParams, **facts: Any) -> None:
    """Write an engine piece by piece, without a second copy of anything large.

    Parameters
    ----------
    facts
        `emergency` and `restored`.
    """
    # A damaged size must not lose rows that its copies still know of.
    rows = int(memory.states["size"].clip(0, len(memory.rows)).max())
    header = {
        "mlsdm": sys.modules["mlsdm"].__version__,
        "params": params.to_dict(),
        "memory": params.moral.memory,
        "rows": rows,
        **facts,
        "arrays": _arrays(params, rows),
    }
    digest = hashlib.sha256()
    start = b"%b%d\n%b\n" % (_TITLE, FORMAT, json.dumps(header).encode())
    for piece in (np.frombuffer(start, np.uint8), *_pieces(memory, rows)):
        for i in range(0, piece.size, _CHUNK):
            part = piece[i : i + _CHUNK].data
            digest.update(part)
            file.write(part)
    file.write(digest.digest())


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, Header]]:
    """Check a whole snapshot, then give the file, to be `read`, and its header.

    Raises
    ------
    DataError
        When there is no such file, or it is not a whole snapshot of an engine that is allowed; also
        in the name of this path for what is wrong while it is open.
    """
    try:
        if not path.is_file():
            _refuse("is not a file that exists")
        with path.open("rb") as file:
            yield file, _checked(file)
    except (OSError, _Unfit) as error:
        why = f"cannot be read: {error.strerror or error}" if isinstance(error, OSError) else error
        raise DataError(f"CognitiveController.load: {str(path)!r} {why}") from None


def read(file: BinaryIO, header: Header, memory: Memory) -> None:
    """Fill a fresh memory from an `opened` file, without a second copy of anything large."""
    states, levels, vectors, rows = _pieces(memory, header.rows)
    for piece in (states, levels, vectors):
        _fill(file, piece)
    settled = memory.states.copy()
    if copies.vote(settled) and not _fits(settled[0], header):
        _refuse("holds a state that does not fit its parameters")
    # The compact forms come from the vectors; what else this writes is then overwritten by what
    # was held, so that a damaged row does not get checks that agree with its damage.
    finish(memory.vectors, memory.rows, memory.codes, 0, header.rows)
    _fill(file, rows)


class _Unfit(Exception):
    """What is wrong with a file, to be said after its name."""


def _refuse(why: str) -> NoReturn:
    raise _Unfit(why)


def _arrays(params: EngineParams, rows: int) -> list[dict[str, Any]]:
    """Return how the arrays of an engine with so many rows lie in the file, as JSON has it."""
    float32 = np.dtype(np.float32)
    kinds: dict[str, tuple[np.dtype[Any], list[int]]] = {
        "states": (layout.STATE, [layout.COPIES]),
        "levels": (float32, [layout.LEVELS, params.dim]),
        "vectors": (float32, [rows, params.dim]),
        "rows": (layout.ROW, [rows]),
    }
    return [
        {
            "name": name,
            "dtype": [list(field) for field in dtype.descr],
            "shape": shape,
            "bytes": dtype.itemsize * math.prod(shape),
        }
        for name, (dtype, shape) in kinds.items()
    ]


def _pieces(memory: Memory, rows: int) -> list[NDArray[np.uint8]]:
    """Return the arrays that a file holds, as their very bytes."""
    kept = (memory.states, memory.levels, memory.vectors[:rows], memory.rows[:rows])
    return [array.reshape(-1).view(np.uint8) for array in kept]


def _fill(file: BinaryIO, piece: NDArray[np.uint8]) -> None:
    if file.readinto(piece.data) != piece.size:  # type: ignore[attr-defined]
        _refuse("became shorter while it was read")


def _checked(file: BinaryIO) -> Header:
    """Compare the file with its digest before anything in it is believed; return its header."""
    if file.read(len(_TITLE)) != _TITLE:
        _refuse("is not a snapshot of an engine")
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    digest, left = hashlib.sha256(), max(size - _DIGEST, 0)
    while left > 0 and (part := file.read(min(left, _CHUNK))):
        digest.update(part)
        left -= len(part)
    if file.read() != digest.digest():
        _refuse("is cut short or altered: it does not fit its digest")
    file.seek(len(_TITLE))
    version = file.readline().strip().decode(errors="replace")
    if version != str(FORMAT):
        _refuse(f"has version {version!r} of the format, and this mlsdm reads version {FORMAT}")
    header, arrays = _parsed(file.readline())
    expected = _arrays(header.params, header.rows)
    held = sum(array["bytes"] for array in expected)
    if arrays != expected or file.tell() + held + _DIGEST != size:
        _refuse("holds arrays that do not fit its parameters")
    return header


def _parsed(line: bytes) -> tuple[Header, Any]:
    try:
        content = json.loads(line)
        params = EngineParams.from_dict(content["params"])
        memory = tuple(content["memory"])
        rows = as_whole("rows", content["rows"], 0, params.lattice.capacity)
        restored = as_whole("restored", content["restored"], 0)
        emergency, arrays = content["emergency"], content["arrays"]
    except (ParameterError, DataError) as error:  # of an entry point that cannot be loaded
        _refuse(f"holds what is not allowed: {error}")
    except (KeyError, TypeError, ValueError, RecursionError):
        _refuse("has a header that is not of this format")
    if memory != params.moral.memory:
        _refuse(f"holds a policy {params.moral.policy!r} that kept {memory} in its state")
    if emergency is not None and not isinstance(emergency, str):
        _refuse("has a header that is not of this format")
    return Header(params, rows, emergency, restored), arrays


def _fits(state: Any, header: Header) -> bool:
    """Return whether the rules can go on from a state without leaving their arrays."""
    return bool(
        0 <= state["next"] < header.params.lattice.capacity
        and 0 <= state["size"] <= header.rows
        and state["phase"] in range(len(PHASES))
        and min(state["wake"], state["scrubbed"], state["events"]) >= 0
    )
