"""What is said over HTTP: the bodies of requests and answers, and the binary form of events."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from mlsdm.service.problems import Problem

__all__ = [
    "BINARY", "LARGEST", "MOST", "Created", "Event", "EventBatch", "EventList", "Found", "Gap",
    "Given", "OutcomeMessage", "Outcomes", "RecallRequest", "Recalled", "Restored", "SessionInfo",
    "SessionList", "SnapshotInfo", "StateMessage", "decoded", "event_dtype", "given_events",
    "given_vector",
]  # fmt: skip

BINARY = "application/vnd.mlsdm.events"
"""Media type of the binary form: rows of `event_dtype`, one an event, and nothing else."""

LARGEST = 1e6
"""How large an element of a vector may be: so that no batch can carry the levels out of float32."""

MOST = 1024
MOST_NUMBERS = 2**18  # of an answer's vectors
"""Events of the largest batch: others wait while the engine takes it, some milliseconds."""

Share = Annotated[float, Meta(ge=0, le=1)]
Element = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Vector = Annotated[list[Element], Meta(min_length=1, max_length=32_767)]
Whole = Annotated[int, Meta(ge=0)]


class Created(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new session is to be: an engine's parameters over a preset's."""

    preset: Literal["specification", "published"] = "specification"
    params: dict[str, Any] = msgspec.field(default_factory=dict)


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event; the context is the moral value where none is given."""

    vector: Vector
    moral_value: Share
    context: Share | None = None


class EventBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events, in the order in which they happen."""

    events: Annotated[list[Event], Meta(min_length=1, max_length=MOST)]


class EventList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a body in JSON may hold: one event, or a batch."""

    vector: Vector | UnsetType = UNSET
    moral_value: Share | UnsetType = UNSET
    context: Share | UnsetType | None = UNSET
    events: Annotated[list[Event], Meta(min_length=1, max_length=MOST)] | UnsetType = UNSET


class OutcomeMessage(msgspec.Struct, frozen=True):
    """What became of one event, and the engine's state after it."""

    event: Whole
    accepted: bool
    reason: Literal["committed", "moral", "sleep", "emergency"]
    phase: Literal["wake", "sleep"]
    threshold: float
    acceptance_rate: float
    norms: tuple[float, float, float]
    lattice_size: Whole


class Outcomes(msgspec.Struct, frozen=True):
    """What became of the events of a request, and how many the session has taken in all."""

    events: Whole
    outcomes: list[OutcomeMessage]


class RecallRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for, in the current phase."""

    vector: Vector
    top_k: Annotated[int, Meta(ge=1, le=1000)] = 5
    vectors: bool = False


class Found(msgspec.Struct, frozen=True):
    """One row that was found; its vector where that was asked for."""

    row: Whole
    resonance: float
    phase: float
    vector: list[float] | None = None


class Recalled(msgspec.Struct, frozen=True):
    """What was found, best first, and the phase in which it was looked for."""

    phase: Literal["wake", "sleep"]
    found: list[Found]


class Gap(msgspec.Struct, frozen=True):
    """Events that had been accepted after the last snapshot when the server was killed."""

    first: Whole
    lost: Annotated[int, Meta(ge=1)]
    found: str


class SnapshotInfo(msgspec.Struct, frozen=True):
    """A snapshot on the server's disk."""

    events: Whole
    bytes: Whole
    at: str


class Restored(msgspec.Struct, frozen=True):
    """A session that went back to its last snapshot."""

    events: Whole
    discarded: Whole


class SessionInfo(msgspec.Struct, frozen=True):
    """A session: one engine, and what is known of it."""

    id: str
    created: str
    preset: Literal["specification", "published"]
    params: dict[str, Any]
    dim: Annotated[int, Meta(ge=1)]
    memory_bytes: Whole
    events: Whole
    awake: bool
    snapshot: SnapshotInfo
    gaps: list[Gap]


class SessionList(msgspec.Struct, frozen=True):
    """The sessions of a client."""

    sessions: list[SessionInfo]


class StateMessage(msgspec.Struct, frozen=True):
    """The state of an engine; its levels, (3, dim), where they were asked for."""

    events: Whole
    phase: Literal["wake", "sleep"]
    steps_left: Whole
    threshold: float
    acceptance_rate: float
    norms: tuple[float, float, float]
    lattice_size: Whole
    emergency: str | None
    gaps: list[Gap]
    levels: list[list[float]] | None = None


class Given(NamedTuple):
    """Events that an engine can take: (n, dim) float32, and n numbers each."""

    vectors: NDArray[np.float32]
    moral_values: list[float]
    contexts: list[float]


_decoders: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Created, EventList, RecallRequest)
}


def event_dtype(dim: int) -> np.dtype[np.void]:
    """Return the layout of one event of the binary form, little-endian, without padding."""
    return np.dtype([("moral_value", "<f8"), ("context", "<f8"), ("vector", "<f4", (dim,))])


def decoded(kind: type[Any], body: bytes) -> Any:
    """Return what a body in JSON says.

    Raises
    ------
    Problem
        400 when it is not JSON, 422 with the field when it is not what it must be.
    """
    try:
        return _decoders[kind].decode(body)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".") or "body"
        raise _unfit(field, said) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "bad-request", f"The body is not JSON: {error}.") from None


def _unfit(field: str, said: str) -> Problem:
    return Problem(422, "unprocessable", f"{field}: {said}.", [(field, said)])


def given_events(body: bytes, media_type: str, dim: int) -> Given:
    """Return the events of a body.

    Raises
    ------
    Problem
        When they are not all such that the engine can take them; 415 for another media type.
    """
    if media_type == BINARY:
        return _from_rows(body, dim)
    if media_type != "application/json":
        raise Problem(
            415,
            "unsupported-media-type",
            f"Content-Type must be application/json or {BINARY} (got {media_type[:100]!r}).",
            [("Content-Type", f"must be application/json or {BINARY}")],
        )
    asked: EventList = decoded(EventList, body)
    if asked.events is not UNSET:
        for name in ("vector", "moral_value", "context"):
            if getattr(asked, name) is not UNSET:
                raise _unfit(name, "must not stand beside `events`")
        return _from_list(asked.events, dim, "events[{}].vector")
    for name in ("vector", "moral_value"):
        if getattr(asked, name) is UNSET:
            raise _unfit("body", f"Object missing required field `{name}`")
    context = None if asked.context is UNSET else asked.context
    return _from_list([Event(asked.vector, asked.moral_value, context)], dim, "vector")  # type: ignore[arg-type]


def _from_list(events: list[Event], dim: int, name: str) -> Given:
    for i, event in enumerate(events):
        if len(event.vector) != dim:
            raise _unfit(name.format(i), _numbers(dim, len(event.vector)))
    values = [event.moral_value for event in events]
    contexts = [
        value if event.context is None else event.context
        for event, value in zip(events, values, strict=True)
    ]
    return Given(np.array([event.vector for event in events], np.float32), values, contexts)


def _from_rows(body: bytes, dim: int) -> Given:
    kind = event_dtype(dim)
    if not body or len(body) % kind.itemsize:
        must = f"must be rows of {kind.itemsize} bytes, one an event (got {len(body)} bytes)"
        raise _unfit("body", must)
    rows = np.frombuffer(body, kind)
    if len(rows) > MOST:
        raise _unfit("events", f"must be at most {MOST} (got {len(rows)})")
    for name in ("moral_value", "context"):
        outside = ~((rows[name] >= 0) & (rows[name] <= 1))
        if outside.any():
            raise _unfit(f"events[{outside.argmax()}].{name}", "must be a number in [0, 1]")
    outside = ~(np.abs(rows["vector"]) <= LARGEST).all(axis=1)
    if outside.any():
        must = f"must be finite, and at most {LARGEST:g} in size"
        raise _unfit(f"events[{outside.argmax()}].vector", must)
    vectors = np.array(rows["vector"], np.float32, order="C")
    return Given(vectors, rows["moral_value"].tolist(), rows["context"].tolist())


def given_vector(vector: list[float], dim: int) -> NDArray[np.float32]:
    """Return a vector of the engine's length.

    Raises
    ------
    Problem
        When it has another length.
    """
    if len(vector) != dim:
        raise _unfit("vector", _numbers(dim, len(vector)))
    return np.array(vector, np.float32)


def check_answer(field: str, vectors: int, dim: int) -> None:
    """Refuse to answer with so many vectors: they are made into JSON while all others wait.

    Raises
    ------
    Problem
        When they hold more than `MOST_NUMBERS` numbers.
    """
    if vectors * dim > MOST_NUMBERS:
        most = f"must be at most {MOST_NUMBERS} numbers"
        raise _unfit(field, f"{most} (got {vectors} vectors of {dim})")


def _numbers(dim: int, got: int) -> str:
    return f"must hold {dim} numbers (got {got})"
