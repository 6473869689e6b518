"""Governors one after another: order kept, and one that fails is skipped, logged and named."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, fields
from typing import Any, Literal

import pandas as pd

from mlsdm.asking import Dialogue, aanswered, answered, is_coroutine_function
from mlsdm.checks import as_whole
from mlsdm.display import html_table
from mlsdm.errors import ParameterError, RunError, in_a_line
from mlsdm.speech.governor import Governed, Governor

__all__ = ["Governance", "Pipeline", "Step"]

_log = logging.getLogger("mlsdm.speech")


@dataclass(frozen=True)
class Step:
    """What one governor of a pipeline did.

    Parameters
    ----------
    governor
        Its name.
    status
        ``"kept"`` or ``"changed"`` the text, or ``"failed"`` and was skipped.
    said
        What it says that it did, or how it failed.
    tries
        How often it asked the model.
    before, after
        The text.
    """

    governor: str
    status: Literal["kept", "changed", "failed"]
    said: str
    tries: int
    before: str
    after: str


@dataclass(frozen=True)
class Governance:
    """What a pipeline made of a draft: the text, and the step of every governor in order."""

    text: str
    steps: tuple[Step, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step, with the fields of `Step` as columns."""
        columns = [field.name for field in fields(Step)]
        return pd.DataFrame([vars(step) for step in self.steps], columns=columns)

    def _repr_html_(self) -> str:
        columns = ("governor", "status", "said", "tries")
        rows = [[getattr(step, column) for column in columns] for step in self.steps]
        return html_table("Governance", columns, rows, most=len(rows))


class Pipeline:
    """Governors one after another, each given what the one before it made of the draft.

    One that fails is skipped, logged and named in its step: whatever it raises, asks too often, or
    returns something else than a `Governed` with texts.

    Parameters
    ----------
    *governors
        In their order; their names differ.

    Raises
    ------
    ParameterError
        When one is no governor, or has no name of its own.
    """

    def __init__(self, *governors: Governor) -> None:
        names: list[str] = []
        for governor in governors:
            if not isinstance(governor, Governor):
                raise ParameterError(f"Pipeline.governors: must be governors (got {governor!r})")
            name = getattr(governor, "name", None)
            if not isinstance(name, str) or not name or name in names:
                raise ParameterError(
                    f"Pipeline.governors: each must have a name of its own (got {name!r} after "
                    f"{names})"
                )
            as_whole(f"Pipeline.governors: {name}.tries", governor.tries, 0)
            names.append(name)
        self.governors, self.names = governors, tuple(names)

    def govern(self, draft: str) -> Generator[str, str, Governance]:
        """Yield what the model is to be asked, be sent its drafts, and return what became of it.

        Raises
        ------
        ParameterError
            When the draft is no text.
        """
        if not isinstance(draft, str):
            raise ParameterError(
                f"Pipeline.govern.draft: must be a text (got {type(draft).__name__})"
            )
        text, steps = draft, []
        for name, governor in zip(self.names, self.governors, strict=True):
            step = yield from _step(name, governor, text)
            steps.append(step)
            text = step.after
        return Governance(text, tuple(steps))

    def run(self, draft: str, ask: Callable[[str], str]) -> Governance:
        """Return what becomes of a draft.

        Parameters
        ----------
        draft
            The model's first answer.
        ask
            Given an instruction, returns a new draft. An exception that it raises is the
            governor's to handle.

        Raises
        ------
        ParameterError
            When the draft is no text, or `ask` is a coroutine function.
        """
        if is_coroutine_function(ask):
            raise ParameterError("Pipeline.run.ask: is a coroutine function, which `arun` awaits")
        return answered(self.govern(draft), ask)

    async def arun(self, draft: str, ask: Callable[[str], Awaitable[str]]) -> Governance:
        """Return what becomes of a draft, as `run` does; what `ask` returns is awaited."""

        async def asked(instruction: str) -> Any:
            answer: Any = ask(instruction)
            return await answer if inspect.isawaitable(answer) else answer

        return await aanswered(self.govern(draft), asked)

    def __repr__(self) -> str:
        return f"Pipeline({', '.join(map(repr, self.governors))})"


def _step(name: str, governor: Governor, before: str) -> Generator[str, str, Step]:
    """Yield what one governor asks, and return what it did; its failure is a step as well."""
    tries = 0
    try:
        done: Any = governor.govern(before)
        if isinstance(done, Generator):
            with Dialogue(done) as dialogue:
                while dialogue.asks():
                    _check_ask(dialogue.question, tries, governor.tries)
                    tries += 1
                    with dialogue.answering():
                        dialogue.answer = _as_draft((yield dialogue.question))
                done = dialogue.result
        if not isinstance(done, Governed) or not isinstance(done.text, str):
            raise RunError(f"returned no Governed with a text (got {type(done).__name__})")
        status: Literal["kept", "changed"] = "kept" if done.text == before else "changed"
        return Step(name, status, str(done.said), tries, before, done.text)
    except Exception as error:
        said = f"failed and was skipped: {in_a_line(error)}"
        _log.warning("governor %r %s", name, said)
        return Step(name, "failed", said, tries, before, before)


def _check_ask(instruction: object, tries: int, most: int) -> None:
    if not isinstance(instruction, str):
        raise RunError(f"asked with what is no text (got {type(instruction).__name__})")
    if tries >= most:
        raise RunError(f"asked more than {most} times")


def _as_draft(draft: object) -> str:
    if not isinstance(draft, str):
        raise RunError(f"the model's new draft is no text (got {type(draft).__name__})")
    return draft
