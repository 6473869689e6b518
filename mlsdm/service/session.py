"""One session: a client's engine, in memory or on disk, and what is known of it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.outcome import Outcome
from mlsdm.engine.params import EngineParams
from mlsdm.errors import ParameterError
from mlsdm.service.files import Answer, Count, Facts
from mlsdm.service.messages import Created, Gap, Given
from mlsdm.service.problems import Problem

__all__ = ["Awake", "Session", "as_params", "now"]


MOST_SCRUBBED = 64
MOST_ANSWERS = 2**20  # characters of all answers that a session keeps


def now() -> str:
    """Return the time, in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(eq=False)
class Awake:
    """What a session has while its engine is in memory."""

    controller: CognitiveController
    count: Count
    answers: OrderedDict[str, Answer]
    kept: int = field(init=False)  # characters of the answers

    def __post_init__(self) -> None:
        self.kept = sum(len(one.body) for one in self.answers.values())

    def keep(self, key: str, answer: Answer, most: int) -> None:
        """Keep an answer for a request that may come again, and let go of the oldest."""
        self.answers[key] = answer
        self.kept += len(answer.body)
        while len(self.answers) > most or self.kept > MOST_ANSWERS:
            self.kept -= len(self.answers.popitem(last=False)[1].body)

    def take(self, given: Given) -> list[Outcome]:
        """Let the engine take events that have been checked; they are accepted on return."""
        outcomes = [self.controller.process_event(*event) for event in zip(*given, strict=True)]
        self.count.accepted = self.controller.events
        return outcomes


@dataclass(eq=False)
class Session:
    """One client's engine, in memory or on disk. What is done with it is done under `lock`."""

    id: str
    owner: str
    created: str
    preset: Literal["specification", "published"]
    params: EngineParams
    saved: int  # events in the snapshot
    at: str
    gaps: list[Gap] = field(default_factory=list)
    awake: Awake | None = None
    there: bool = True  # not while it begins, nor once it has ended
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def events(self) -> int:
        """Events taken so far."""
        return self.saved if self.awake is None else self.awake.controller.events

    def facts(self) -> Facts:
        """Return what is to be known of it beside a snapshot of this moment."""
        answers = {} if self.awake is None else dict(self.awake.answers)
        return Facts(
            self.owner,
            self.created,
            self.preset,
            self.params.to_dict(),
            self.events,
            now(),
            self.gaps,
            answers,
        )


def as_params(asked: Created, most: int) -> EngineParams:
    """Return the parameters that a new session asks for.

    Raises
    ------
    Problem
        When they are not allowed, or the engine would take more than `most` bytes.
    """
    preset = EngineParams.published() if asked.preset == "published" else EngineParams()
    try:
        params = preset.replace(asked.params)
    except RecursionError:
        raise _refused("must not hold lists of lists without end") from None
    except ParameterError as error:
        owner, _, said = str(error).partition(": ")
        raise Problem(
            422, "unprocessable", _sentence(error), [(_place(preset, owner), said)]
        ) from None
    if params.memory_bytes() > most:
        raise _refused(f"must be an engine of at most {most} bytes (got {params.memory_bytes()})")
    if (rows := params.lattice.scrub_rows) > MOST_SCRUBBED:
        # Each event checks as many, while all other sessions wait.
        raise _refused(f"must be at most {MOST_SCRUBBED} here (got {rows})", "lattice.scrub_rows")
    return params


def _refused(said: str, *names: str) -> Problem:
    place = ".".join(["params", *names])
    return Problem(422, "unprocessable", f"{place}: {said}.", [(place, said)])


def _sentence(error: ParameterError) -> str:
    said = str(error)
    return said if said.endswith("?") else f"{said}."


def _place(params: EngineParams, owner: str) -> str:
    """Return where in a request's body the parameter is that an error names by its class."""
    kind, *names = owner.split(".")
    parts = {type(getattr(params, name)).__name__: [name] for name in params.field_names()}
    # The filter may be any policy's, the whole any preset's.
    inner = [] if kind == "EngineParams" else parts.get(kind, ["moral"])
    return ".".join(["params", *inner, *names])
