"""Generators that ask: one text of what happens, for callers that wait and callers that await."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

__all__ = ["aanswered", "answered", "is_coroutine_function", "translated"]

Q = TypeVar("Q")
A = TypeVar("A")
R = TypeVar("R")
P = TypeVar("P")


def is_coroutine_function(made: Any) -> bool:
    """Return whether what a call of it returns is to be awaited: a function, or an object."""
    called = getattr(made, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(made) or inspect.iscoroutinefunction(called)


def answered(asking: Generator[Q, A, R], answer: Callable[[Q], A]) -> R:
    """Return what a generator returns, each of its questions answered.

    An exception that `answer` raises is raised where the generator asks.
    """
    with closing(asking):
        go_on: Callable[[], Q] = partial(next, asking)
        while True:
            try:
                question = go_on()
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            try:
                go_on = partial(asking.send, answer(question))
            except Exception as error:
                go_on = partial(asking.throw, error)


async def aanswered(asking: Generator[Q, A, R], answer: Callable[[Q], Awaitable[A]]) -> R:
    """Return what a generator returns, as `answered` does; `answer` is awaited."""
    with closing(asking):
        go_on: Callable[[], Q] = partial(next, asking)
        while True:
            try:
                question = go_on()
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            try:
                go_on = partial(asking.send, await answer(question))
            except Exception as error:
                go_on = partial(asking.throw, error)


def translated(asking: Generator[Q, A, R], question: Callable[[Q], P]) -> Generator[P, A, R]:
    """Yield what `question` makes of each thing that a generator asks; return what that returns."""
    with closing(asking):
        go_on: Callable[[], Q] = partial(next, asking)
        while True:
            try:
                asked = go_on()
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            try:
                go_on = partial(asking.send, (yield question(asked)))
            except Exception as error:
                go_on = partial(asking.throw, error)
