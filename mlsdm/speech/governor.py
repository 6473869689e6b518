"""One governor: what may ask a language model for a better draft, and ours against telegrams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import Field, field_validator

from mlsdm.display import short
from mlsdm.errors import in_a_line
from mlsdm.parameters import Parameters, Share, parameters
from mlsdm.speech.detector import SpeechParams, analyze, as_preset

__all__ = ["INSTRUCTION", "Asking", "Governed", "Governor", "TelegraphicGovernor", "follow_up"]

INSTRUCTION = (
    "Please write your answer again in full, grammatical sentences, with articles, verbs and "
    "prepositions, and with exactly the same content: add nothing and leave nothing out."
)
"""What the telegraphic governor says to the model."""


@dataclass(frozen=True)
class Governed:
    """What a governor made of a draft.

    Parameters
    ----------
    text
        The text that goes on.
    said
        What was done, in one sentence.
    tries
        How often the model was asked.
    """

    text: str
    said: str
    tries: int = 0


Asking: TypeAlias = Generator[str, str, Governed]
"""Yields what the model is told after the prompt (see `follow_up`), and is sent its new draft."""


def follow_up(draft: str, instruction: str) -> str:
    """Return what tells a model to write its draft anew."""
    return f"Your answer was:\n{draft}\n\n{instruction}"


class Governor(ABC):
    """Judges a draft, and may ask the language model for others.

    A governor of your own has a `name`, and a `govern` that returns what it made of the draft. To
    ask the model, it yields what the model is told after the prompt, and is sent the new draft; if
    that fails, the error is raised at the ``yield``::

        class Polite(Governor):
            name = "polite"

            def govern(self, draft):
                polite = yield follow_up(draft, "Say it politely.")
                return Governed(polite, "asked for manners", 1)
    """

    name: str
    tries: int = 10
    """How often it may ask; one that asks more often has failed."""

    @abstractmethod
    def govern(self, draft: str) -> Asking | Governed:
        """Return what becomes of a draft, or a generator that asks the model and returns it."""


@parameters
class TelegraphicGovernor(Governor, Parameters):
    """Asks again while a draft is telegraphic, and keeps the least telegraphic, the first on ties.

    An answer of one word is telegraphic too: where such answers are wanted, leave it out.

    Parameters
    ----------
    severity
        Severity from which a draft is asked for again.
    tries
        How often at most.
    preset
        How severity is measured: ``"default"``, ``"published"``, or a `SpeechParams`.
    """

    severity: Share = 0.3
    tries: Annotated[int, Field(ge=0, le=100)] = 2
    preset: Any = "default"
    name = "telegraphic"

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: Any) -> str | SpeechParams:
        return as_preset("TelegraphicGovernor.preset", preset)

    def govern(self, draft: str) -> Asking:
        """Ask for full sentences until a draft has them, the tries are used up or asking fails."""
        best = draft
        first = least = analyze(draft, self.preset).severity
        tries, trouble = 0, ""
        while least >= self.severity and tries < self.tries and not trouble:
            tries += 1
            try:
                new = yield follow_up(best, INSTRUCTION)
            except Exception as error:
                trouble = in_a_line(error)
                continue
            report = analyze(new, self.preset)
            # One in a script that the detector does not know may be anything.
            if report.severity < least and "unsupported_script" not in report.flags:
                best, least = new, report.severity
        return Governed(best, self._said(first, least, tries, trouble), tries)

    def _said(self, first: float, least: float, tries: int, trouble: str) -> str:
        """Return what was done, in one sentence."""
        limit = short(self.severity)
        if first < self.severity:
            return f"severity {short(first)} is below {limit}: nothing was asked"
        course = f"severity did not improve on the first draft's {short(first)}"
        if least < first:
            course = f"severity fell from {short(first)} to {short(least)}"
        asked = f"after {tries} {'try' if tries == 1 else 'tries'}"
        if trouble:
            return f"{course} {asked}, and asking failed: {trouble}"
        if least < self.severity:
            return f"{course} {asked}"
        return f"{course} {asked}, all there are; it is still not below {limit}"
