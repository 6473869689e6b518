"""Requests to the service: repeated by tenacity where that is safe, and refused in one sentence."""

from __future__ import annotations

import json
import math
import numbers
import random
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_result, wait_exponential

from mlsdm.checks import as_whole
from mlsdm.engine.outcome import Outcome
from mlsdm.errors import DataError, ParameterError, RunError
from mlsdm.governed.answers import retry_after

if TYPE_CHECKING:
    import httpx

__all__ = ["Sender", "ServiceError"]

NOT_TAKEN = (408, 429, 503)  # statuses of requests that the service did nothing for
LOST = (502, 504)  # a proxy's word that the answer did not come
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
_dice = random.SystemRandom()  # no seed of anybody's is touched


class ServiceError(RunError):
    """The service did not do what it was asked for.

    Parameters
    ----------
    message
        One sentence.
    status
        HTTP status of the last answer; None when there was none.
    problem
        The problem document of that answer (RFC 9457), or an empty one.
    attempts
        How often the service was asked.

    Attributes
    ----------
    outcomes
        Where a batch of `RemoteSession.process_events` failed, those of the batches before it.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        problem: Mapping[str, Any] | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = dict(problem or {})
        self.attempts = attempts
        self.outcomes: tuple[Outcome, ...] = ()


class Failure(NamedTuple):
    """What came of one attempt that failed, and whether there may be another, and when."""

    said: str
    again: bool
    status: int | None = None
    problem: Mapping[str, Any] | None = None
    wait: float = 0.0


class Sender:
    """Sends requests to one service; safe to call from many threads. See `Client`."""

    def __init__(
        self, url: str, key: str | None, timeout: float, attempts: int, verify: Any
    ) -> None:
        try:
            import asgi_correlation_id  # noqa: F401
            import httpx
            import msgspec  # noqa: F401
        except ImportError as error:
            raise DataError(f"{error.name}: is not installed; pip install mlsdm[service]") from None
        self.url = _as_url(url)
        self.timeout = _as_timeout(timeout)
        self.attempts = as_whole("Client.attempts", attempts, 1)
        self._key = _as_key(key)
        self._http = httpx.Client(
            base_url=self.url,
            headers={} if key is None else {"X-API-Key": key},
            verify=_as_verify(verify),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections; no request is possible any more."""
        self._http.close()

    def send(
        self,
        owner: str,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
        into: BinaryIO | None = None,
    ) -> bytes:
        """Return the body of the answer; with `into` it is written there instead.

        Parameters
        ----------
        owner
            Who asks, for the message.
        repeatable
            Whether the request may be made again when it may have been taken.

        Raises
        ------
        ServiceError
            When the service refuses, or gives no answer.
        """
        if self._http.is_closed:
            raise ServiceError(f"{owner}: the client has been closed", attempts=0)
        until = time.monotonic() + self.timeout
        made = 0

        def once() -> bytes | Failure:
            nonlocal made
            made += 1
            left = max(until - time.monotonic(), 0.001)
            # Half of what is left, so that after a lost answer there is time to ask again.
            patience = left / 2 if made < self.attempts else left
            request = self._http.build_request(
                method,
                path,
                content=body,
                headers=headers,
                timeout=(patience, patience if repeatable else left, left, left),
            )
            return self._attempt(request, until, repeatable, into)

        def pause(state: RetryCallState) -> float:
            growing = wait_exponential(FIRST_PAUSE, LONGEST_PAUSE)(state)
            return _failure(state).wait + growing * _dice.uniform(0.5, 1.0)

        def is_spent(state: RetryCallState) -> bool:
            return made >= self.attempts or state.upcoming_sleep >= until - time.monotonic()

        done = Retrying(
            sleep=time.sleep,
            retry=retry_if_result(lambda done: isinstance(done, Failure) and done.again),
            wait=pause,
            stop=is_spent,
            retry_error_callback=_failure,
        )(once)
        if isinstance(done, Failure):
            times = f", asked {made} times" if made > 1 else ""
            said = f"{owner}: {done.said}{times}"
            raise ServiceError(said, status=done.status, problem=done.problem, attempts=made)
        return done

    def _attempt(
        self, request: httpx.Request, until: float, repeatable: bool, into: BinaryIO | None
    ) -> bytes | Failure:
        """Send a request once; a failure is returned, as what httpx raises holds the key."""
        import httpx

        lost = "; whether the service did what it was asked for is not known"
        try:
            answer = self._http.send(request, stream=True)
            with closing(answer):
                content = bytearray()
                to_file = into if answer.is_success else None
                if to_file is not None:  # what an attempt before this one may have left
                    to_file.seek(0)
                    to_file.truncate()
                for chunk in answer.iter_bytes():
                    if time.monotonic() > until:
                        late = f"the answer was not all there after {self.timeout:g} s"
                        return Failure(late, again=False)
                    if to_file is None:
                        content += chunk
                    else:
                        to_file.write(chunk)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Failure(f"no connection to {self.url} ({self._shown(error)})", again=True)
        except httpx.RequestError as error:
            said = f"no whole answer from {self.url} ({self._shown(error)})"
            return Failure(said if repeatable else said + lost, again=repeatable)
        whole = bytes(content)
        return whole if answer.is_success else self._refused(answer, whole, repeatable)

    def _refused(self, answer: httpx.Response, content: bytes, repeatable: bool) -> Failure:
        status = answer.status_code
        problem = self._problem(content)
        if answer.is_redirect:
            said = "the service points elsewhere, and redirects are not followed"
        else:
            said = _said(problem) or answer.reason_phrase or "no reason given"
        return Failure(
            f"{said} (status {status})",
            again=status in NOT_TAKEN or (repeatable and status in LOST),
            status=status,
            problem=problem,
            wait=retry_after(answer.headers) or 0.0,
        )

    def _problem(self, content: bytes) -> dict[str, Any]:
        text = self._without_key(content.decode(errors="replace"))
        try:
            problem = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return problem if isinstance(problem, dict) else {}

    def _shown(self, error: Exception) -> str:
        said = self._without_key(str(error))
        return shorten(f"{type(error).__name__}: {said}", 200).rstrip(": ")

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _failure(state: RetryCallState) -> Failure:
    failure = state.outcome.result() if state.outcome else None
    assert isinstance(failure, Failure)  # nothing else is tried again
    return failure


def _said(problem: Mapping[str, Any]) -> str:
    """Return what a problem document says in one line: its fields, or else its detail."""
    errors = problem.get("errors")
    fields = errors if isinstance(errors, list) else []
    named = (f"{one.get('field')}: {one.get('detail')}" for one in fields if isinstance(one, dict))
    said = "; ".join(named) or problem.get("detail") or problem.get("title")
    return shorten(said, 300).rstrip(".") if isinstance(said, str) else ""


def _as_url(url: Any) -> str:
    allowed = "must be an http or https address without user, query or fragment"
    if not isinstance(url, str):
        raise ParameterError(f"Client.url: {allowed} (got {url!r})")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not url.isprintable() or any(mark in url for mark in "@?# "):
        raise ParameterError(f"Client.url: {allowed}")  # it may hold a password
    return url.rstrip("/")


def _as_key(key: Any) -> str | None:
    sound = isinstance(key, str) and key.isascii() and key.isprintable() and " " not in key
    if key is not None and not (sound and key):
        raise ParameterError("Client.key: must be printable ASCII without spaces, or None")
    return None if key is None else str(key)


def _as_timeout(timeout: Any) -> float:
    number = isinstance(timeout, numbers.Real) and not isinstance(timeout, bool)
    if not number or not 0 < timeout < math.inf:
        raise ParameterError(f"Client.timeout: must be a finite number above 0 (got {timeout!r})")
    return float(timeout)


def _as_verify(verify: Any) -> bool | ssl.SSLContext:
    if isinstance(verify, (bool, ssl.SSLContext)):
        return verify
    if not isinstance(verify, (str, Path)):
        raise ParameterError(
            "Client.verify: must be True, False, an ssl.SSLContext, or the path of the "
            f"certificates to be trusted (got {verify!r})"
        )
    try:
        return ssl.create_default_context(cafile=verify)
    except OSError as error:  # an SSLError is one
        why = error.strerror or error
        raise DataError(f"Client.verify: {str(verify)!r} cannot be read: {why}") from None
