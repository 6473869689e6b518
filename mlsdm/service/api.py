"""The endpoints: sessions, their events, what they recall and how they are."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Annotated, Any

import msgspec
import numpy as np
from litestar import Controller, Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.params import HeaderParameter, PathParameter, QueryParameter, RawBody
from litestar.response import Stream

from mlsdm.service.files import Answer
from mlsdm.service.messages import (
    Created,
    Found,
    OutcomeMessage,
    Outcomes,
    Recalled,
    RecallRequest,
    Restored,
    SessionInfo,
    SessionList,
    SnapshotInfo,
    StateMessage,
    check_answer,
    decoded,
    given_events,
    given_vector,
)  # fmt: skip
from mlsdm.service.problems import Problem
from mlsdm.service.session import Awake, Session
from mlsdm.service.sessions import Sessions

__all__ = ["SessionController"]

JSON = "application/json"

Asked = Request[Any, Any, State]
SessionId = Annotated[str, PathParameter(description="32 hexadecimal digits.")]
Levels = Annotated[bool, QueryParameter(description="Whether to tell of the levels' vectors.")]
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="A name for this request: sent again with it, it is answered as it was, and "
        "no event is taken twice.",
    ),
]

_encode = msgspec.json.Encoder().encode


def _sessions(request: Asked) -> tuple[Sessions, str]:
    """Return the sessions and whose request it is.

    Raises
    ------
    Problem
        While the service is starting.
    """
    state: Any = request.app.state
    if not state.started:
        raise Problem(503, "not-ready", "The service is starting.", headers={"Retry-After": "1"})
    return state.sessions, request.scope["state"]["client"]


def _said_in_json(kind: type[Any], request: Asked, body: bytes) -> Any:
    media_type = request.content_type[0]
    if media_type != JSON:
        said = f"Content-Type must be {JSON} (got {media_type[:100]!r})."
        raise Problem(415, "unsupported-media-type", said, [("Content-Type", f"must be {JSON}")])
    return decoded(kind, body)


class SessionController(Controller):
    """Endpoints of the sessions of one client."""

    path = "/v1/sessions"
    tags = ("sessions",)

    @post(summary="Begin a session")
    async def create(self, request: Asked, body: RawBody) -> Response[SessionInfo]:
        """Begin a session: an engine with its parameters over those of a preset."""
        sessions, client = _sessions(request)
        asked = _said_in_json(Created, request, body) if body else Created()
        session = await sessions.create(asked, client)
        place = {"Location": f"/v1/sessions/{session.id}"}
        return Response(sessions.info(session), headers=place, status_code=201)

    @get(summary="List one's sessions")
    async def listed(self, request: Asked) -> SessionList:
        """Tell of all sessions of this client, the oldest first."""
        sessions, client = _sessions(request)
        return SessionList([sessions.info(session) for session in sessions.owned(client)])

    @get("/{session_id:str}", summary="Tell of a session")
    async def one(self, request: Asked, session_id: SessionId) -> SessionInfo:
        """Tell of a session: its parameters, its last snapshot, and what was lost."""
        sessions, client = _sessions(request)
        return sessions.info(sessions.known(session_id, client))

    @delete("/{session_id:str}", summary="End a session")
    async def end(self, request: Asked, session_id: SessionId) -> None:
        """End a session, and take away its snapshot."""
        sessions, client = _sessions(request)
        await sessions.delete(session_id, client)

    @post("/{session_id:str}/events", status_code=200, summary="Take events")
    async def take(
        self,
        request: Asked,
        session_id: SessionId,
        body: RawBody,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[Outcomes]:
        """Take one event or a batch, in order; all are checked before the first is taken."""
        sessions, client = _sessions(request)
        async with sessions.use(session_id, client) as (session, awake):
            if idempotency_key is None:
                return _answer(_taken(request, session, awake, body))
            digest = hashlib.blake2b(body, digest_size=16).hexdigest()
            before = awake.answers.get(idempotency_key)
            if before is None:
                answer = _taken(request, session, awake, body)
                kept = Answer(digest, session.events, answer.decode())
                awake.keep(idempotency_key, kept, sessions.bounds.answers)
                return _answer(answer)
            if before.digest != digest:
                said = "was used for another request"
                raise Problem(
                    422, "unprocessable", f"Idempotency-Key: {said}.", [("Idempotency-Key", said)]
                )
            return _answer(before.body.encode(), {"Idempotent-Replayed": "true"})

    @post("/{session_id:str}/recall", status_code=200, summary="Recall")
    async def recall(self, request: Asked, session_id: SessionId, body: RawBody) -> Recalled:
        """Tell what the engine holds in its current phase nearest to a vector, best first."""
        sessions, client = _sessions(request)
        asked: RecallRequest = _said_in_json(RecallRequest, request, body)
        async with sessions.use(session_id, client) as (session, awake):
            query = given_vector(asked.vector, session.params.dim)
            if asked.vectors:
                check_answer("top_k", asked.top_k, session.params.dim)
            phase = awake.controller.rhythm.phase
            recalled = awake.controller.retrieve_context(query, asked.top_k)
        return Recalled(
            phase,
            [
                Found(
                    one.row,
                    one.resonance,
                    one.phase,
                    one.vector.tolist() if asked.vectors else None,
                )
                for one in recalled
            ],
        )

    @get("/{session_id:str}/state", summary="Tell of the engine's state")
    async def state(
        self, request: Asked, session_id: SessionId, levels: Levels = False
    ) -> StateMessage:
        """Tell of phase, threshold and levels; the levels' vectors where they are asked for."""
        sessions, client = _sessions(request)
        async with sessions.use(session_id, client) as (session, awake):
            engine = awake.controller
            return StateMessage(
                engine.events,
                engine.rhythm.phase,
                engine.rhythm.counter,
                engine.moral.threshold,
                engine.moral.acceptance_rate,
                engine.synapse.norms,
                engine.lattice.size,
                engine.emergency,
                session.gaps,
                np.asarray(engine.synapse.levels).tolist() if levels else None,
            )

    @post("/{session_id:str}/snapshot", status_code=200, summary="Write a snapshot")
    async def snapshot(self, request: Asked, session_id: SessionId) -> SnapshotInfo:
        """Write the engine to the server's disk."""
        sessions, client = _sessions(request)
        async with sessions.use(session_id, client) as (session, _):
            return await sessions.save(session)

    @get("/{session_id:str}/snapshot", summary="Fetch the last snapshot")
    async def fetch(self, request: Asked, session_id: SessionId) -> Stream:
        """Give the last snapshot as a file, which `CognitiveController.load` reads."""
        sessions, client = _sessions(request)
        session = sessions.known(session_id, client)
        size, parts = await sessions.fetch(session)
        headers = {
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="{session.id}.snapshot"',
        }
        return Stream(parts, media_type="application/octet-stream", headers=headers)

    @post("/{session_id:str}/restore", status_code=200, summary="Go back to the last snapshot")
    async def restore(self, request: Asked, session_id: SessionId) -> Restored:
        """Go back to the last snapshot; tell how many events are given up by it."""
        sessions, client = _sessions(request)
        async with sessions.use(session_id, client) as (session, _):
            discarded = await sessions.restore(session)
            return Restored(session.events, discarded)


def _answer(encoded: Any, headers: dict[str, str] | None = None) -> Response[Outcomes]:
    """Return an answer that is in JSON already."""
    return Response(encoded, media_type=JSON, headers=headers)


def _taken(request: Asked, session: Session, awake: Awake, body: bytes) -> bytes:
    """Let the engine take the events of a body; return the answer."""
    given = given_events(body, request.content_type[0], session.params.dim)
    outcomes = awake.take(given)
    state: Any = request.app.state
    for reason, n in Counter(outcome.reason for outcome in outcomes).items():
        state.metrics.events[reason].inc(n)
    return _encode(Outcomes(session.events, [OutcomeMessage(*outcome) for outcome in outcomes]))
