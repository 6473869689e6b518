"""What a driver writes down before it acts, so that the next one can clear up after it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from mlsdm.errors import RunError
from mlsdm.provenance import Provenance
from mlsdm.sweep.job import Job

__all__ = ["Journal", "Ledger", "only_one"]


@dataclass
class Ledger:
    """A driver's plan: the address of the store, the parent run if there is one, jobs by keys."""

    store: str
    experiments: list[str]
    jobs: dict[str, Job]
    provenances: dict[str, Provenance] = field(repr=False)
    parent: str | None = None


class Journal:
    """The folder of one driver, which lives as long as its lock is held.

    It holds ``ledger.json`` and, in ``results/``, what has been executed and is not in the store
    yet. `token` is its name, and a tag of every run that the driver has begun.
    """

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder = folder
        self.token = folder.name
        self.results = folder / "results"
        self._lock = lock

    @classmethod
    def open(cls, state: Path) -> Self:
        """Begin a journal in the folder of a store's notes."""
        folder = state / "journal" / secrets.token_hex(8)
        _make(state)
        folder.parent.mkdir(exist_ok=True)
        # The lock before the folder: a folder that is not locked is one of a dead driver.
        lock = FileLock(f"{folder}.lock", timeout=0)
        lock.acquire()
        journal = cls(folder, lock)
        journal.results.mkdir(parents=True)
        return journal

    @classmethod
    def abandoned(cls, state: Path) -> Iterator[Self]:
        """Yield the journals whose drivers have died, each locked until the next is asked for."""
        for folder in sorted((state / "journal").glob("*/")):
            lock = FileLock(f"{folder}.lock", timeout=0)
            with suppress(Timeout), lock:
                if folder.is_dir():  # else another driver has just cleared it up
                    yield cls(folder, lock)

    def write(self, ledger: Ledger) -> None:
        """Keep the ledger, whole or not at all."""
        aside = self.folder / "ledger.json.part"
        aside.write_bytes(_ledgers().dump_json(ledger))
        aside.replace(self.folder / "ledger.json")

    def read(self) -> Ledger | None:
        """Return the ledger; None when the driver died before it wrote one.

        Raises
        ------
        RunError
            When it is not one that this version of mlsdm writes.
        """
        path = self.folder / "ledger.json"
        try:
            return _ledgers().validate_json(path.read_bytes()) if path.exists() else None
        except ValueError:
            raise RunError(
                f"journal {self.folder}: cannot be read; another version of mlsdm may have left "
                "it, with results that are not in the store yet: let that one go on, or delete it"
            ) from None

    def close(self) -> None:
        """Remove the journal, unless it holds results that the store has not taken."""
        if not any(self.results.glob("*.json")):
            # Whatever a dying worker puts there meanwhile: the next driver looks again.
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        if not self.folder.exists():
            Path(f"{self.folder}.lock").unlink(missing_ok=True)

    def leave(self) -> None:
        """Let the next driver see to what is not settled."""
        self._lock.release()


@cache
def _ledgers() -> TypeAdapter[Ledger]:
    return TypeAdapter(Ledger)


def _make(state: Path) -> None:
    state.mkdir(exist_ok=True)
    ignore = state / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


@contextmanager
def only_one(state: Path, name: str) -> Iterator[None]:
    """Let one process at a time into the block of that name; the others wait, and say so."""
    import hashlib
    import sys

    _make(state)
    lock = FileLock(state / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that runs {name}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
