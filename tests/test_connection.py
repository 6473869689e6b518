from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlsdm.errors import MlsdmError, ParameterError, RunError
from mlsdm.project import default_store
from mlsdm.tracking import Store, connection
from mlsdm.tracking.connection import public, store_uri


def fake_sqlalchemy_store(address: str, root: str) -> Any:
    Path(address.removeprefix("sqlite:///")).write_bytes(b"SQLite format 3\0")
    return SimpleNamespace(engine=SimpleNamespace(dispose=lambda: None))


@pytest.mark.parametrize("error", [FileExistsError(), PermissionError("no hard links")])
def test_a_store_is_put_into_place_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def link(made: Path, path: Path) -> None:
        if isinstance(error, FileExistsError):
            path.write_bytes(b"another's")
        raise error

    monkeypatch.setattr(
        "mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore", fake_sqlalchemy_store
    )
    monkeypatch.setattr(os, "link", link)
    connection._make(tmp_path / "m.db")
    raced = isinstance(error, FileExistsError)
    assert (tmp_path / "m.db").read_bytes() == (b"another's" if raced else b"SQLite format 3\0")
    assert len(list(tmp_path.iterdir())) == 1


def without_hard_links(made: Path, path: Path) -> None:
    raise PermissionError("no hard links")


def test_without_hard_links_a_store_made_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.db"

    def slow(address: str, root: str) -> Any:
        path.write_bytes(b"another's")
        return fake_sqlalchemy_store(address, root)

    monkeypatch.setattr("mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore", slow)
    monkeypatch.setattr(os, "link", without_hard_links)
    connection._make(path)
    assert path.read_bytes() == b"another's"
    assert list(tmp_path.iterdir()) == [path]


def test_without_hard_links_one_of_many_makes_the_store(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    made = [tmp_path / f"{i}.fresh" for i in range(8)]
    for file in made:
        file.write_text(file.name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda file: connection._place(file, path), made))
    assert sum(file.exists() for file in made) == 7
    assert not Path(path.read_text()).exists()
    assert not (tmp_path / "m.db.lock").exists()


def test_a_lock_that_was_left_behind_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_SECONDS", 0.1)
    (tmp_path / "m.db.lock").touch()
    with pytest.raises(RunError, match=r"another process is making it; .* delete .*m.db.lock$"):
        connection._place(tmp_path / "fresh.db", tmp_path / "m.db")
    assert (tmp_path / "m.db.lock").exists()


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    inside = f"sqlite:///{tmp_path.as_posix()}"
    assert store_uri(tmp_path) == default_store(tmp_path) == f"{inside}/mlflow.db"
    assert store_uri(tmp_path, "runs.db") == f"{inside}/runs.db"
    assert store_uri(tmp_path, "sqlite:///a/../runs.db") == f"{inside}/runs.db"
    assert store_uri(tmp_path, f"{inside}/runs.db") == f"{inside}/runs.db"
    assert store_uri(tmp_path, "https://host/mlflow/") == "https://host/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert store_uri(tmp_path) == "http://host:5000"
    assert store_uri(tmp_path, "runs.db") == f"{inside}/runs.db"


@pytest.mark.parametrize(
    "uri",
    [
        "./mlruns",
        "databricks",
        "file:///tmp/mlruns.db",
        "sqlite://",
        "sqlite:///:memory:",
        "a%20b.db",
        "a.db?x=1",
        "postgresql://me:secret@host/db.x",
    ],
)
def test_other_addresses_are_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ParameterError, match=r"^store: must be an SQLite file") as caught:
        Store.open(tmp_path, uri)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_store(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "text.db").write_text("this is no database")
    for name, said in [
        ("folder.db", "is a folder"),
        ("text.db", "is not an SQLite database"),
        ("absent/x.db", "absent does not exist"),
    ]:
        with pytest.raises(RunError, match=rf"^store .*{name}: .*{said}"):
            Store.open(tmp_path, name)
    assert (tmp_path / "text.db").read_text() == "this is no database"


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RunError, match=rf"^store http://{address}: no server answers") as caught:
        Store.open(tmp_path, f"http://me:secret@{address}")
    assert "secret" not in str(caught.value)


def test_a_server_that_is_silent_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(RunError, match="no server answers"):
            Store.open(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_server_that_is_not_mlflow(tmp_path: Path, mlflow_server: str) -> None:
    with pytest.raises(RunError, match="the server answers 404"):
        Store.open(tmp_path, f"{mlflow_server}/elsewhere")


def test_errors_of_others_become_one_line() -> None:
    with pytest.raises(RunError, match=r"^store http://h: first http://k$"):  # noqa: SIM117
        with connection.one_sentence("http://u:p@h"):
            raise OSError("first http://u:p@k\nsecond")
    with pytest.raises(RunError, match=r"^store x: OSError$"), connection.one_sentence("x"):
        raise OSError
    with pytest.raises(MlsdmError, match=r"^ours$"), connection.one_sentence("x"):
        raise MlsdmError("ours")
    for password in ("p", "p@ss", "p/a", ""):
        assert public(f"see http://u:{password}@h/a b@c") == "see http://h/a b@c"
