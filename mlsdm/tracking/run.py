"""One run in MLflow, while it goes on."""

from __future__ import annotations

import csv
import io
import json
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal, Self

from mlsdm.errors import RunError
from mlsdm.record import Record
from mlsdm.tracking.connection import one_sentence

__all__ = ["TrackedRun", "shortened"]

MOST_METRICS, MOST_PARAMETERS, MOST_BYTES = 1000, 100, 900_000  # MLflow: 1 MB a request
LONGEST_PARAMETER, LONGEST_TAG = 6000, 8000  # characters


class TrackedRun:
    """A run that goes on; as a context manager it is ended whatever happens."""

    def __init__(self, client: Any, uri: str, id: str) -> None:
        self.id = id
        self._client = client
        self._uri = uri
        self._ended = False
        self._time = 0
        self._nonfinite: dict[tuple[str, str], int] = {}
        self._duplicates: set[str] = set()

    def log(self, records: Sequence[Record]) -> None:
        """Keep the records: numbers as metrics, tables and figures as files.

        Of two under one name the last counts. Numbers that are not finite are only counted.

        Raises
        ------
        RunError
            When the store refuses.
        """
        chosen: dict[tuple[str, str], Record] = {}
        for record in records:
            # A metric and a series of one name would be one metric in MLflow.
            key = {"table": "tables", "figure": "figures"}.get(record.kind, ""), record.name
            if key in chosen or key in self._nonfinite:
                self._duplicates.add(record.name)
            chosen[key] = record
        self._nonfinite |= {key: record.nonfinite for key, record in chosen.items()}
        points = [point for record in chosen.values() for point in _points(record)]
        tags = {}
        if lost := [name for (_, name), count in self._nonfinite.items() if count]:
            points.append(("nonfinite/count", sum(self._nonfinite.values()), 0))
            tags["mlsdm.nonfinite"] = ", ".join(lost)
        if self._duplicates:
            tags["mlsdm.duplicates"] = ", ".join(sorted(self._duplicates))
        self._log_points(points)
        self._log_files({Path(*key): record for key, record in chosen.items() if key[0]})
        self.tag(tags)

    def _log_points(self, points: Sequence[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        # Later calls need later times: among equal times MLflow takes the largest value as last.
        self._time = max(self._time + 1, time.time_ns() // 1_000_000)
        latest = {(name, step): float(value) for name, value, step in points}
        metrics = [Metric(name, value, self._time, step) for (name, step), value in latest.items()]
        with one_sentence(self._uri):
            for batch in _batches(metrics, MOST_METRICS):
                self._client.log_batch(self.id, metrics=batch, synchronous=True)

    def _log_files(self, chosen: Mapping[Path, Record]) -> None:
        if not chosen:
            return
        with tempfile.TemporaryDirectory() as folder:
            for path, record in chosen.items():
                target = folder / path.parent
                target.mkdir(parents=True, exist_ok=True)
                if record.kind == "table":
                    (target / f"{path.name}.csv").write_text(_csv(record), encoding="utf-8")
                else:
                    (target / f"{path.name}.png").write_bytes(record.png)
            with one_sentence(self._uri):
                self._client.log_artifacts(self.id, folder)

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Keep the parameters as text, cut if too long; MLflow lets none be changed later.

        Raises
        ------
        RunError
            When the store refuses.
        """
        from mlflow.entities import Param

        shown = [Param(k, _cut(_text(v), LONGEST_PARAMETER)) for k, v in parameters.items()]
        with one_sentence(self._uri):
            for batch in _batches(shown, MOST_PARAMETERS):
                self._client.log_batch(self.id, params=batch, synchronous=True)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Keep short facts with the run, the longest cut.

        Raises
        ------
        RunError
            When the store refuses.
        """
        with one_sentence(self._uri):
            for key, value in shortened(tags).items():
                self._client.set_tag(self.id, key, value)

    def attach(self, path: Path, folder: str = "") -> None:
        """Keep a file or a folder with the run, below `folder`.

        Raises
        ------
        RunError
            When it cannot be read, or the store refuses.
        """
        with one_sentence(self._uri):
            self._client.log_artifact(self.id, str(path), folder or None)

    def attach_text(self, text: str, name: str) -> None:
        """Keep a text with the run as the file `name`.

        Raises
        ------
        RunError
            When the store refuses.
        """
        with one_sentence(self._uri):
            self._client.log_text(self.id, text, name)

    def finish(self, status: Literal["FINISHED", "FAILED", "KILLED"], cause: str = "") -> None:
        """End the run, whatever becomes of `cause`, which says why it did not come to its end.

        Raises
        ------
        RunError
            When the store refuses.
        """
        with _undisturbed():
            try:
                if cause:
                    self.tag({"mlsdm.cause": cause})
            finally:
                with one_sentence(self._uri):
                    self._client.set_terminated(self.id, status)
                self._ended = True

    def fail(self, error: BaseException) -> None:
        """End the run because of `error`: KILLED if it was interrupted, else FAILED.

        If even that fails, or the cause cannot be kept, a note at `error` says so.
        """
        killed = isinstance(error, KeyboardInterrupt)
        try:
            self.finish("KILLED" if killed else "FAILED", f"{type(error).__name__}: {error}")
        except RunError as second:  # the first error is the one to report
            lacking = "does not hold its cause" if self._ended else "could not be ended"
            error.add_note(f"The run {self.id} {lacking}: {second}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ended:
            return
        if error is None:
            self.finish("FINISHED")
        else:
            self.fail(error)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold a first Ctrl-C back until the block is done; a second one breaks through."""
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(number)

    before = signal.default_int_handler  # of SIGTERM and SIGHUP too, on the command line
    numbers = [n for n in signal.valid_signals() if signal.getsignal(n) is before]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may, and only it is interrupted
    for number in numbers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before)
    if held:
        raise KeyboardInterrupt


def shortened(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags, the longest cut to what MLflow takes."""
    return {key: _cut(value, LONGEST_TAG) for key, value in tags.items()}


def _points(record: Record) -> list[tuple[str, float, int]]:
    """Return the finite numbers of a record as name, value and step.

    What is stated is a number of its own beside the measured one, and the verdict is 1 or 0.
    """
    values = zip(record.steps, record.values, strict=True)
    found = [(record.name, value, step) for step, value in values if value is not None]
    if record.value is not None:
        found.append((record.name, record.value, 0))
    if (verdict := record.judgement) is not None:
        group = "target" if verdict.verdict in ("met", "not met") else "reproduced"
        found.append((f"{group}/{verdict.id}", float(verdict.holds), 0))
        found.append((f"stated/{verdict.id}", verdict.stated_value, 0))
    return found


def _csv(record: Record) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([record.columns, *record.rows])
    return text.getvalue()


def _text(value: object) -> str:
    return json.dumps(value, default=str) if isinstance(value, dict | list | tuple) else str(value)


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    note = f"… (cut: {len(text)} characters)"
    return text[: most - len(note)] + note


def _batches(entities: Sequence[Any], most: int) -> Iterator[list[Any]]:
    """Split metrics or parameters into requests that MLflow takes, by number and by bytes."""
    batch: list[Any] = []
    size = 0
    for entity in entities:
        length = len(json.dumps([entity.key, entity.value])) + 250  # and its other fields
        if batch and (len(batch) == most or size + length > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entity)
        size += length
    if batch:
        yield batch
