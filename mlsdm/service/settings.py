"""What a server is told: one YAML file of profiles, the environment over it, options on top."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from mlsdm.errors import DataError, ParameterError, nearest
from mlsdm.plan import yaml12
from mlsdm.plan.strict import Keys, Origin, refusal
from mlsdm.service.values import (
    NAMES,
    Allowed,
    Bounds,
    Hooks,
    Key,
    Logs,
    Rate,
    SessionBounds,
    Tls,
    Traces,
    Values,
)

__all__ = [
    "PREFIX",
    "PROFILES",
    "Bounds",
    "Hooks",
    "Key",
    "Logs",
    "Profile",
    "Rate",
    "SessionBounds",
    "Settings",
    "Tls",
    "Traces",
    "described",
    "is_loopback",
    "load_settings",
]

PREFIX = "MLSDM_SERVICE_"
Profile = Literal["dev", "staging", "prod"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
PACKAGED: dict[Profile, dict[str, Any]] = {
    "dev": {"logs": {"form": "console"}},
    "staging": {"logs": {"form": "json"}},
    "prod": {"logs": {"form": "json"}},
}


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's own: localhost, or an address such as 127.0.0.1."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Settings(Values):
    """All that a server is told.

    Raises
    ------
    ParameterError
        For an unknown name, or a value that is not allowed, alone or beside the others.
    """

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            place = ".".join(map(str, ("Settings", *_place(error))))
            raise ParameterError(f"{place}: {_problem(error)}") from None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.tls.certificate is None) != (self.tls.private_key is None):
            raise refusal("certificate and private_key must both be given, or neither", "tls")
        if self.sessions.each_bytes > self.sessions.awake_bytes:
            raise refusal("each_bytes must not be above awake_bytes", "sessions")
        if len({key.sha256 for key in self.keys}) < len(self.keys):
            raise refusal("the same key is given twice", "keys")
        if not self.keys and not is_loopback(self.host):
            raise refusal(
                "must be this machine's own, such as 127.0.0.1, while there are no keys "
                f"(got {self.host!r}); make one with mlsdm serve --new-key NAME",
                "host",
            )
        return self


class _File(Keys):
    """A file of settings: what holds in every profile, and what in one."""

    base: Values = Values()
    dev: Values = Values()
    staging: Values = Values()
    prod: Values = Values()


class _Environment(Values, BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")


def _place(error: ValidationError) -> tuple[str | int, ...]:
    """Return the place of pydantic's first error."""
    found = error.errors()[0]
    key = found.get("ctx", {}).get("key")
    return found["loc"] if key is None else (*found["loc"], key)


def _problem(error: ValidationError) -> str:
    """Return what is wrong there."""
    found = error.errors()[0]
    return "is missing" if found["type"] == "missing" else found["msg"]


def _leaves(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the places of all settings, and of the groups that they are in."""
    for name, field in model.model_fields.items():
        yield (*place, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation, (*place, name))


def _variable(place: tuple[str, ...]) -> str:
    return PREFIX + "__".join(place).upper()


def _from_environment() -> dict[str, Any]:
    """Return the settings that the environment holds."""
    known = {_variable(place): place for place in _leaves(Values)}
    given = {name.upper(): name for name in os.environ if name.upper().startswith(PREFIX)}
    own = {f"{PREFIX}PROFILE", f"{PREFIX}CONFIG"}
    for upper, name in given.items():
        if upper not in known and upper not in own:
            raise ParameterError(f"{name}: unknown variable{nearest(upper, {*known, *own})}")
    try:
        values = EnvSettingsSource(_Environment)()
    except SettingsError as error:
        name = re.sub(r'.*field "(\w+)".*', r"\1", str(error), flags=re.S)
        raise ParameterError(f"{_variable((name,))}: must be JSON") from None
    try:
        Values.model_validate(values, context=NAMES)
    except ValidationError as error:
        place = _place(error)
        name = max((n for n in given.keys() & known if place[: len(known[n])] == known[n]), key=len)
        raise ParameterError(f"{given[name]}: {_problem(error)}") from None
    return values


def _from_file(path: Path) -> dict[str, Any]:
    """Return what a file holds, all of it allowed, whichever profile it is in."""
    try:
        content, lines = yaml12.load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path.name}: cannot be read: it is not UTF-8 text") from None
    except ValueError as error:
        raise DataError(f"{path.name}, {error}") from None
    held: dict[str, Any] = content or {}
    try:
        _File.model_validate(held, context=NAMES)
    except ValidationError as error:
        raise Origin(path.name, lines).first(error, tagged="") from None
    return held


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of both, group by group; where both have one, that of `above`."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _over(merged[name], value) if both else value
    return merged


def chosen_profile(profile: str | None = None) -> Profile:
    """Return a profile by its name; by default MLSDM_SERVICE_PROFILE, else dev.

    Raises
    ------
    ParameterError
        When there is no such profile.
    """
    named = profile or os.environ.get(f"{PREFIX}PROFILE") or "dev"
    for known in PROFILES:
        if known == named:
            return known
    raise ParameterError(f"profile: {named!r} is not known{nearest(named, PROFILES)}")


def load_settings(
    config: Path | None = None, profile: str | None = None, **options: Any
) -> Settings:
    """Return the settings: of the profile, the file, the environment and the options.

    Parameters
    ----------
    config
        A YAML file with any of base, dev, staging and prod, each with any of the settings; by
        default the one that MLSDM_SERVICE_CONFIG names, if any.
    profile
        dev, staging or prod; by default MLSDM_SERVICE_PROFILE, else dev.
    options
        Settings over all others; None for one that is not given.

    Raises
    ------
    ParameterError
        For an unknown key or variable, or a value that is not allowed.
    DataError
        When the file cannot be read, or is no YAML of plain values.
    """
    environment, chosen = _from_environment(), chosen_profile(profile)
    if config is None and (given := os.environ.get(f"{PREFIX}CONFIG")):
        config = Path(given)
    held = {} if config is None else _from_file(config)
    values = PACKAGED[chosen]
    for layer in (held.get("base", {}), held.get(chosen, {}), environment):
        values = _over(values, layer)
    return Settings(**_over(values, {k: v for k, v in options.items() if v is not None}))


def _comment(field: FieldInfo, indent: str) -> list[str]:
    allowed = next((mark.be for mark in _marks(field) if isinstance(mark, Allowed)), None)
    said = (field.description or "") + (f" Must be {allowed}." if allowed else "")
    return wrap(said, 98, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _marks(field: FieldInfo) -> Iterator[Any]:
    yield from field.metadata
    for kind in get_args(field.annotation):  # of `X | None`, those at X
        yield from getattr(kind, "__metadata__", ())


def _lines(model: type[BaseModel], values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield from _comment(field, indent)
        value = values[name]
        if isinstance(value, Mapping):
            # A group in which nothing is given would be read as one without a value.
            given = any(inner is not None for inner in value.values())
            yield f"{indent}{name}:" if given else f"{indent}# {name}:"
            assert isinstance(field.annotation, type)
            yield from _lines(field.annotation, value, f"{indent}  ")
        elif value is None:
            yield f"{indent}# {name}:"
        elif isinstance(value, list) and value:
            yield f"{indent}{name}:"
            yield from (f"{indent}  - {json.dumps(item, ensure_ascii=False)}" for item in value)
        else:
            yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}"


def described(settings: Settings, profile: str | None = None) -> str:
    """Return settings as a YAML file that reads back as the same, each with what it is for.

    They stand under the profile, so that what the other profiles have of their own still holds.
    """
    body = _lines(Values, settings.model_dump(mode="json"), "  ")
    begin = ["# The settings in use, as a file for --config.", f"{chosen_profile(profile)}:"]
    return "\n".join([*begin, *body]) + "\n"
