"""The service from Python: a client that makes and finds sessions."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from mlsdm.engine.inputs import as_params
from mlsdm.engine.params import EngineParams
from mlsdm.errors import ParameterError
from mlsdm.service.sending import Sender, ServiceError

if TYPE_CHECKING:
    import ssl

    from mlsdm.service.remote import RemoteSession

__all__ = ["Client", "ServiceError"]


class Client:
    """A client of one service; safe to use from many threads, to be closed or used in a `with`.

    A request that was surely not taken (no connection, statuses 408, 429 and 503) is made again
    after the pause that the service asks for, or a growing one with jitter. One whose answer was
    lost is made again only where that does no harm: events carry a key by which the service knows
    them, and are not taken twice; `create` and `restore` are not repeated then. No other 4xx is.

    Parameters
    ----------
    url
        Address of the service, such as ``"http://127.0.0.1:8000"``; redirects are not followed.
    key
        Key of the service, if it asks for one; no message and no repr shows it.
    timeout
        Seconds for one request with all its repeats and pauses. Silence is borne for half of what
        is left of them, so that there is time to ask again.
    attempts
        How often a request is made at most.
    verify
        Whether the server's certificate is checked, or against which: an `ssl.SSLContext`, or the
        path of the certificates to be trusted.

    Raises
    ------
    ParameterError
        For an argument that is not allowed.
    DataError
        When the extra ``service`` is not installed, or the certificates cannot be read.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        attempts: int = 5,
        verify: bool | str | Path | ssl.SSLContext = True,
    ) -> None:
        self._sender = Sender(url, key, timeout, attempts, verify)

    def create(
        self,
        params: EngineParams | None = None,
        preset: Literal["specification", "published"] | None = None,
    ) -> RemoteSession:
        """Make a session: an engine with these parameters, or with those of a preset.

        Raises
        ------
        ParameterError
            When an argument is not allowed, or both are given.
        ServiceError
            When the service refuses, or does not answer.
        """
        asked: dict[str, Any] = {}
        if preset is not None:
            if preset not in ("specification", "published"):
                raise ParameterError(
                    f"Client.create.preset: must be 'specification' or 'published' (got {preset!r})"
                )
            asked["preset"] = preset
        if params is not None:
            if preset is not None:
                raise ParameterError("Client.create: takes params or a preset, not both")
            asked["params"] = as_params("Client.create", params, EngineParams).to_dict()
        from mlsdm.service.remote import created

        return created(self._sender, asked)

    def session(self, id: str) -> RemoteSession:
        """Return a session that exists.

        Raises
        ------
        ParameterError
            When `id` is not 32 hexadecimal digits.
        ServiceError
            When there is no such session of this client's, or the service does not answer.
        """
        if not isinstance(id, str) or not re.fullmatch("[0-9a-f]{32}", id):
            raise ParameterError(f"Client.session.id: must be 32 hexadecimal digits (got {id!r})")
        from mlsdm.service.remote import found

        return found(self._sender, id)

    def sessions(self) -> list[dict[str, Any]]:
        """Return what the service knows of each session of this client's, for a DataFrame.

        Raises
        ------
        ServiceError
            When the service refuses, or does not answer.
        """
        from mlsdm.service.remote import listed

        return listed(self._sender)

    def health(self) -> dict[str, Any]:
        """Return what the service says of its own state, its host's and its sessions'.

        Raises
        ------
        ServiceError
            When the service refuses, or does not answer.
        """
        from mlsdm.service.remote import read

        content = self._sender.send("Client.health", "GET", "/health/detailed")
        return read("Client.health", content, dict[str, Any])

    def close(self) -> None:
        """Close the connections; sessions stay, but those of this object can ask no more."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._sender.url!r}, timeout={self._sender.timeout:g})"
