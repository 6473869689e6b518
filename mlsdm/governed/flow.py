"""The course of one request, as a generator that asks for the calls it needs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.asking import translated
from mlsdm.errors import ParameterError
from mlsdm.governed.errors import CallError, CircuitOpen, DeadlineExceeded
from mlsdm.governed.memory import Exchange, Memory
from mlsdm.governed.params import GovernedParams
from mlsdm.governed.reply import Remembered, Reply, Why
from mlsdm.speech.pipeline import Pipeline

__all__ = ["Ask", "Compose", "Request", "compose", "flow"]

Compose = Callable[[str, Sequence[Remembered]], str]
Flow = Generator["Ask", Any, Reply]  # sent what the call brought


class Ask(NamedTuple):
    """A call that the course of a request needs, by the name of what is called."""

    of: Literal["generate", "embed"]
    arguments: tuple[Any, ...]


class Request(NamedTuple):
    """What is asked of a governed model."""

    prompt: str
    value: float
    context: float | None
    max_tokens: int | None


def compose(prompt: str, recalled: Sequence[Remembered]) -> str:
    """Return the prompt as the model gets it: what was said before, then what is asked now."""
    if not recalled:
        return prompt
    before = "\n".join(f"- {one.prompt}\n  {one.answer}".rstrip() for one in recalled)
    return f"From earlier in this conversation:\n{before}\n\nNow: {prompt}"


def flow(
    request: Request,
    params: GovernedParams,
    memory: Memory,
    pipeline: Pipeline | None,
    composed: Compose,
) -> Flow:
    """Take a request from admission to commit, and return its Reply.

    The engine changes twice at most, and each time as a whole: when it refuses the request, or at
    the end, when it is answered. Whatever fails between leaves the engine as it was.
    """
    entry = memory.admit(request.value, request.context, asleep=params.asleep == "shorten")
    start = Reply("failed", phase=entry.phase, detail=entry.emergency or "")
    if entry.refused is not None:
        return replace(start, status="refused", why=entry.refused, event=entry.outcome)
    if entry.emergency is not None and params.emergency == "refuse":
        return replace(start, status="refused", why="emergency")

    vector: NDArray[np.float32] | None = None
    lost: Why | None = None if entry.emergency is None else "memory"
    if params.memory and lost is None:
        try:
            vector = yield Ask("embed", (request.prompt,))
            start = replace(start, recalled=memory.recall(vector, params.top_k))
        except Exception as error:  # whatever it is, there is an answer without memory
            lost = "embedder" if isinstance(error, CallError) else "memory"
            start = replace(start, detail=str(error) or repr(error))
    try:
        reply = yield from _drafted(start, request, params, pipeline, composed)
    except CallError as error:
        return replace(start, why=_why(error), detail=str(error))
    if lost is not None:
        return replace(reply, status="degraded", why=lost)
    return _committed(reply, vector, request, params, memory)


def _drafted(
    start: Reply,
    request: Request,
    params: GovernedParams,
    pipeline: Pipeline | None,
    composed: Compose,
) -> Flow:
    """Ask for a draft, and have it governed; return the reply with both."""
    limit = params.tokens_awake if start.phase == "wake" else params.tokens_asleep
    tokens = limit if request.max_tokens is None else min(limit, request.max_tokens)
    prompt = composed(request.prompt, start.recalled)
    if not isinstance(prompt, str):
        got = type(prompt).__name__
        raise ParameterError(f"GovernedModel.compose: must return a text (got {got})")
    draft = yield Ask("generate", (prompt, tokens))
    if pipeline is None:
        return replace(start, text=draft)
    governance = yield from translated(
        pipeline.govern(draft),
        lambda follow_up: Ask("generate", (f"{prompt}\n\n{follow_up}", tokens)),
    )
    return replace(start, text=governance.text, governance=governance)


def _committed(
    reply: Reply,
    vector: NDArray[np.float32] | None,
    request: Request,
    params: GovernedParams,
    memory: Memory,
) -> Reply:
    """Take the answered request as an event of the engine, and return what became of it."""
    kept = params.remembered_characters
    exchange = Exchange(request.prompt[:kept], reply.text[:kept])
    try:
        event = memory.commit(vector, request.value, request.context, exchange)
    except Exception as error:
        # A vector that the levels cannot take in is the embedder's; anything else, the memory's.
        why: Why = "embedder" if isinstance(error, ParameterError) else "memory"
        return replace(reply, status="degraded", why=why, detail=str(error) or repr(error))
    match event.reason:
        case "committed":
            return replace(reply, status="committed", event=event)
        case "sleep":
            return replace(reply, status="degraded", why="sleep", event=event)
        case "moral":  # the threshold has moved meanwhile
            return replace(reply, status="refused", why="moral", event=event, text="")
        case "emergency":
            detail = memory.controller.emergency or ""
            return replace(reply, status="degraded", why="memory", detail=detail)


def _why(error: CallError) -> Why:
    match error:
        case CircuitOpen():
            return "circuit open"
        case DeadlineExceeded():
            return "deadline"
    return "model"
