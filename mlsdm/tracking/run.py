"""One run in MLflow, while it goes on."""

from __future__ import annotations

import json
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import time_ns
from types import FrameType, TracebackType
from typing import Any, Literal, Self

from mlsdm.errors import RunError
from mlsdm.record import Record
from mlsdm.tracking.connection import impatient, one_sentence
from mlsdm.tracking.entities import cut, dataset, file, points

__all__ = ["CAUSE", "TrackedRun", "shortened"]

MOST_METRICS, MOST_PARAMETERS, MOST_BYTES = 1000, 100, 900_000  # MLflow: 1 MB a request
CAUSE = "mlsdm.cause"  # the tag that says why a run did not finish
LONGEST_PARAMETER, LONGEST_TAG = 6000, 8000  # characters


class TrackedRun:
    """A run that goes on; as a context manager it is ended whatever happens."""

    def __init__(self, client: Any, uri: str, id: str) -> None:
        self.id = id
        self._client = client
        self._uri = uri
        self._ended = False
        self._time = 0  # of the last call that was given none, in milliseconds
        self._nonfinite: dict[tuple[str, str], int] = {}
        self._duplicates: set[str] = set()

    def log(
        self,
        records: Sequence[Record],
        *,
        numbers: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        files: Mapping[str, str | bytes] | None = None,
        time: int | None = None,
    ) -> dict[str, float]:
        """Keep the records; return the metrics.

        Numbers become metrics, tables and figures files, and datasets inputs.

        Of two under one name the last counts. Numbers that are not finite are only counted.

        Parameters
        ----------
        numbers, tags, files
            Further metrics, short facts, and files by their paths.
        time
            Milliseconds since 1970 to write beside the metrics, by default now. MLflow keeps a
            metric once that is logged again with the same time.

        Raises
        ------
        RunError
            When the store refuses.
        """
        chosen: dict[tuple[str, str], Record] = {}
        for record in records:
            # A metric and a series of one name would be one metric in MLflow.
            key = "" if record.kind in ("metric", "series") else record.kind, record.name
            if key in chosen or key in self._nonfinite:
                self._duplicates.add(record.name)
            chosen[key] = record
        self._nonfinite |= {key: record.nonfinite for key, record in chosen.items()}
        found = [point for record in chosen.values() for point in points(record)]
        found += [(name, value, 0) for name, value in (numbers or {}).items()]
        facts = dict(tags or {})
        if lost := [name for (_, name), count in self._nonfinite.items() if count]:
            found.append(("nonfinite/count", sum(self._nonfinite.values()), 0))
            facts["mlsdm.nonfinite"] = ", ".join(lost)
        if self._duplicates:
            facts["mlsdm.duplicates"] = ", ".join(sorted(self._duplicates))
        self.log_points(found, time)
        self._log_datasets([record for record in chosen.values() if record.kind == "dataset"])
        made = dict(file(r) for r in chosen.values() if r.kind in ("table", "figure"))
        self._log_files({**made, **(files or {})})
        self.tag(facts)
        return {name: value for name, value, _ in found}

    def log_points(self, points: Sequence[tuple[str, float, int]], time: int | None = None) -> None:
        """Keep finite numbers as metrics, each by its name, value and step; `time` as in `log`.

        Raises
        ------
        RunError
            When the store refuses.
        """
        from mlflow.entities import Metric

        if time is None:
            # Later calls need later times: of equal times MLflow takes the largest value as last.
            time = self._time = max(self._time + 1, time_ns() // 1_000_000)
        latest = {(name, step): float(value) for name, value, step in points}
        metrics = [Metric(name, value, time, step) for (name, step), value in latest.items()]
        with one_sentence(self._uri):
            for batch in _batches(metrics, MOST_METRICS):
                self._client.log_batch(self.id, metrics=batch, synchronous=True)

    def _log_datasets(self, records: Sequence[Record]) -> None:
        from mlflow.entities import DatasetInput, InputTag

        tags = [InputTag("mlflow.data.context", "input")]
        if inputs := [DatasetInput(dataset(record), tags) for record in records]:
            with one_sentence(self._uri):
                self._client.log_inputs(self.id, inputs)

    def _log_files(self, files: Mapping[str, str | bytes]) -> None:
        if not files:
            return
        with one_sentence(self._uri), tempfile.TemporaryDirectory() as folder:
            for path, content in files.items():
                target = Path(folder, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                raw = content.encode() if isinstance(content, str) else content
                target.write_bytes(raw)
            self._client.log_artifacts(self.id, folder)

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Keep the parameters as text, cut if too long; MLflow lets none be changed later.

        Raises
        ------
        RunError
            When the store refuses.
        """
        from mlflow.entities import Param

        shown = [Param(k, cut(_text(v), LONGEST_PARAMETER)) for k, v in parameters.items()]
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
        from mlflow.entities import RunTag

        entities = [RunTag(key, value) for key, value in shortened(tags).items()]
        with one_sentence(self._uri):
            for batch in _batches(entities, MOST_PARAMETERS):
                self._client.log_batch(self.id, tags=batch, synchronous=True)

    def reopen(self) -> None:
        """Go on after the run has ended; why it did is forgotten.

        Raises
        ------
        RunError
            When the store refuses.
        """
        with one_sentence(self._uri):
            self._client.update_run(self.id, status="RUNNING")
            if CAUSE in self._client.get_run(self.id).data.tags:
                self._client.delete_tag(self.id, CAUSE)
        self._ended = False

    def finish(
        self,
        status: Literal["FINISHED", "FAILED", "KILLED"],
        cause: str = "",
        time: int | None = None,
    ) -> None:
        """End the run, whatever becomes of `cause`, which says why it did not come to its end.

        It ends now, or at `time` in milliseconds since 1970.

        Raises
        ------
        RunError
            When the store refuses.
        """
        with _undisturbed():
            try:
                if cause:
                    self.tag({CAUSE: cause})
            finally:
                with one_sentence(self._uri):
                    self._client.set_terminated(self.id, status, time)
                self._ended = True

    def fail(self, error: BaseException) -> None:
        """End the run because of `error`: KILLED if it was interrupted, else FAILED.

        If even that fails, or the cause cannot be kept, a note at `error` says so.
        """
        killed = isinstance(error, KeyboardInterrupt)
        cause = f"{type(error).__name__}: {error}".removesuffix(": ")
        try:
            with impatient():
                self.finish("KILLED" if killed else "FAILED", cause)
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
    return {key: cut(value, LONGEST_TAG) for key, value in tags.items()}


def _text(value: object) -> str:
    return json.dumps(value, default=str) if isinstance(value, dict | list | tuple) else str(value)


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
