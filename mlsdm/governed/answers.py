"""Reading what an OpenAI-compatible endpoint answers, which may be nonsense."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.governed.errors import CallError

__all__ = ["CHAT", "EMBEDDINGS", "as_embedding", "as_text", "retry_after"]

CHAT, EMBEDDINGS = "chat/completions", "embeddings"
_NOT_JSON = object()


def _read(path: str, content: bytes, *keys: str | int) -> Any:
    """Return what is at this place of an answer in JSON."""
    value: Any = _NOT_JSON
    with suppress(ValueError, RecursionError):
        value = json.loads(content)
    if value is _NOT_JSON:  # raised out here, as what json raises holds the whole answer
        raise CallError(f"{path}: nonsense: the answer is not JSON")
    try:
        for key in keys:
            value = value[key]
    except (LookupError, TypeError):
        return None
    return value


def as_text(content: bytes) -> str:
    """Return the text of a chat completion, or raise a CallError."""
    text = _read(CHAT, content, "choices", 0, "message", "content")
    if not isinstance(text, str):
        raise CallError(f"{CHAT}: nonsense: choices[0].message.content is not a text")
    return text


def as_embedding(content: bytes) -> NDArray[np.float32]:
    """Return the vector (dim,) of an embedding, finite in float32, or raise a CallError."""
    values = _read(EMBEDDINGS, content, "data", 0, "embedding")
    if isinstance(values, list) and values and all(type(value) in (int, float) for value in values):
        with np.errstate(over="ignore"):
            vector = np.array([_as_float(value) for value in values]).astype(np.float32)
        if np.isfinite(vector).all():
            return vector
    raise CallError(f"{EMBEDDINGS}: nonsense: data[0].embedding is not a list of finite numbers")


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After, which may also be a date, or None."""
    said = headers.get("retry-after", "")
    try:
        seconds = float(said)
    except ValueError:
        date = _timestamp(said)
        if date is None:
            return None
        now = _timestamp(headers.get("date", ""))  # by the clock that the date was made by
        seconds = max(0.0, date - (time.time() if now is None else now))
    return seconds if 0 <= seconds < math.inf else None


def _timestamp(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
