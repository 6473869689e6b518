"""Stated targets and figures, read from TOML, and the comparison with what was measured."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from numbers import Real
from typing import Any, Literal

from mlsdm.errors import ParameterError, nearest

__all__ = ["Claim", "Judgement", "Target", "claims", "judge", "targets"]


@dataclass(frozen=True)
class Target:
    """A stated performance target: a limit that a measurement is held to.

    `relation` is ``"<"`` or ``">="``; `achieved` is what the original says it reached, as text.
    """

    id: str
    statement: str
    relation: Literal["<", ">="]
    limit: float
    unit: str
    achieved: str

    @property
    def stated_value(self) -> float:
        """The stated number: the limit."""
        return self.limit

    @property
    def stated_text(self) -> str:
        """The target as text, such as ``"< 10 ms"``."""
        return f"{self.relation} {self.limit:g} {self.unit}".rstrip()

    def holds(self, measured: float) -> bool:
        """Whether the measurement meets the target."""
        return measured < self.limit if self.relation == "<" else measured >= self.limit

    def text(self, measured: float) -> str:
        """Write a measurement in the target's unit."""
        return f"{measured:.4g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Claim:
    """A stated figure, its set-up, and the decimals to which it is stated."""

    id: str
    statement: str
    setup: str
    stated: float
    decimals: int
    percent: bool = False

    @property
    def stated_value(self) -> float:
        """The stated number: the figure."""
        return self.stated

    @property
    def stated_text(self) -> str:
        """The stated figure as text, with the decimals it was stated with."""
        return self.text(self.stated)

    def holds(self, measured: float) -> bool:
        """Whether the measurement, rounded as the stated figure is, is the stated figure."""
        # Half a unit of the last digit, with room for binary rounding only: 0.12345 may be either.
        return abs(measured - self.stated) <= 0.5 * 10.0**-self.decimals + 1e-12

    def text(self, measured: float) -> str:
        """Write a measurement with the claim's decimals; shares are written in percent."""
        if self.percent:
            return f"{100 * measured:.{max(self.decimals - 2, 0)}f} %"
        return f"{measured:.{self.decimals}f}"


@dataclass(frozen=True)
class Judgement:
    """One stated target or figure beside its measurement, both as text."""

    id: str
    statement: str
    stated: str
    stated_value: float
    measured: str
    verdict: Literal["met", "not met", "reproduced", "differs"]

    @property
    def holds(self) -> bool:
        """Whether the target is met, or the figure reproduced."""
        return self.verdict in ("met", "reproduced")


def _read(name: str) -> list[dict[str, Any]]:
    table = tomllib.loads((files("mlsdm.evidence") / name).read_text(encoding="utf-8"))
    (entries,) = table.values()
    return list(entries)


@cache
def targets() -> dict[str, Target]:
    """Return the stated performance targets by id (our transcription of the production table)."""
    return {entry["id"]: Target(**entry) for entry in _read("targets.toml")}


@cache
def claims() -> dict[str, Claim]:
    """Return the stated figures that one exact set-up regenerates, by id."""
    return {entry["id"]: Claim(**entry) for entry in _read("claims.toml")}


def judge(id: str, measured: float) -> Judgement:
    """Hold one measurement against the target or the figure stated under `id`.

    A measurement that is not finite never agrees.

    Raises
    ------
    ParameterError
        When nothing is stated under `id`, or the measurement is no real number.
    """
    if isinstance(measured, bool) or not isinstance(measured, Real):
        raise ParameterError(f"judge.measured: must be a real number (got {measured!r})")
    known: dict[str, Target | Claim] = {**targets(), **claims()}
    if id not in known:
        raise ParameterError(f"judge.id: nothing is stated under {id!r}{nearest(str(id), known)}")
    entry = known[id]
    holds = math.isfinite(measured) and entry.holds(measured)
    verdict: Literal["met", "not met", "reproduced", "differs"]
    if isinstance(entry, Target):
        verdict = "met" if holds else "not met"
    else:
        verdict = "reproduced" if holds else "differs"
    return Judgement(
        id, entry.statement, entry.stated_text, entry.stated_value, entry.text(measured), verdict
    )
