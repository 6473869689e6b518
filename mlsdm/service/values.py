"""The settings of a server, each with what it is for, its unit, and what it may be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    ImportString,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import CoreSchema

from mlsdm.errors import in_a_line
from mlsdm.plan.content import Bytes
from mlsdm.plan.strict import Keys, must, refusal

__all__ = [
    "NAMES",
    "Allowed",
    "Bounds",
    "Hooks",
    "Key",
    "Logs",
    "Rate",
    "SessionBounds",
    "Tls",
    "Traces",
    "Values",
]

NAMES = {"hooks": "names"}
"""The context in which hooks are only names: those of a profile that is not chosen."""


@dataclass(frozen=True)
class Allowed:
    """What a value must be: said in refusals, and beside it when the settings are printed."""

    be: str
    whole: bool = True

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return must(self.be, whole=self.whole).__get_pydantic_core_schema__(source, handler)


def _hook(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Import a function by its name, or only look at the name."""
    if info.context is NAMES:
        if isinstance(value, str) and re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", value):
            return value
        raise ValueError
    try:
        hook = handler(value)
        hook.__module__, hook.__qualname__  # noqa: B018  (by which it is printed)
        return hook
    except ValidationError as error:
        raise refusal(f"cannot be imported: {error.errors()[0]['msg']} (got {value!r})") from None
    except Exception as error:  # whatever the module does
        raise refusal(f"cannot be imported: {in_a_line(error)} (got {value!r})") from None


def _hook_name(hook: Any) -> str:
    return hook if isinstance(hook, str) else f"{hook.__module__}:{hook.__qualname__}"


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


Host = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._:%-]{1,253}$"),
    Allowed("the name or the IP address of a host"),
]
Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._-]{1,64}$"),
    Allowed("1 to 64 letters, digits, '.', '_' and '-'"),
]
Digest = Annotated[
    str, Field(pattern="^[0-9a-f]{64}$"), Allowed("the 64 lower-case hex digits of a SHA-256")
]
File = Annotated[Path, Field(strict=False), AfterValidator(Path.expanduser), Allowed("a path")]
Many = Annotated[int, Field(ge=1, le=10**6), Allowed("a whole number from 1 to 1000000")]
Wait = Annotated[
    float, Field(gt=0, le=3600), Allowed("a number of seconds, above 0 and at most 3600")
]
Switch = Annotated[bool, Allowed("true or false")]
Size = Annotated[
    Bytes,
    Allowed("bytes as a whole number above 0, or text such as '500 MB' or '2 GiB'"),
]
Hook = Annotated[
    ImportString[Callable[[], Any]],
    WrapValidator(_hook),
    PlainSerializer(_hook_name),
]
HookList = Annotated[
    list[Hook], Allowed("a list of functions that can be imported, each as 'package.module:name'")
]


class Tls(Keys):
    """Encryption of the connections."""

    certificate: File | None = Field(
        default=None, description="The PEM file of the certificate, with its chain."
    )
    private_key: File | None = Field(
        default=None, description="The PEM file of the certificate's private key."
    )


class Key(Keys):
    """A client that may use the server, by the digest of its API key."""

    name: Name = Field(description="The client's name; a client may have several keys.")
    sha256: Digest = Field(description="The SHA-256 of the key, which is itself kept nowhere.")


class Rate(Keys):
    """How many requests a client may make."""

    per_second: Annotated[
        float, Field(ge=0, le=10**6), Allowed("a number from 0 to 1000000; 0 for no limit")
    ] = Field(default=5.0, description="Requests a second that each client may make.")
    burst: Many = Field(default=5, description="Requests that a client may make at once.")


class Bounds(Keys):
    """What connections and requests may take."""

    connections: Many = Field(default=4096, description="The most connections open at once.")
    idle_seconds: Wait = Field(
        default=75.0, description="Seconds that a connection may be open without a request."
    )
    header_seconds: Wait = Field(
        default=10.0, description="Seconds that the head of a request may take to arrive."
    )
    body_seconds: Wait = Field(
        default=10.0, description="Seconds that the body of a request may take to arrive."
    )
    body_bytes: Size = Field(default=1 << 20, description="Bytes of the largest body.")


class SessionBounds(Keys):
    """What sessions may take, and where they are kept."""

    folder: File = Field(
        default_factory=lambda: platformdirs.user_state_path("mlsdm") / "sessions",
        description="The folder of the snapshots.",
    )
    awake: Many = Field(
        default=64, description="The most sessions in memory; others are snapshots on disk."
    )
    awake_bytes: Size = Field(default=1 << 30, description="Bytes of all sessions in memory.")
    each_bytes: Size = Field(default=64 << 20, description="Bytes of the largest session.")
    most: Many = Field(default=1000, description="The most sessions in memory and on disk.")
    per_client: Many = Field(default=100, description="The most sessions of a client.")
    snapshot_seconds: Annotated[
        float,
        Field(ge=0, le=86400),
        Allowed("a number of seconds from 0 to 86400; 0 for none by the clock"),
    ] = Field(
        default=30.0,
        description="Seconds between the snapshots of a session that changes; besides, it is "
        "snapshotted when asked, when it leaves memory, and at the end.",
    )
    answers: Annotated[int, Field(ge=0, le=10**6), Allowed("a whole number from 0 to 1000000")] = (
        Field(
            default=256,
            description="Answers that are kept for requests sent again with their "
            "Idempotency-Key, a session.",
        )
    )


class Logs(Keys):
    """What is written to the standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Allowed("debug, info, warning or error")
    ] = Field(default="info", description="The least level that is written.")
    form: Annotated[Literal["json", "console"], Allowed("json or console")] = Field(
        default="json", description="JSON, one object a line; or text to be read at a console."
    )
    requests: Switch = Field(default=True, description="Write a line for each request.")


class Traces(Keys):
    """Where traces are sent."""

    endpoint: (
        Annotated[
            str,
            Field(pattern=r"^https?://[^\s/?#]+[^\s]*$"),
            Allowed("an address that begins with http:// or https://"),
        ]
        | None
    ) = Field(
        default=None,
        description="A collector's address for OpenTelemetry's protocol over HTTP, such as "
        "http://127.0.0.1:4318; without one there are no traces.",
    )


class Hooks(Keys):
    """Functions that the server calls, with nothing; they may be coroutine functions."""

    startup: HookList = Field(default=[], description="Called in order before it is ready.")
    shutdown: HookList = Field(default=[], description="Called in order after the last request.")


class Values(Keys):
    """Any of the settings: each is allowed by itself."""

    host: Host = Field(default="127.0.0.1", description="Where the server listens.")
    port: Annotated[int, Field(ge=0, le=65535), Allowed("a whole number from 0 to 65535")] = Field(
        default=8000, description="The port; 0 for any free one."
    )
    tls: Tls = Field(
        default=Tls(),
        description="Encryption; both files, or neither. Handshakes are bounded in time, not "
        "in number: where strangers connect, put a proxy in front.",
    )
    trusted_proxies: Annotated[
        list[Annotated[str, AfterValidator(_network)]],
        Allowed("a list of IP addresses or networks such as 10.0.0.0/8"),
    ] = Field(
        default=[],
        description="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    keys: Annotated[list[Key], Allowed("a list of names with digests", whole=False)] = Field(
        default=[],
        description="Clients with keys (`mlsdm serve --new-key NAME` makes one); with none, "
        "only this machine can be served.",
    )
    rate: Rate = Field(default=Rate(), description="What a client may ask for.")
    bounds: Bounds = Field(default=Bounds(), description="What connections and requests may take.")
    sessions: SessionBounds = Field(
        default_factory=SessionBounds, description="What sessions may take, and where they are."
    )
    drain_seconds: Wait = Field(
        default=30.0,
        description="Seconds from SIGTERM to the end: for requests under way, and snapshots.",
    )
    logs: Logs = Field(default=Logs(), description="What is written to the standard error.")
    traces: Traces = Field(default=Traces(), description="Where traces are sent.")
    hooks: Hooks = Field(
        default=Hooks(), description="Functions that are called with nothing, and may be async."
    )
