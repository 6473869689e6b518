"""What the original system (v1.2) states about itself, read from TOML, one file a section.

A group in a file shares its set-up, its measure and its control. A claim is a figure that a
measurement must round to, or with a `relation` a target that it must keep.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from numbers import Real
from types import MappingProxyType
from typing import Any, Literal, get_args

from mlsdm.display import short
from mlsdm.errors import DataError, ParameterError, nearest

__all__ = ["SECTIONS", "VERDICTS", "Claim", "Judgement", "Verdict", "claims", "judge"]

Verdict = Literal[
    "reproduced", "reproduced but means something else", "not reproduced", "not testable here"
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""What an audit says of a claim, once its control is known too."""

SECTIONS = {
    "A": "Performance targets",
    "B": "Moral filter",
    "C": "Wake/sleep rhythm",
    "D": "Telegraphic speech",
    "E": "Memory",
    "F": "Calibration",
    "G": "The project itself",
}

_KEEPS = {
    "<": lambda measured, limit: measured < limit,
    "<=": lambda measured, limit: measured <= limit,
    ">=": lambda measured, limit: measured >= limit,
}


@dataclass(frozen=True)
class Claim:
    """One statement with a number in it, and what it takes to test it.

    Parameters
    ----------
    section
        A key of `SECTIONS`.
    setup, measure
        The stated set-up, and how the number is measured here.
    stated, relation
        The figure, or with a relation other than ``"="`` the limit of a target.
    decimals
        To how many places a figure is stated (of the share itself where `percent`).
    control, control_percent
        The comparison that the number needs in order to mean what it says; whether what comes out
        of it is a share, written in percent.
    holds, fails, differs
        What follows if the control comes out for the claim, against it, or if the number itself is
        not reproduced; names in braces stand for what was measured.
    varies
        Whether the number depends on the machine.
    own_data
        Whether it is measured on data of our choice, as the stated ones are not at hand.
    untestable
        Why nothing can be measured here; else empty.
    """

    id: str
    section: str
    statement: str
    setup: str
    stated: float
    relation: Literal["=", "<", "<=", ">="] = "="
    decimals: int = 0
    percent: bool = False
    unit: str = ""
    measure: str = ""
    control: str = ""
    control_percent: bool = False
    holds: str = ""
    fails: str = ""
    differs: str = "The stated set-up gives {regenerated}, not {stated}."
    varies: bool = False
    own_data: bool = False
    untestable: str = ""

    @property
    def is_target(self) -> bool:
        """Whether a limit is to be kept, and not a figure to come out."""
        return self.relation != "="

    @property
    def stated_text(self) -> str:
        """What is stated as text, such as ``"93.3 %"`` or ``"< 10 ms"``."""
        if not self.is_target:
            return self.text(self.stated)
        limit = f"{100 * self.stated:g} %" if self.percent else f"{self.stated:g} {self.unit}"
        return f"{self.relation} {limit}".rstrip()

    def agrees(self, measured: float) -> bool:
        """Whether a measurement keeps the target, or rounds to the stated figure."""
        if not math.isfinite(measured):
            return False
        if self.is_target:
            return bool(_KEEPS[self.relation](measured, self.stated))
        # Half a unit of the last digit, with room for binary rounding only: 0.12345 may be either.
        return abs(measured - self.stated) <= 0.5 * 10.0**-self.decimals + 1e-12

    def text(self, measured: float) -> str:
        """Write a measurement as the claim is written: its decimals, percent, unit."""
        if self.percent:
            return f"{100 * measured:z.{max(self.decimals - 2, 0)}f} %"
        number = short(measured) if self.is_target else f"{measured:z.{self.decimals}f}"
        return f"{number} {self.unit}".rstrip()


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


@cache
def claims() -> Mapping[str, Claim]:
    """Return everything that is stated, by id, in the order stated."""
    found: dict[str, Claim] = {}
    folder = files("mlsdm.evidence").joinpath("claims")
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".toml"))
    for name in names:
        text = folder.joinpath(name).read_text(encoding="utf-8")
        for group in tomllib.loads(text)["group"]:
            shared: dict[str, Any] = {k: v for k, v in group.items() if k != "claim"}
            for entry in group["claim"]:
                if entry["id"] in found:
                    raise DataError(f"{name}: the id {entry['id']!r} is there twice")
                found[entry["id"]] = Claim(section=name[0].upper(), **{**shared, **entry})
    return MappingProxyType(found)


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
    known = claims()
    if id not in known:
        raise ParameterError(f"judge.id: nothing is stated under {id!r}{nearest(str(id), known)}")
    claim, value = known[id], float(measured)
    good, bad = ("met", "not met") if claim.is_target else ("reproduced", "differs")
    verdict: Any = good if claim.agrees(value) else bad
    return Judgement(
        id, claim.statement, claim.stated_text, claim.stated, claim.text(value), verdict
    )
