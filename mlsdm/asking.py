"""Generators that ask: one text of what happens, for callers that wait and callers that await."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, Self, TypeVar

__all__ = ["Dialogue", "aanswered", "answered", "is_coroutine_function", "translated"]

Q = TypeVar("Q")
A = TypeVar("A")
R = TypeVar("R")
P = TypeVar("P")


def is_coroutine_function(made: Any) -> bool:
    """Return whether what a call of it returns is to be awaited: a function, or an object."""
    called = getattr(made, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(made) or inspect.iscoroutinefunction(called)


class Dialogue(Generic[Q, A, R]):
    """One course of a generator that asks: `while dialogue.asks(): with dialogue.answering(): …`.

    To be used as a context manager: it closes the generator.
    """

    question: Q
    answer: A
    result: R

    def __init__(self, asking: Generator[Q, A, R]) -> None:
        self._asking = asking
        self._go_on: Callable[[], Q] = partial(next, asking)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._asking.close()

    def asks(self) -> bool:
        """Go on to the next `question`; False at the end, when there is a `result`."""
        try:
            self.question = self._go_on()
        except StopIteration as done:
            self.result = done.value
            return False
        return True

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Set `answer` inside: an exception there is raised where the generator asks."""
        try:
            yield
        except Exception as error:
            self._go_on = partial(self._asking.throw, error)
        else:
            self._go_on = partial(self._asking.send, self.answer)


def answered(asking: Generator[Q, A, R], answer: Callable[[Q], A]) -> R:
    """Return what a generator returns, each of its questions answered.

    An exception that `answer` raises is raised where the generator asks.
    """
    with Dialogue(asking) as dialogue:
        while dialogue.asks():
            with dialogue.answering():
                dialogue.answer = answer(dialogue.question)
        return dialogue.result


async def aanswered(asking: Generator[Q, A, R], answer: Callable[[Q], Awaitable[A]]) -> R:
    """Return what a generator returns, as `answered` does; `answer` is awaited."""
    with Dialogue(asking) as dialogue:
        while dialogue.asks():
            with dialogue.answering():
                dialogue.answer = await answer(dialogue.question)
        return dialogue.result


def translated(asking: Generator[Q, A, R], question: Callable[[Q], P]) -> Generator[P, A, R]:
    """Yield what `question` makes of each thing that a generator asks; return what that returns."""
    with Dialogue(asking) as dialogue:
        while dialogue.asks():
            with dialogue.answering():
                dialogue.answer = yield question(dialogue.question)
        return dialogue.result
