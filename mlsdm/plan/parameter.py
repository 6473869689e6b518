"""One parameter of a notebook: its type, its range, and whether a value is one of its values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from mlsdm.plan import yaml12

__all__ = ["Parameter", "Range"]

_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|inf|∞)"
_INTERVAL = re.compile(rf"\bin\s*([\[(])\s*({_NUMBER})\s*,\s*({_NUMBER})\s*([\])])")
_OPENING = re.compile(r"\bin\s*[\[(]([^\])]*)")
# What is meant as an interval, and not as a remark such as "in (seconds, rounded)".
_MEANT = re.compile(r"\s*[-+]?[.\d∞]|(?=.*\d).*[,;]")
_INEQUALITY = re.compile(rf"(?<![-=<>])(>=|<=|≥|≤|>|<)\s*({_NUMBER})(\s*[*^])?")
MOST_SEED = 2**32 - 1  # what numpy's older generators take


@dataclass(frozen=True)
class Range:
    """The numbers between two limits, each included or not."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    @classmethod
    def read(cls, comment: str) -> Range | None:
        """Read ``in [a, b]``, ``in (a, b]``, ``>= a``, ``< b`` and the like from a comment.

        Raises
        ------
        ValueError
            For an interval that cannot be read, and for limits that admit nothing.
        """

        def number(text: str) -> float:
            return float(text.replace("∞", "inf").replace("_", ""))

        limits: dict[str, Any] = {}
        for opening in _OPENING.finditer(comment):
            if match := _INTERVAL.match(comment, opening.start()):
                left, low, high, right = match.groups()
                limits = {"low": number(low), "high": number(high)}
                limits |= {"low_open": left == "(", "high_open": right == ")"}
                break
            if _MEANT.match(opening[1]):
                raise ValueError(f"must be written 'in [a, b]', with numbers (got {comment!r})")
        else:
            for sign, text, power in _INEQUALITY.findall(comment):
                if power:
                    raise ValueError(f"must be written with plain numbers (got {comment!r})")
                side = "low" if sign in (">=", "≥", ">") else "high"
                limits |= {side: number(text), f"{side}_open": sign in ("<", ">")}
        found = cls(**limits)
        some = found.low < found.high or (found.low in found and math.isfinite(found.low))
        if not some:
            raise ValueError(f"admits no number (got {comment!r})")
        return found if limits else None

    def integers(self, low: int, high: int) -> range:
        """Return those integers from `low` to `high`, both included, that lie in the range."""
        if self.low >= low:
            low = math.floor(self.low) + 1 if self.low_open else math.ceil(self.low)
        if self.high <= high:
            high = math.ceil(self.high) - 1 if self.high_open else math.floor(self.high)
        return range(low, high + 1)

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"{'>' if self.low_open else '>='} {self.low:.12g}"
        if math.isinf(self.low):
            return f"{'<' if self.high_open else '<='} {self.high:.12g}"
        left, right = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"in {left}{self.low:.12g}, {self.high:.12g}{right}"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook, as its cell declares it.

    Parameters
    ----------
    annotation
        The declared type as text; `type` is the same without ``| None``, which is `optional`.
    range
        What the comment allows, of a number or of each number in a list.
    line
        The line within the parameters cell, from 1.
    """

    name: str
    annotation: str
    type: Any = field(repr=False)
    optional: bool
    default: Any
    comment: str
    range: Range | None
    line: int

    @property
    def allowed(self) -> str:
        """What a value must be, as text: ``"list[float], each in (0, 1]"``."""
        each = "each " if get_origin(self.type) is list else ""
        return f"{self.annotation}, {each}{self.range}" if self.range else self.annotation

    @property
    def seeds(self) -> Sequence[int]:
        """The integers from 0 to 2**32 - 1 that it admits, itself or in a list."""
        whole = self.type in (int, list[int])
        return (self.range or Range()).integers(0, MOST_SEED if whole else -1)

    def admits(self, value: object) -> bool:
        """Whether the value has the declared type and lies in the stated range."""
        if value is None:
            return self.optional
        if not _fits(value, self.type):
            return False
        numbers: list[Any] = value if isinstance(value, list) else [value]
        limits = self.range
        return limits is None or all(number in limits for number in numbers)

    def read(self, text: str) -> Any:
        """Read the text of a value as the type asks for; what does not fit is not refused here."""
        if self.optional and text in ("null", "None"):
            return None
        if self.type is str:
            return text
        if get_origin(self.type) is Literal:
            return next((c for c in get_args(self.type) if str(c) == text), text)
        try:
            loader = yaml12.TextLoader if self.type == list[str] else yaml12.Loader
            return yaml12.parse(text, loader)
        except ValueError:
            return text


def _fits(value: object, kind: Any) -> bool:
    """Whether a value is of a type, with nothing coerced and only finite numbers."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in args)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, args[0]) for item in value)
    if kind is float:
        return type(value) is int or (type(value) is float and math.isfinite(value))
    if kind is dict:
        try:  # JSON returns it unchanged: its keys are text, its numbers finite.
            same = json.loads(json.dumps(value, allow_nan=False)) == value
        except (TypeError, ValueError):
            return False
        return isinstance(value, dict) and same
    return type(value) is kind
