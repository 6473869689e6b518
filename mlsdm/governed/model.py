"""A language model governed by the engine: admitted, given what it remembers, mended, committed."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.asking import aanswered, answered
from mlsdm.checks import as_whole
from mlsdm.display import html_table
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.inputs import as_context, as_moral_value, as_params, as_vector
from mlsdm.errors import ParameterError
from mlsdm.governed.breaker import Breaker
from mlsdm.governed.calling import Called, Guarded
from mlsdm.governed.errors import CallError
from mlsdm.governed.flow import Ask, Compose, Request, compose, flow
from mlsdm.governed.memory import Memory
from mlsdm.governed.params import GovernedParams
from mlsdm.governed.reply import Reply
from mlsdm.speech.governor import Governor, TelegraphicGovernor
from mlsdm.speech.pipeline import Pipeline

__all__ = ["GovernedModel"]


class GovernedModel:
    """Any language model and embedder with the engine around them; safe for threads and tasks.

    A request passes the moral filter, is told what the memory recalls, is answered, mended by the
    governors, and committed; the wake that ends is replayed into sleep. The engine changes as a
    whole or not at all, and only by requests whose `Reply` has an `event`.

    Parameters
    ----------
    generate
        ``generate(prompt, max_tokens)`` returns a text; a function or a coroutine function.
    embed
        ``embed(text)`` returns (dim,) finite numbers; not needed without memory.
    params
        Parameters of the engine, of the calls, and what is left out.
    governor
        What drafts go through: a `Governor` or a `Pipeline` of several; by default a
        `TelegraphicGovernor`.
    compose
        Makes the model's prompt of the request's and what is recalled.
    clock, sleep
        Seconds, as `time.monotonic` tells them, and how to wait for some; for simulated time.

    Raises
    ------
    ParameterError
        When an argument is not what it must be.
    """

    def __init__(
        self,
        generate: Callable[[str, int], str | Awaitable[str]],
        embed: Callable[[str], Any] | None = None,
        params: GovernedParams | None = None,
        *,
        governor: Governor | Pipeline | None = None,
        compose: Compose = compose,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        owner = "GovernedModel"
        self.params = (
            GovernedParams() if params is None else as_params(owner, params, GovernedParams)
        )
        governor = TelegraphicGovernor() if governor is None else governor
        pipeline = governor if isinstance(governor, Pipeline) else Pipeline(governor)
        self.pipeline = pipeline if self.params.governor else None
        for name, given in (("compose", compose), ("clock", clock), ("sleep", sleep)):
            if not callable(given):
                raise ParameterError(f"{owner}.{name}: must be a function (got {given!r})")
        self._compose, self._clock = compose, clock
        self._memory = Memory(self.params.ablated_engine)
        if embed is None and self.params.memory:
            raise ParameterError(f"{owner}.embed: must be given, unless params.memory is False")
        functions = {"generate": (generate, _as_text), "embed": (embed, self._as_embedding)}
        self._calls = {
            name: Guarded(name, function, self.params.calls, check=check, clock=clock, sleep=sleep)
            for name, (function, check) in functions.items()
            if function is not None
        }

    @property
    def controller(self) -> CognitiveController:
        """The engine, to be looked at; events that do not come by requests have no texts."""
        return self._memory.controller

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        """The circuit breakers, by the name of what is called."""
        return MappingProxyType({name: call.breaker for name, call in self._calls.items()})

    def reply(
        self,
        prompt: str,
        moral_value: float,
        *,
        context: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply:
        """Take one request, and say what became of it; nothing that a call raises comes through.

        Parameters
        ----------
        prompt
            A text that is not empty.
        moral_value
            Of the prompt, in [0, 1]; 1 is harmless.
        context
            What else is known of it, in [0, 1], for policies that ask for it.
        max_tokens
            Tokens wanted at most; the phase allows so many.

        Raises
        ------
        ParameterError
            When an argument is not allowed, or `generate` or `embed` is a coroutine function; then
            nothing has happened. What `compose` raises comes through.
        """
        for name, call in self._calls.items():
            if call.must_be_awaited:
                raise ParameterError(
                    f"GovernedModel.reply: {name} is a coroutine function; await areply instead"
                )
        request, until = self._asked("reply", prompt, moral_value, context, max_tokens)
        made = _Attempts()

        def answer(ask: Ask) -> Any:
            with made.at(ask):
                return made.done(self._calls[ask.of].call(*ask.arguments, until=until[ask.of]))

        reply = answered(self._flow(request), answer)
        return replace(reply, calls=made.number)

    async def areply(
        self,
        prompt: str,
        moral_value: float,
        *,
        context: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply:
        """Take one request as `reply` does; functions that are no coroutines run in threads."""
        request, until = self._asked("areply", prompt, moral_value, context, max_tokens)
        made = _Attempts()

        async def answer(ask: Ask) -> Any:
            with made.at(ask):
                call = self._calls[ask.of]
                return made.done(await call.acall(*ask.arguments, until=until[ask.of]))

        reply = await aanswered(self._flow(request), answer)
        return replace(reply, calls=made.number)

    def _flow(self, request: Request) -> Generator[Ask, Any, Reply]:
        return flow(request, self.params, self._memory, self.pipeline, self._compose)

    def _asked(
        self, name: str, prompt: Any, value: Any, context: Any, max_tokens: Any
    ) -> tuple[Request, dict[str, float | None]]:
        """Check a request, and return it with its deadlines by what is called."""
        owner = f"GovernedModel.{name}"
        if not isinstance(prompt, str) or not prompt.strip():
            got = "none in it" if isinstance(prompt, str) else type(prompt).__name__
            raise ParameterError(f"{owner}.prompt: must be a text with a word in it (got {got})")
        value = as_moral_value(owner, value)
        context = None if context is None else as_context(owner, context, value)
        if max_tokens is not None:
            max_tokens = as_whole(f"{owner}.max_tokens", max_tokens, 1)
        times = self.params.deadline, self.params.embedding_deadline
        now, limits = self._clock(), [math.inf if limit is None else limit for limit in times]
        until = {"generate": now + limits[0], "embed": now + min(limits)}
        finite = {of: None if math.isinf(end) else end for of, end in until.items()}
        return Request(prompt, value, context, max_tokens), finite

    def _as_embedding(self, returned: Any) -> NDArray[np.float32]:
        """Return what `embed` returned as a vector of the engine, or refuse it."""
        try:
            return as_vector("embed", returned, self.params.engine.dim, "returned")
        except ParameterError as error:
            raise CallError(str(error).removeprefix("embed.")) from error

    def __repr__(self) -> str:
        states = ", ".join(f"{name} {breaker.state}" for name, breaker in self.breakers.items())
        return f"GovernedModel({self.controller!r}; calls: {states})"

    def _repr_html_(self) -> str:
        rows = [
            ("engine", repr(self.controller)),
            ("left out", ", ".join(self.params.left_out) or "nothing"),
            ("governors", ", ".join(self.pipeline.names) if self.pipeline else "none"),
            *((f"breaker of {name}", one.state) for name, one in self.breakers.items()),
        ]
        return html_table("GovernedModel", ("part", "state"), rows)


class _Attempts:
    """Attempts at the language model in one request."""

    def __init__(self) -> None:
        self.number = 0
        self._counting = False

    @contextmanager
    def at(self, ask: Ask) -> Iterator[None]:
        """Count the attempts of a call that fails."""
        self._counting = ask.of == "generate"
        try:
            yield
        except CallError as error:
            self.number += error.attempts if self._counting else 0
            raise

    def done(self, called: Called) -> Any:
        """Count the attempts of a call that did not, and return what it brought."""
        self.number += called.attempts if self._counting else 0
        return called.value


def _as_text(returned: Any) -> str:
    if not isinstance(returned, str):
        raise CallError(f"must return a text (got {type(returned).__name__})")
    return str.__str__(returned)  # a plain one, whatever is made of it
