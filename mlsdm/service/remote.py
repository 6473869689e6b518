"""A session at the service, that takes events as a local `CognitiveController` does."""

from __future__ import annotations

import json
import secrets
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_path, as_whole
from mlsdm.display import html_table, short
from mlsdm.engine import inputs
from mlsdm.engine.lattice import Recall
from mlsdm.engine.outcome import Outcome
from mlsdm.engine.params import EngineParams
from mlsdm.engine.snapshot import written
from mlsdm.errors import ParameterError
from mlsdm.service import messages
from mlsdm.service.sending import Sender, ServiceError

__all__ = ["RemoteSession", "created", "found", "listed", "read"]

JSON = {"Content-Type": "application/json"}
BATCH_BYTES, BATCH_EVENTS = 2**20, 1024  # a server that takes less is sent smaller batches

M = TypeVar("M")


class RemoteSession:
    """An engine at the service, that takes events and is asked as a `CognitiveController` is.

    Any method raises `ServiceError` when the service refuses, or does not answer. Got from
    `Client.create` and `Client.session`; safe to use from many threads.
    """

    def __init__(self, sender: Sender, info: messages.SessionInfo) -> None:
        self.id = info.id
        self.params = EngineParams.from_dict(info.params)
        self._sender = sender
        self._path = f"/v1/sessions/{info.id}"

    @property
    def dim(self) -> int:
        """Dimension of the event vectors."""
        return self.params.dim

    @property
    def events(self) -> int:
        """Events handled so far."""
        return self.state().events

    @property
    def gaps(self) -> list[messages.Gap]:
        """Events that the service had accepted, and lost when it was killed."""
        return self.state().gaps

    def process_event(
        self, vector: Any, moral_value: float, context: float | None = None
    ) -> Outcome:
        """Take one event, as `CognitiveController.process_event` does.

        Raises
        ------
        ParameterError
            When an argument is not allowed; nothing is sent then.
        """
        owner = "RemoteSession.process_event"
        row = inputs.as_vector(owner, vector, self.dim)
        value = inputs.as_moral_value(owner, moral_value)
        known = inputs.as_context(owner, context, value)
        _check_size(f"{owner}.vector", row)
        return self._take(owner, row[None], np.array([value]), np.array([known]))[0]

    def process_events(self, vectors: Any, moral_values: Any, context: Any = None) -> list[Outcome]:
        """Take events in their order, in as few requests as the service's bounds allow.

        Each request is taken as a whole or not at all. Where one fails, those before it have been
        taken, and the error has their `outcomes`.

        Parameters
        ----------
        vectors
            (events, dim) real numbers, finite in float32.
        moral_values
            (events,) numbers in [0, 1].
        context
            (events,) numbers in [0, 1]; by default the moral values.

        Raises
        ------
        ParameterError
            When an argument is not allowed; nothing is sent then.
        """
        owner = "RemoteSession.process_events"
        rows = inputs.as_matrix(owner, vectors, self.dim)
        values = inputs.as_values(owner, moral_values)
        if len(values) != len(rows):
            raise ParameterError(
                f"{owner}.moral_values: must hold one number per vector, {len(rows)} "
                f"(got {len(values)})"
            )
        inputs.check_shares(f"{owner}.moral_values", values)
        contexts = values if context is None else inputs.as_contexts(owner, context, values)
        _check_size(f"{owner}.vectors", rows)
        return self._take(owner, rows, values, contexts)

    def _take(
        self,
        owner: str,
        vectors: NDArray[np.float32],
        values: NDArray[Any],
        contexts: NDArray[Any],
    ) -> list[Outcome]:
        """Send checked events in the binary form, in batches that the service takes."""
        rows = np.empty(len(vectors), messages.event_dtype(self.dim))
        rows["moral_value"], rows["context"], rows["vector"] = values, contexts, vectors
        size = min(BATCH_EVENTS, max(1, BATCH_BYTES // rows.itemsize))
        outcomes: list[Outcome] = []
        while len(outcomes) < len(rows):
            batch = rows[len(outcomes) : len(outcomes) + size]
            headers = {"Content-Type": messages.BINARY, "Idempotency-Key": secrets.token_hex(16)}
            try:
                content = self._post(owner, "events", batch.tobytes(), headers)
                taken = read(owner, content, messages.Outcomes).outcomes
                if len(taken) != len(batch):
                    raise ServiceError(
                        f"{owner}: {len(batch)} events were sent, and the service answered with "
                        f"{len(taken)} outcomes"
                    )
            except ServiceError as error:
                if error.status == 413 and len(batch) > 1:
                    size = len(batch) // 2
                    continue
                error.outcomes = tuple(outcomes)
                raise
            outcomes += map(_outcome, taken)
        return outcomes

    def retrieve_context(self, query: Any, top_k: int | None = None) -> list[Recall]:
        """Return what `CognitiveController.retrieve_context` does.

        Raises
        ------
        ParameterError
            When an argument is not allowed; nothing is sent then.
        """
        owner = "RemoteSession.retrieve_context"
        row = inputs.as_vector(owner, query, self.dim, "query")
        _check_size(f"{owner}.query", row)
        wanted = self.params.lattice.top_k if top_k is None else top_k
        wanted = as_whole(f"{owner}.top_k", wanted, 1)
        asked = {"vector": row.tolist(), "top_k": wanted, "vectors": True}
        found = read(owner, self._post(owner, "recall", _json(asked)), messages.Recalled).found
        return [
            Recall(np.array(one.vector, np.float32), one.phase, one.resonance, one.row)
            for one in found
        ]

    def state(self) -> messages.StateMessage:
        """Return the engine's state as of now, without its levels."""
        owner = "RemoteSession.state"
        return read(
            owner, self._sender.send(owner, "GET", f"{self._path}/state"), messages.StateMessage
        )

    def levels(self) -> NDArray[np.float32]:
        """Return the three synaptic levels as of now, (3, dim)."""
        owner = "RemoteSession.levels"
        content = self._sender.send(owner, "GET", f"{self._path}/state?levels=true")
        return np.array(read(owner, content, messages.StateMessage).levels, np.float32)

    def snapshot(self) -> messages.SnapshotInfo:
        """Have the service write a snapshot of the engine as it is now."""
        owner = "RemoteSession.snapshot"
        return read(owner, self._post(owner, "snapshot"), messages.SnapshotInfo)

    def download(self, path: str | Path) -> Path:
        """Write the service's last snapshot to a file, for `CognitiveController.load`.

        Stopped at any moment, either the file that was there or the new one is whole.

        Raises
        ------
        DataError
            When the file cannot be written.
        """
        owner = "RemoteSession.download"
        target = as_path(f"{owner}.path", path)
        with written(target) as file:
            self._sender.send(owner, "GET", f"{self._path}/snapshot", into=file)
        return target

    def restore(self) -> messages.Restored:
        """Go back to the last snapshot; the events since then are forgotten."""
        owner = "RemoteSession.restore"
        return read(owner, self._post(owner, "restore", repeatable=False), messages.Restored)

    def delete(self) -> None:
        """Delete the session, with all that the service holds of it."""
        try:
            self._sender.send("RemoteSession.delete", "DELETE", self._path)
        except ServiceError as error:
            if error.status != 404 or error.attempts == 1:  # else an attempt before it was heard
                raise

    def _post(
        self,
        owner: str,
        what: str,
        body: bytes | None = None,
        headers: dict[str, str] = JSON,
        repeatable: bool = True,
    ) -> bytes:
        return self._sender.send(
            owner,
            "POST",
            f"{self._path}/{what}",
            body=body,
            headers=headers if body else None,
            repeatable=repeatable,
        )

    def __repr__(self) -> str:
        return f"RemoteSession({self.id!r}, dim={self.dim}, url={self._sender.url!r})"

    def _repr_html_(self) -> str:
        caption = f"RemoteSession {escape(self.id)} at {escape(self._sender.url)}"
        try:
            state = self.state()
        except ServiceError as error:
            return html_table(caption, ("state", "value"), [("error", error)])
        rows = [
            ("events", state.events),
            ("phase", f"{state.phase} ({state.steps_left} steps left)"),
            ("threshold", state.threshold),
            ("acceptance rate", state.acceptance_rate),
            ("level norms", ", ".join(short(norm) for norm in state.norms)),
            ("rows", f"{state.lattice_size} of {self.params.lattice.capacity}"),
            ("emergency", state.emergency or "none"),
            ("events lost", sum(gap.lost for gap in state.gaps)),
        ]
        return html_table(caption, ("state", "value"), rows)


def _outcome(taken: messages.OutcomeMessage) -> Outcome:
    return Outcome(*(getattr(taken, name) for name in Outcome._fields))


def _check_size(name: str, vectors: NDArray[np.float32]) -> None:
    """Refuse vectors that the service would: an engine alone takes larger ones."""
    outside = np.argwhere(np.abs(vectors) > messages.LARGEST)
    if len(outside):
        place = tuple(int(i) for i in outside[0])
        at = ", ".join(map(str, place))
        raise ParameterError(
            f"{name}[{at}]: must be at most {messages.LARGEST:g} in size (got {vectors[place]})"
        )


def created(sender: Sender, asked: dict[str, Any]) -> RemoteSession:
    """Return a new session, made as is asked."""
    owner = "Client.create"
    content = sender.send(
        owner, "POST", "/v1/sessions", body=_json(asked), headers=JSON, repeatable=False
    )
    return RemoteSession(sender, read(owner, content, messages.SessionInfo))


def found(sender: Sender, id: str) -> RemoteSession:
    """Return the session of this id."""
    owner = "Client.session"
    return RemoteSession(
        sender, read(owner, sender.send(owner, "GET", f"/v1/sessions/{id}"), messages.SessionInfo)
    )


def listed(sender: Sender) -> list[dict[str, Any]]:
    """Return what is known of each session, as plain values."""
    owner = "Client.sessions"
    answer = read(owner, sender.send(owner, "GET", "/v1/sessions"), messages.SessionList)
    return [msgspec.to_builtins(session) for session in answer.sessions]


def _json(asked: dict[str, Any]) -> bytes:
    return json.dumps(asked, allow_nan=False).encode()


def read(owner: str, content: bytes, kind: type[M]) -> M:
    """Return an answer in the form that it must have, or raise a ServiceError."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceError(f"{owner}: the answer is not what it must be ({error})") from None
