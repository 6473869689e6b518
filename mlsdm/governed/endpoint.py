"""A language model behind an OpenAI-compatible endpoint, by the official client."""

from __future__ import annotations

import asyncio
import math
import numbers
import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_whole
from mlsdm.errors import DataError, ParameterError
from mlsdm.governed.answers import CHAT, EMBEDDINGS, as_embedding, as_text, retry_after
from mlsdm.governed.errors import CallError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["OpenAIEndpoint"]

PASSING = (408, 409, 429)  # client errors that the same request need not meet again


class OpenAIEndpoint:
    """A language model, and an embedder, that speak OpenAI's protocol over HTTP.

    Whatever goes wrong is a `CallError`; nothing is tried again here. To be closed: as a context
    manager, by `close`, or, where it was awaited, by `aclose` in the same event loop.

    Parameters
    ----------
    base_url
        Address of the server, such as ``"http://localhost:8000/v1"``.
    model, embedding_model
        Names of the models; without the second there is no `embed`.
    api_key
        The key, by default the environment's OPENAI_API_KEY. No message and no repr shows it.
    timeout
        Seconds without any byte of an answer after which there is none.

    Raises
    ------
    ParameterError
        For an argument that is not allowed, or when there is no key.
    DataError
        When the client is not installed.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        embedding_model: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        try:
            import openai
        except ImportError:
            raise DataError("openai: is not installed; pip install mlsdm[openai]") from None
        self.base_url = _as_address(base_url)
        self.model = _as_name("model", model)
        self.embedding_model = embedding_model
        if embedding_model is not None:
            _as_name("embedding_model", embedding_model)
        self.timeout = _as_seconds(timeout)
        self._key = _as_key(os.environ.get("OPENAI_API_KEY") if api_key is None else api_key)
        self._openai = openai
        self._settings: dict[str, Any] = {
            "base_url": self.base_url,
            "api_key": self._key,
            "timeout": self.timeout,
            "max_retries": 0,
        }
        self._client = openai.OpenAI(**self._settings)
        self._awaited: dict[asyncio.AbstractEventLoop, AsyncOpenAI] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        models = f"model={self.model!r}, embedding_model={self.embedding_model!r}"
        return f"OpenAIEndpoint({self.base_url!r}, {models}, timeout={self.timeout:g})"

    def generate(self, prompt: str, max_tokens: int) -> str:
        """Return the model's answer to a prompt, of `max_tokens` tokens at most.

        Raises
        ------
        CallError
            When there is no answer, or what came is none.
        ParameterError
            For an argument that is not allowed.
        """
        return as_text(self._send(CHAT, self._client, self._asking(prompt, max_tokens)))

    async def agenerate(self, prompt: str, max_tokens: int) -> str:
        """Return what `generate` does, without holding up the event loop."""
        return as_text(await self._asend(CHAT, self._asking(prompt, max_tokens)))

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the embedding (dim,) of a text.

        Raises
        ------
        CallError
            When there is no answer, or what came is none.
        ParameterError
            For an argument that is not allowed, or when no embedding model was named.
        """
        return as_embedding(self._send(EMBEDDINGS, self._client, self._embedding(text)))

    async def aembed(self, text: str) -> NDArray[np.float32]:
        """Return what `embed` does, without holding up the event loop."""
        return as_embedding(await self._asend(EMBEDDINGS, self._embedding(text)))

    def close(self) -> None:
        """Close the connections of `generate` and `embed`; no call is possible any more."""
        self._closed = True
        self._client.close()

    async def aclose(self) -> None:
        """Close all connections that were made by calls, those awaited in this event loop too."""
        self.close()
        with self._lock:
            client = self._awaited.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, *_: type[BaseException] | BaseException | TracebackType | None
    ) -> None:
        await self.aclose()

    def _asking(self, prompt: str, max_tokens: int) -> dict[str, Any]:
        tokens = as_whole("OpenAIEndpoint.max_tokens", max_tokens, 1)
        said = {"role": "user", "content": _as_text("prompt", prompt)}
        return {"model": self.model, "messages": [said], "max_tokens": tokens}

    def _embedding(self, text: str) -> dict[str, Any]:
        if self.embedding_model is None:
            raise ParameterError(
                "OpenAIEndpoint.embedding_model: must be named for texts to be embedded (got None)"
            )
        text = _as_text("text", text)
        return {"model": self.embedding_model, "input": text, "encoding_format": "float"}

    def _send(self, path: str, client: Any, asked: dict[str, Any]) -> bytes:
        self._check_open()
        try:
            return bytes(_resource(client, path).create(**asked).http_response.content)
        except Exception as error:
            failure = self._failure(path, error)
        raise failure  # out of the handler: what the client raised may hold the key

    async def _asend(self, path: str, asked: dict[str, Any]) -> bytes:
        self._check_open()
        try:
            answer = await _resource(self._awaiting(), path).create(**asked)
            return bytes(answer.http_response.content)
        except Exception as error:
            failure = self._failure(path, error)
        raise failure

    def _check_open(self) -> None:
        if self._closed:
            raise CallError("OpenAIEndpoint: is closed", permanent=True)

    def _awaiting(self) -> AsyncOpenAI:
        """Return the client of this event loop: a connection cannot be used in another one."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._awaited = {k: v for k, v in self._awaited.items() if not k.is_closed()}
            if loop not in self._awaited:
                self._awaited[loop] = self._openai.AsyncOpenAI(**self._settings)
            return self._awaited[loop]

    def _failure(self, path: str, error: Exception) -> CallError:
        openai = self._openai
        if isinstance(error, openai.APIStatusError):
            status, body = error.status_code, error.body
            said = body.get("message") if isinstance(body, Mapping) else body
            return CallError(
                f"{path}: HTTP {status}: {self._shown(said)}".rstrip(": "),
                permanent=400 <= status < 500 and status not in PASSING,
                retry_after=retry_after(error.response.headers),
            )
        if isinstance(error, openai.APITimeoutError):
            return CallError(f"{path}: no answer in {self.timeout:g} s")
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else None
        shown = self._shown(str(cause or error))
        return CallError(f"{path}: {type(cause or error).__name__}: {shown}".rstrip(": "))

    def _shown(self, said: object) -> str:
        """Return what somebody else said in one line, without the key."""
        text = said if isinstance(said, str) else ""
        return " ".join(text.replace(self._key, "***").split())[:200]


def _resource(client: Any, path: str) -> Any:
    """Return what sends a request, and hands back its answer unread: reading it is ours."""
    resource = client.chat.completions if path == CHAT else client.embeddings
    return resource.with_raw_response


def _as_address(base_url: Any) -> str:
    allowed = "must be an http or https address without user, query or fragment"
    if not isinstance(base_url, str):
        raise ParameterError(f"OpenAIEndpoint.base_url: {allowed} (got {base_url!r})")
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or "@" in base_url or "?" in base_url or "#" in base_url:
        raise ParameterError(f"OpenAIEndpoint.base_url: {allowed}")  # it may hold a password
    return base_url


def _as_name(field: str, name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ParameterError(f"OpenAIEndpoint.{field}: must be the name of a model (got {name!r})")
    return name


def _as_seconds(timeout: Any) -> float:
    number = isinstance(timeout, numbers.Real) and not isinstance(timeout, bool)
    if not number or not 0 < timeout < math.inf:
        raise ParameterError(
            f"OpenAIEndpoint.timeout: must be a finite number above 0 (got {timeout!r})"
        )
    return float(timeout)


def _as_key(key: Any) -> str:
    if not key:
        raise ParameterError(
            "OpenAIEndpoint.api_key: must be given, or be in the environment as OPENAI_API_KEY; "
            "a server that asks for none takes any"
        )
    if not (isinstance(key, str) and key.isascii() and key.isprintable() and " " not in key):
        raise ParameterError("OpenAIEndpoint.api_key: must be printable ASCII without spaces")
    return key


def _as_text(field: str, text: Any) -> str:
    if not isinstance(text, str):
        raise ParameterError(f"OpenAIEndpoint.{field}: must be a text (got {text!r})")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ParameterError(
            f"OpenAIEndpoint.{field}: must be Unicode (got a lone surrogate at {error.start})"
        ) from None
    return text
