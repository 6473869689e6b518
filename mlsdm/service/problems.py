"""What is said when a request is not answered: problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from asgi_correlation_id import correlation_id

__all__ = ["MEDIA_TYPE", "FieldError", "Problem", "ProblemDocument", "respond", "send"]

MEDIA_TYPE = "application/problem+json"
MOST_SAID = 500  # characters

_encode = msgspec.json.Encoder().encode


class FieldError(msgspec.Struct, frozen=True):
    """One field that is not as it must be."""

    field: str
    detail: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was refused, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()


class Problem(Exception):
    """A request that is refused, with the answer that says why.

    Parameters
    ----------
    slug
        Its kind, in lower case with hyphens: the end of its `type`.
    errors
        Pairs of a field and what it must be.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.slug, self.detail = status, slug, _short(detail)
        self.errors = tuple(FieldError(_short(field), _short(said)) for field, said in errors)
        self.headers = dict(headers or {})

    def document(self, path: str) -> ProblemDocument:
        """Return the document, for a request to this path."""
        title = HTTPStatus(self.status).phrase
        return ProblemDocument(
            f"/problems/{self.slug}",
            title,
            self.status,
            self.detail,
            path,
            correlation_id.get(),
            self.errors,
        )


def _short(said: str) -> str:
    """Return what is said of a request, without all that it may have sent."""
    return said if len(said) <= MOST_SAID else f"{said[: MOST_SAID - 1]}…"


def respond(problem: Problem, path: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the body and the headers of a problem's answer to a request to this path."""
    body = _encode(problem.document(path))
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        **{name.lower(): value for name, value in problem.headers.items()},
    }
    return body, [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


async def send(problem: Problem, scope: Any, send: Any) -> None:
    """Answer a request with a problem, as an ASGI application does."""
    body, headers = respond(problem, scope["path"])
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
