"""What the models of a file are made of: nothing coerced, and each refusal one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mlsdm.errors import ParameterError, nearest
from mlsdm.plan.yaml12 import Place

__all__ = ["Keys", "Origin", "SomeKeys", "must", "refusal"]


@dataclass(frozen=True)
class Origin:
    """The name of a file, and the line of each place in it."""

    file: str
    lines: Mapping[Place, int]

    def refusal(self, place: Place, problem: object) -> ParameterError:
        """Return the error that says in one line what is wrong at a place."""
        line = next((n for i in range(len(place), 0, -1) if (n := self.lines.get(place[:i]))), None)
        key = ".".join(part for part in place if isinstance(part, str))
        where = f"{self.file}, line {line}" if line else self.file
        shown = key if key.isprintable() else repr(key)
        return ParameterError(" ".join(f"{where}: {f'{shown}: ' if key else ''}{problem}".split()))

    def first(self, error: ValidationError, tagged: str) -> ParameterError:
        """Return pydantic's first error; under the key `tagged`, it names the form chosen too."""
        found = error.errors()[0]
        place = tuple(part for part in found["loc"] if part != "[key]")
        if place[:1] == (tagged,):
            place = place[:1] + place[2:]
        if found["type"] == "missing":
            return self.refusal(place, "is missing")
        key = found.get("ctx", {}).get("key")
        return self.refusal(place if key is None else (*place, key), found["msg"])


def refusal(problem: str, key: str | int | None = None) -> PydanticCustomError:
    """Return the error for a validator to raise: of its value, or of what that has at `key`."""
    return PydanticCustomError("refused", "{problem}", {"problem": problem, "key": key})


def must(be: str, *, whole: bool = False) -> WrapValidator:
    """Say what a value must be when it is something else; if `whole`, for its parts too."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "refused" or (first["loc"] and not whole):
                raise
            raise refusal(f"must be {be} (got {shortened(value)})") from None

    return WrapValidator(validate)


def _without_null(schema: dict[str, Any]) -> None:
    """Take None, which stands for an absent key, out of a model's JSON schema."""
    for field in schema["properties"].values():
        if field.get("default", 0) is None:
            del field["default"]
            kinds = [kind for kind in field.pop("anyOf") if kind != {"type": "null"}]
            field.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


class Keys(BaseModel):
    """Base of what has known keys: no others, and none without a value."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", json_schema_extra=_without_null
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise refusal(f"must be names with values (got {shortened(given)})")
        for name, value in given.items():
            if name not in cls.model_fields:
                raise refusal(f"unknown key{nearest(name, cls.model_fields)}", name)
            if value is None:
                raise refusal("has no value; give one, or leave the key out", name)
        return given


def _one_at_least(schema: dict[str, Any]) -> None:
    _without_null(schema)
    schema["minProperties"] = 1


class SomeKeys(Keys):
    """Base of what has two keys, of which one at least is given."""

    model_config = ConfigDict(json_schema_extra=_one_at_least)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise refusal(f"must give {', '.join(type(self).model_fields)} or both (got {{}})")
        return self
