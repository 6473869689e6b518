"""API keys: kept as digests, and compared in constant time."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

from pydantic import ValidationError

from mlsdm.errors import ParameterError
from mlsdm.service.values import Key

__all__ = ["KEY_BEGINS", "Keyring", "new_key"]

KEY_BEGINS = "mlsdm_"
BYTES = 32  # as random as its digest: a slow hash, as for passwords, would add nothing


def new_key(name: str) -> tuple[str, Key]:
    """Return a fresh API key for a client, and what the settings hold of it.

    Raises
    ------
    ParameterError
        When the name is not one that a client may have.
    """
    key = f"{KEY_BEGINS}{secrets.token_urlsafe(BYTES)}"
    try:
        return key, Key(name=name, sha256=_digest(key))
    except ValidationError as error:
        raise ParameterError(f"Key.name: {error.errors()[0]['msg']}") from None


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Keyring:
    """The keys of a server's clients."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = [(key.name, key.sha256) for key in keys]

    def __len__(self) -> int:
        return len(self._keys)

    def client(self, key: str) -> str | None:
        """Return the name of the client whose key it is, or None; as slow for every key."""
        digest, client = _digest(key), None
        for name, known in self._keys:
            if compare_digest(digest, known):
                client = name
        return client
