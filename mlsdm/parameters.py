"""What all parameter objects share: frozen, validated, one-sentence errors, plain dicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar, dataclass_transform

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import ErrorDetails

from mlsdm.display import html_table
from mlsdm.errors import ParameterError, nearest

__all__ = ["Count", "FromList", "Parameters", "Positive", "Share", "parameters"]

Share = Annotated[float, Field(ge=0, le=1)]
"""A number in [0, 1]."""
Positive = Annotated[float, Field(gt=0)]
"""A finite number above 0."""
Count = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""A whole number, at least 1, that the compiled rules can count to."""

FromList = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Marks a tuple that may be given as a list (JSON has no tuples); its elements stay strict."""

C = TypeVar("C", bound="type[Parameters]")


def _sentence(owner: str, names: list[str], error: ErrorDetails) -> str:
    """Turn the first of pydantic's errors into our one sentence."""
    place = [str(part) for part in error["loc"]]
    first = error["loc"][0] if error["loc"] else None
    if isinstance(first, int) and first < len(names):  # given by position
        place[0] = names[first]
    if error["type"] == "unexpected_keyword_argument":
        return f"{owner}.{place[0]}: unknown parameter{nearest(place[0], names)}"
    if error["type"] == "unexpected_positional_argument":
        return f"{owner}: takes at most {len(names)} values ({', '.join(names)})"
    if error["type"] == "value_error":  # raised by our own validators: a whole sentence already
        return str(error["ctx"]["error"])
    message = error["msg"].removeprefix("Input ")
    return f"{owner}.{'.'.join(place)}: {message} (got {error['input']!r})"


def _plain(value: Any) -> Any:
    """Return a NumPy scalar, alone or in a tuple or list, as the plain number it stands for."""
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


class Parameters:
    """Base of all parameter objects."""

    _given: frozenset[str] = frozenset()

    @classmethod
    def field_names(cls) -> list[str]:
        """Return the names of the parameters, in order."""
        return [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as plain dicts, lists and numbers, without loss."""

        def plain(value: Any) -> Any:
            if isinstance(value, Parameters):
                return value.to_dict()
            return list(value) if isinstance(value, tuple) else value

        return {name: plain(getattr(self, name)) for name in self.field_names()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the object from plain dicts; what is absent keeps its default.

        Raises
        ------
        ParameterError
            For an unknown name, a wrong type or a value that is not allowed.
        """
        return cls().replace(values)

    def replace(self, values: Mapping[str, Any]) -> Self:
        """Return a copy in which the (possibly nested) `values` replace those of the same name.

        Raises
        ------
        ParameterError
            For an unknown name, a wrong type or a value that is not allowed.
        """
        owner = type(self).__name__
        if not isinstance(values, Mapping):
            raise ParameterError(f"{owner}: must be made from a mapping (got {values!r})")
        changed: dict[str, Any] = {}
        for name, value in values.items():
            if not isinstance(name, str):
                raise ParameterError(f"{owner}: names must be text (got {name!r})")
            current = getattr(self, name, None)
            if isinstance(current, Parameters) and not isinstance(value, Parameters):
                value = current.replace(value)
            changed[name] = value
        kept = {name: getattr(self, name) for name in self.field_names()}
        made = type(self)(**{**kept, **changed})
        object.__setattr__(made, "_given", self._given | set(changed))
        return made

    def given(self) -> dict[str, Any]:
        """Return the values that somebody gave, as opposed to those left at their default."""
        return {name: getattr(self, name) for name in self.field_names() if name in self._given}

    def _flat(self) -> dict[str, Any]:
        """Return the values by dotted name."""
        rows: dict[str, Any] = {}
        for name in self.field_names():
            value = getattr(self, name)
            inner = value._flat() if isinstance(value, Parameters) else None
            rows |= {name: value} if inner is None else {f"{name}.{k}": v for k, v in inner.items()}
        return rows

    def differing(self, other: Parameters) -> dict[str, Any]:
        """Return the parameters, by dotted name, in which this object differs from `other`."""
        theirs = other._flat()
        none = object()
        return {
            name: value for name, value in self._flat().items() if value != theirs.get(name, none)
        }

    def _repr_html_(self) -> str:
        changed = self.differing(type(self)())
        rows = [
            (name, repr(value), "changed" if name in changed else "")
            for name, value in self._flat().items()
        ]
        return html_table(type(self).__name__, ("parameter", "value", ""), rows, most=len(rows))


@dataclass_transform(frozen_default=True)
def parameters(cls: C) -> C:
    """Make a class a frozen parameter object whose errors are ParameterErrors of one sentence."""
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    made: Any = pydantic_dataclass(frozen=True, config=config)(cls)
    checked_init = made.__init__
    names = made.field_names()

    def __init__(self: Any, *args: Any, **values: Any) -> None:
        plain = [_plain(value) for value in args]
        try:
            checked_init(self, *plain, **{name: _plain(value) for name, value in values.items()})
        except ValidationError as error:
            raise ParameterError(_sentence(cls.__name__, names, error.errors()[0])) from None
        object.__setattr__(self, "_given", frozenset([*names[: len(args)], *values]))

    made.__init__ = __init__
    return made  # type: ignore[no-any-return]
