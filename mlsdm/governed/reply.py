"""What becomes of one request to a governed model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from mlsdm.display import html_table
from mlsdm.engine.outcome import Outcome
from mlsdm.engine.rhythm import Phase
from mlsdm.speech.pipeline import Governance

__all__ = ["Remembered", "Reply", "Status", "Why"]

Status = Literal["committed", "refused", "failed", "degraded"]
Why = Literal[
    "", "moral", "sleep", "emergency", "model", "circuit open", "deadline", "embedder", "memory"
]


class Remembered(NamedTuple):
    """An exchange of before that was recalled.

    `resonance` is the cosine between its prompt and the one that is answered.
    """

    prompt: str
    answer: str
    resonance: float


@dataclass(frozen=True)
class Reply:
    """What became of a request, and why.

    Parameters
    ----------
    status
        ``"committed"``: answered, and remembered where there is a memory. ``"refused"`` by the
        engine. ``"failed"``: there is no answer. ``"degraded"``: answered, but not remembered.
    why
        Of what is refused: ``"moral"``, ``"sleep"``, ``"emergency"``. Of what failed:
        ``"model"``, ``"circuit open"``, ``"deadline"``. Of what is degraded: ``"sleep"`` (a short
        answer), ``"embedder"``, ``"memory"``. Else empty.
    text
        The answer; empty where there is none.
    event
        What the engine made of it; None where the engine was left as it was.
    phase
        The phase in which the request was taken.
    recalled
        The exchanges that stood in the prompt, best first.
    governance
        What the governors did; None where there was no draft, or no governor.
    calls
        Attempts at the language model, all told.
    detail
        One sentence on what failed; else empty.
    """

    status: Status
    why: Why = ""
    text: str = ""
    event: Outcome | None = None
    phase: Phase = "wake"
    recalled: tuple[Remembered, ...] = ()
    governance: Governance | None = None
    calls: int = 0
    detail: str = ""

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.status in ("committed", "degraded")

    def _repr_html_(self) -> str:
        steps = self.governance.steps if self.governance else ()
        rows = [
            ("status", f"{self.status}: {self.why}" if self.why else self.status),
            ("text", self.text),
            ("phase", self.phase),
            ("recalled", "; ".join(one.prompt for one in self.recalled) or "nothing"),
            ("governors", "; ".join(f"{step.governor}: {step.said}" for step in steps) or "none"),
            ("calls", self.calls),
            ("detail", self.detail),
        ]
        return html_table("Reply", ("of the request", "value"), rows)
