from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.errors import ParameterError
from mlsdm.service import keys as module
from mlsdm.service.keys import Keyring, new_key


def test_a_new_key_is_known_by_its_digest_alone() -> None:
    key, kept = new_key("alice")
    assert kept.sha256 == sha256(key.encode()).hexdigest()
    assert key not in repr(kept)
    assert Keyring([kept]).client(key) == "alice"


def test_keys_are_never_the_same() -> None:
    assert len({new_key("a")[0] for _ in range(100)}) == 100


def test_each_client_is_found_by_each_of_its_keys() -> None:
    made = [new_key(name) for name in ("alice", "bob", "alice")]
    keyring = Keyring(kept for _, kept in made)
    assert [keyring.client(key) for key, _ in made] == ["alice", "bob", "alice"]
    assert len(keyring) == 3


@given(st.text())
def test_nothing_else_is_a_key(text: str) -> None:
    _, kept = new_key("alice")
    keyring = Keyring([kept])
    assert keyring.client(text) is None
    assert keyring.client(kept.sha256) is None
    assert Keyring([]).client(text) is None


def test_every_known_key_is_compared_whichever_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [new_key(name) for name in "abc"]
    compared: list[str] = []

    def noted(one: str, other: str) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr(module, "compare_digest", noted)
    keyring = Keyring(kept for _, kept in made)
    for key in (made[0][0], made[2][0], "wrong"):
        keyring.client(key)
    assert compared == [kept.sha256 for _, kept in made] * 3


@pytest.mark.parametrize("name", ["", "a b", "a\n", "é", "x" * 65])
def test_a_name_that_no_client_may_have_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=r"^Key\.name: must be 1 to 64 letters"):
        new_key(name)
