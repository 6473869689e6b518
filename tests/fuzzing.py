"""Bodies that nobody should send: valid ones mutated as values, as text and as bytes."""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

import numpy as np

from mlsdm.service.messages import BINARY, event_dtype

JSON = "application/json"
NASTY = [
    None, True, False, 0, -1, 2, 0.5, -0.0, 1e300, -1e300, 1e-320, 10**30, 10**400, 2**63,
    "", "0.5", "NaN", "é\ud7ff", "\x00", "vector", [], {}, [[]], [None], [0.5], [0.1, 0.2, 0.3],
    [1e39] * 3, [1e6, -1e6, 1], [1000001.0, 0, 0], [0.1] * 4, ["0.1"] * 3, [True, False, True],
    {"vector": [1, 2, 3]},
]  # fmt: skip
TOKENS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1" * 400, b"0x1F", b"01", b"1.",
    b".5", b"+1", b"-", b"null", b"true", b'"', b"\\u0000", b"\\ud800", b"\\", b"{", b"}", b"[",
    b"]", b",", b":", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"\n", b"/**/",
    b"-0", b"1E5",
]  # fmt: skip
NAMES = [
    "vector",
    "moral_value",
    "context",
    "events",
    "top_k",
    "vectors",
    "preset",
    "params",
    "x",
    "",
]


class Sent(NamedTuple):
    """One request: where to, its media type, and its body."""

    what: str
    media_type: str
    body: bytes


class Fuzzer:
    """Makes requests about sessions of engines of one dimension, each seed its own."""

    def __init__(self, seed: int, dim: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.dim = dim

    def one(self) -> Sent:
        """Return a request, valid at times."""
        what = self._of(["events"] * 10 + ["recall"] * 6 + ["sessions"])
        if what == "events" and self._hit(0.35):
            media_type, body = BINARY, self._mutated(self._rows(), [])
        else:
            media_type, body = JSON, self._text(what)
        if self._hit(0.02):
            media_type = self._of([JSON, BINARY, "text/plain", "", "application/json; charset=x"])
        return Sent(what, media_type, body)

    def _of(self, choices: list[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def _hit(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _vector(self) -> list[float]:
        return [float(x) for x in self.rng.normal(0, self._of([1e-3, 1, 1e5]), self.dim)]

    def _event(self) -> dict[str, Any]:
        event = {"vector": self._vector(), "moral_value": float(self.rng.random())}
        return event | ({"context": self._of([None, 0.25, 1])} if self._hit(0.3) else {})

    def _value(self, what: str) -> dict[str, Any]:
        if what == "recall":
            more = {"top_k": 2, "vectors": True} if self._hit(0.5) else {}
            return {"vector": self._vector(), **more}
        if what == "sessions":
            lattice = {"capacity": self._of([1, 50, 10**6, 10**30])}
            moral = {"policy": self._of(["quantile", "homeostatic", "fixed", "none"])}
            return {"preset": "published", "params": {"dim": 3, "lattice": lattice, "moral": moral}}
        if self._hit(0.5):
            return self._event()
        return {"events": [self._event() for _ in range(self.rng.integers(1, 5))]}

    def _text(self, what: str) -> bytes:
        value: Any = self._value(what)
        for _ in range(self._of([0, 0, 1, 1, 2])):
            value = self._changed(value)
        text = json.dumps(value, ensure_ascii=self._hit(0.5)).encode("utf-8", "surrogatepass")
        if self._hit(0.03):
            text = self._of([b"[", b'{"events":', b'{"vector":[']) * self._of([10, 2000, 50_000])
        if self._hit(0.05):  # a name that is given twice
            text = text.replace(b"{", b'{"moral_value": 0.5, "vector": [1, 2, 3],', 1)
        return self._mutated(text, TOKENS)

    def _changed(self, value: Any) -> Any:
        """Return a value with one of its parts replaced, taken away, or added to."""
        if isinstance(value, dict) and value and self._hit(0.8):
            name = self._of(list(value))
            match self.rng.integers(5):
                case 0:
                    return {key: part for key, part in value.items() if key != name}
                case 1:
                    return {**value, self._of(NAMES): self._of(NASTY)}
                case _:
                    return {**value, name: self._changed(value[name])}
        if isinstance(value, list) and value and self._hit(0.8):
            i = int(self.rng.integers(len(value)))
            match self.rng.integers(4):
                case 0:
                    return value[:i] + value[i + 1 :]
                case 1:
                    return [*value[:i], value[i], *value[i:]]
                case _:
                    return [*value[:i], self._changed(value[i]), *value[i + 1 :]]
        return self._of(NASTY)

    def _rows(self) -> bytes:
        made = np.zeros(self.rng.integers(1, 5), event_dtype(self.dim))
        made["vector"] = self.rng.normal(size=made["vector"].shape)
        made["moral_value"], made["context"] = self.rng.random((2, len(made)))
        body = bytearray(made.tobytes())
        if self._hit(0.3):
            number = self._of([np.nan, np.inf, -np.inf, -0.0, 1.0, 2.0, 1e300, 5e-324])
            form = self._of(["<d", "<d", "<f"])
            with np.errstate(over="ignore"):
                bits = struct.pack("<d", number) if form == "<d" else np.float32(number).tobytes()
            place = int(self.rng.integers(len(body) // 4 - 1)) * 4
            body[place : place + len(bits)] = bits
        return bytes(body)

    def _mutated(self, body: bytes, tokens: list[bytes]) -> bytes:
        """Return bytes with none, one or several of them changed."""
        for _ in range(self._of([0, 0, 0, 1, 1, 3])):
            i, j = sorted(int(x) for x in self.rng.integers(len(body) + 1, size=2))
            match self.rng.integers(7):
                case 0:
                    body = body[:i]
                case 1:
                    body = body[:i] + body[j:]
                case 2:
                    body = body[:j] + body[i:]
                case 3:
                    body = body[:i] + self.rng.bytes(self._of([1, 4, 40])) + body[i:]
                case 4 if i < len(body):
                    changed = body[i] ^ (1 << int(self.rng.integers(8)))
                    body = body[:i] + bytes([changed]) + body[i + 1 :]
                case 5 if tokens:
                    body = body[:i] + self._of(tokens) + body[self._of([i, j]) :]
                case _:
                    body = body + self._of([b" ", b"\n", b"{}", b"\x00", b"," * 3])
        return body
