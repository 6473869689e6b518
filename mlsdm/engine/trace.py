"""The trace of a simulation, and where it goes: into memory, or into a file as it is made."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.outcome import REASONS
from mlsdm.engine.rhythm import PHASES
from mlsdm.engine.rules import layout
from mlsdm.errors import DataError, ParameterError

__all__ = ["Kept", "Trace", "TraceFile", "columns"]

GROUP = 2**17  # entries that are written to a file at a time, its row groups


class Trace(NamedTuple):
    """The arrays of a trace, of which `Result` says what they hold: (events,) or (runs, events)."""

    moral_values: NDArray[Any]
    codes: NDArray[Any]
    phase_codes: NDArray[Any]
    threshold: NDArray[Any]
    acceptance_rate: NDArray[Any]
    norms: NDArray[Any]
    lattice_size: NDArray[Any]

    @classmethod
    def empty(cls, shape: tuple[int, ...], stored: bool) -> Trace:
        """Return room for a trace; without storing, norms and sizes stay 0 and take none."""
        if stored:
            norms, sizes = np.empty((*shape, 3)), np.empty(shape, np.int64)
        else:
            norms, sizes = np.broadcast_to(0.0, (*shape, 3)), np.broadcast_to(np.int64(0), shape)
        return cls(
            np.empty(shape), np.empty(shape, np.int8), np.empty(shape, np.int8),
            np.empty(shape), np.empty(shape), norms, sizes,
        )  # fmt: skip

    @property
    def stored(self) -> bool:
        """Whether norms and sizes take room."""
        return self.norms.flags.writeable

    def part(self, index: Any) -> Trace:
        """Return what an index leaves of each array, not copied."""
        return Trace(*(array[index] for array in self))

    def fill(self, start: int, other: Trace) -> None:
        """Copy another trace to here, from the entry `start` on."""
        for array, given in zip(self, other, strict=True):
            if array.flags.writeable:
                array[start : start + len(given)] = given


def columns(
    trace: Trace, events: NDArray[np.int64], text: Callable[[NDArray[np.int8], Sequence[str]], Any]
) -> dict[str, Any]:
    """Return the columns of the table of a trace (events,); `text` makes a column of codes."""
    return {
        "event": events,
        "moral_value": trace.moral_values,
        "accepted": trace.codes != layout.MORAL,
        "reason": text(trace.codes, REASONS),
        "phase": text(trace.phase_codes, PHASES),
        "threshold": trace.threshold,
        "acceptance_rate": trace.acceptance_rate,
        "norm_l1": trace.norms[:, 0],
        "norm_l2": trace.norms[:, 1],
        "norm_l3": trace.norms[:, 2],
        "lattice_size": trace.lattice_size,
    }


class Kept:
    """Keeps one entry of `every` in memory.

    Parameters
    ----------
    every
        Events 0, every, 2 · every, … are kept.
    expected
        Entries that there will be, if it is known.
    """

    path: Path | None = None

    def __init__(self, every: int, expected: int = 0) -> None:
        self.every = every
        self._expected = expected
        self._kept = Trace.empty((0,), True)
        self._held = 0

    def room(self, n: int, stored: bool) -> Trace:
        """Return where the trace of the next n events is to be written."""
        needed, capacity = self._held + n, len(self._kept.codes)
        if needed > capacity:
            larger = Trace.empty((max(needed, 2 * capacity, self._expected),), stored)
            larger.fill(0, self._kept.part(slice(self._held)))
            self._kept = larger
        return self._kept.part(slice(self._held, needed))

    def add(self, first: int, n: int) -> None:
        """Keep what is to be kept of the n events in the room, the first of which has this number.

        Raises
        ------
        DataError
            When a file cannot be written.
        """
        skipped = -first % self.every
        if self.every > 1:
            chosen = slice(self._held + skipped, self._held + n, self.every)
            self._kept.fill(self._held, self._kept.part(chosen))
        self._held += len(range(skipped, n, self.every))

    def whole(self) -> Trace:
        """Return all entries that are in memory, without room for more where much is left."""
        kept = self._kept.part(slice(self._held))
        if self.every == 1:
            return kept
        made = Trace.empty((self._held,), kept.stored)
        made.fill(0, kept)
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        return None


class TraceFile(Kept):
    """Keeps them in a Parquet file, which takes its name once it is whole.

    How the events came, in which chunks, makes no difference to its bytes.

    Raises
    ------
    ParameterError
        When the path cannot be that of a file.
    DataError
        When the file cannot be written; on entering, `add` and leaving.
    """

    def __init__(self, path: Any, every: int) -> None:
        super().__init__(every)
        usable = isinstance(path, (str, os.PathLike))
        self.path = Path(path) if usable else Path()
        if not usable or self.path.is_dir() or not self.path.parent.is_dir():
            raise ParameterError(
                f"simulate.trace: must be a file in a folder that exists (got {str(path)!r})"
            )
        self._aside = self.path.with_name(f".trace-{secrets.token_hex(8)}.part")
        self._written = 0

    def __enter__(self) -> Self:
        # Heavy, and of use here only.
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pa = pa
        schema = self._batch(Trace.empty((0,), True)).schema
        try:
            self._file = pa.OSFile(str(self._aside), "wb")
        except OSError as error:
            raise self._refused(error) from None
        self._writer = pq.ParquetWriter(
            self._file,
            schema,
            use_dictionary=["reason", "phase", "threshold", "lattice_size"],  # of few values
            column_encoding={"event": "DELTA_BINARY_PACKED"},
        )
        return self

    def add(self, first: int, n: int) -> None:
        """Keep them, and write what fills a row group."""
        super().add(first, n)
        while self._held >= GROUP:
            self._write(GROUP)

    def _batch(self, trace: Trace) -> Any:
        pa = self._pa
        events = (self._written + np.arange(len(trace.codes))) * self.every

        def text(codes: NDArray[np.int8], names: Sequence[str]) -> Any:
            return pa.DictionaryArray.from_arrays(codes, list(names))

        made = columns(trace, events, text)
        return pa.record_batch([pa.array(column) for column in made.values()], names=list(made))

    def _write(self, n: int) -> None:
        """Write the first n entries that are held."""
        try:
            self._writer.write_batch(self._batch(self._kept.part(slice(n))), row_group_size=n)
        except OSError as error:
            raise self._refused(error) from None
        self._kept.fill(0, self._kept.part(slice(n, self._held)))
        self._held -= n
        self._written += n

    def _refused(self, error: OSError) -> DataError:
        return DataError(
            f"simulate.trace: {str(self.path)!r} cannot be written: {error.strerror or error}"
        )

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """Close the file; give it its name, or remove it after an error."""
        assert self.path is not None
        try:
            if kind is None:
                if self._held:
                    self._write(self._held)
                self._writer.close()
                self._file.close()
                with self._aside.open("rb+") as file:
                    os.fsync(file.fileno())
                os.replace(self._aside, self.path)
        except OSError as error:
            raise self._refused(error) from None
        finally:
            with suppress(OSError):  # it writes once more, to what is thrown away
                self._writer.close()
            with suppress(OSError):
                self._file.close()
            self._aside.unlink(missing_ok=True)
