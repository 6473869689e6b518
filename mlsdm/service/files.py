"""What a session leaves on disk: its snapshot, facts about it, and how many events it accepted."""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.snapshot import written
from mlsdm.errors import DataError
from mlsdm.service.messages import Gap

__all__ = ["Answer", "Count", "Facts", "Files"]

_ID = re.compile(r"[0-9a-f]{32}")
_NUMBERS = struct.Struct("<qq")

_log = structlog.get_logger("mlsdm.service")


class Answer(msgspec.Struct, frozen=True):
    """What was answered to a request that may come again."""

    digest: str  # of the request's body
    events: int  # taken in all, with those of the request
    body: str


class Facts(msgspec.Struct, frozen=True):
    """What is known of a session besides its engine."""

    owner: str
    created: str
    preset: Literal["specification", "published"]
    params: dict[str, Any]
    events: int  # in the snapshot that was to be written next
    at: str
    gaps: list[Gap]
    answers: dict[str, Answer]


class Count:
    """How many events a session has accepted, and how many its snapshot holds, in a file.

    The file outlives a killed process. It is mapped, so that an event costs a store to memory: what
    has been written is the system's as soon as it is written, and is lost only with the machine.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _NUMBERS.size)

    @property
    def accepted(self) -> int:
        """Events accepted."""
        return int(_NUMBERS.unpack_from(self._map)[0])

    @accepted.setter
    def accepted(self, events: int) -> None:
        _NUMBERS.pack_into(self._map, 0, events, self.saved)

    @property
    def saved(self) -> int:
        """Events in the snapshot."""
        return int(_NUMBERS.unpack_from(self._map)[1])

    @saved.setter
    def saved(self, events: int) -> None:
        _NUMBERS.pack_into(self._map, 0, self.accepted, events)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()


class Files:
    """The folder of the sessions; a session is there when its snapshot is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise DataError(
                f"Settings.sessions.folder: {str(folder)!r} cannot be used: "
                f"{error.strerror or error}"
            ) from None

    def snapshot(self, id: str) -> Path:
        """Return where a session's snapshot is, which `CognitiveController.load` reads."""
        return self.folder / f"{id}.snapshot"

    def _facts(self, id: str) -> Path:
        return self.folder / f"{id}.json"

    def _count(self, id: str) -> Path:
        return self.folder / f"{id}.count"

    def ids(self) -> Iterator[str]:
        """Yield the sessions that are there, and take away what a killed server left."""
        for path in self.folder.glob(".snapshot-*.part"):
            path.unlink(missing_ok=True)
        names = {path.stem for path in self.folder.iterdir() if _ID.fullmatch(path.stem)}
        for id in sorted(names):
            if self.snapshot(id).exists():
                yield id
            else:
                self.remove(id)

    def whole(self, id: str) -> bool:
        """Return whether a session's snapshot is known to hold all that it has accepted."""
        try:
            count = Count(self._count(id))
        except (OSError, ValueError):
            return False
        accepted, saved = count.accepted, count.saved
        count.close()
        return accepted == saved

    def facts(self, id: str) -> Facts:
        """Return what is known of a session.

        Raises
        ------
        DataError
            When they cannot be read.
        """
        try:
            return msgspec.json.decode(self._facts(id).read_bytes(), type=Facts)
        except (OSError, msgspec.MsgspecError) as error:
            raise DataError(f"{self._facts(id)}: cannot be read: {error}") from None

    def begin(self, id: str) -> Count:
        """Return the count of a new session, or of one that has lost its own."""
        self._count(id).write_bytes(_NUMBERS.pack(0, 0))
        return Count(self._count(id))

    def read(self, id: str) -> tuple[CognitiveController, Facts, Count]:
        """Return a session's engine, what is known of it, and its count.

        Raises
        ------
        DataError
            When the snapshot or the facts cannot be read.
        """
        controller, facts = CognitiveController.load(self.snapshot(id)), self.facts(id)
        try:
            count = Count(self._count(id))
        except (OSError, ValueError):
            _log.warning("count lost", session=id)  # of accepted events: there may be a gap
            count = self.begin(id)
        return controller, facts, count

    def keep_facts(self, id: str, facts: Facts) -> None:
        """Write what is known of a session, whole or not at all."""
        with written(self._facts(id)) as file:
            file.write(msgspec.json.encode(facts))

    def keep(self, id: str, facts: Facts, controller: CognitiveController) -> None:
        """Write a session's engine and what is known of it.

        The facts come first: killed between the two, they tell of answers to events that the older
        snapshot does not have, and such answers are left out when it is read again. The other way
        round a request that comes again would be taken again.
        """
        self.keep_facts(id, facts)
        controller.save(self.snapshot(id))

    def remove(self, id: str) -> None:
        """Take a session away: its snapshot first, so that half of one is none."""
        for path in (self.snapshot(id), self._facts(id), self._count(id)):
            path.unlink(missing_ok=True)
        _settle(self.folder)


def _settle(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
