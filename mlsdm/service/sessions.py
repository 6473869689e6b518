"""The sessions: engines in memory, the least recently used of them on disk."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import filelock
import msgspec
import numpy as np
import structlog

from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.params import EngineParams
from mlsdm.errors import DataError, MlsdmError, RunError, in_a_line
from mlsdm.service.files import Count, Facts, Files
from mlsdm.service.messages import Created, Gap, SessionInfo, SnapshotInfo
from mlsdm.service.problems import Problem
from mlsdm.service.session import Awake, Session, as_params, now
from mlsdm.service.settings import SessionBounds

__all__ = ["Sessions"]

PART = 2**20  # bytes of a snapshot that are sent at a time

_log = structlog.get_logger("mlsdm.service")


class Sessions:
    """All sessions of a server, bounded in number and bytes."""

    def __init__(self, bounds: SessionBounds) -> None:
        self.bounds = bounds
        self.files = Files(bounds.folder)
        self.lost = 0  # events, since the start
        self.failing = False  # whether the last snapshot could not be written
        self._all: dict[str, Session] = {}
        self._awake: OrderedDict[str, Session] = OrderedDict()  # the least recently used first
        self._room = asyncio.Lock()  # held while engines come into memory
        self._compiled: set[type] = set()
        self._folder = filelock.FileLock(bounds.folder / ".lock")

    @property
    def awake(self) -> list[tuple[Session, Awake]]:
        """Those whose engine is in memory."""
        return [(one, one.awake) for one in self._awake.values() if one.awake is not None]

    @property
    def awake_bytes(self) -> int:
        """Memory that their engines take."""
        return sum(session.params.memory_bytes() for session in self._awake.values())

    def __len__(self) -> int:
        return len(self._all)

    def open(self) -> None:
        """Take the folder, and find the sessions that are in it.

        Raises
        ------
        RunError
            When another server has the folder.
        """
        try:
            self._folder.acquire(timeout=0)
        except filelock.Timeout:
            raise RunError(
                f"Settings.sessions.folder: {str(self.bounds.folder)!r} is another server's"
            ) from None
        for id in self.files.ids():
            try:
                facts = self.files.facts(id)
                params = EngineParams.from_dict(facts.params)
            except MlsdmError as error:
                _log.error("session unreadable", session=id, why=in_a_line(error))
                continue
            self._all[id] = Session(
                id, facts.owner, facts.created, facts.preset, params, facts.events, facts.at,
                list(facts.gaps),
            )  # fmt: skip

    async def start(self) -> None:
        """Compile the rules, and bring back what a killed server left, to tell what was lost."""
        await asyncio.to_thread(self._compile, EngineParams())
        for session in list(self._all.values()):
            if not self.files.whole(session.id):
                try:
                    async with self.use(session.id, session.owner):
                        pass
                except Problem as problem:
                    _log.error("session damaged", session=session.id, why=problem.detail)

    def _compile(self, params: EngineParams) -> None:
        """Compile what a kind of engine needs, unless that was done; it takes seconds."""
        kind = type(params.moral)
        if kind not in self._compiled:
            lattice = {"capacity": 2}
            controller = CognitiveController(params.replace({"dim": 2, "lattice": lattice}))
            vector = np.ones(2, np.float32)
            controller.process_event(vector, 0.9)
            controller.retrieve_context(vector)
            self._compiled.add(kind)

    async def create(self, asked: Created, owner: str) -> Session:
        """Begin a session.

        Raises
        ------
        Problem
            When its parameters are not allowed, or there is no room for it.
        """
        params = as_params(asked, self.bounds.each_bytes)
        mine = sum(session.owner == owner for session in self._all.values())
        for have, most, whose in (
            (mine, self.bounds.per_client, "this client has"),
            (len(self), self.bounds.most, "there are"),
        ):
            if have >= most:
                said = f"{whose[0].upper()}{whose[1:]} {have} sessions, and {most} are allowed."
                raise Problem(409, "too-many-sessions", said)
        id = secrets.token_hex(16)
        session = Session(id, owner, now(), asked.preset, params, 0, now(), there=False)
        self._all[id] = session
        try:
            async with session.lock, self._room:
                await self._make_room(params.memory_bytes())
                await asyncio.to_thread(self._compile, params)
                controller = CognitiveController(params)
                count = await _on_disk(self.files.begin, id)
                session.awake = Awake(controller, count, OrderedDict())
                await self._save(session)
                self._awake[id] = session
                session.there = True
        except BaseException:
            session.awake = None
            del self._all[id]
            with suppress(Problem):  # what is left has no snapshot, and goes at the next start
                await _on_disk(self.files.remove, id)
            raise
        return session

    def owned(self, owner: str) -> list[Session]:
        """Return a client's sessions, the oldest first."""
        return [
            session for session in self._all.values() if session.owner == owner and session.there
        ]

    def known(self, id: str, owner: str) -> Session:
        """Return a client's session.

        Raises
        ------
        Problem
            When there is none, or it is another client's, of which nothing is said.
        """
        session = self._all.get(id)
        if session is None or session.owner != owner or not session.there:
            raise _no_session()
        return session

    @asynccontextmanager
    async def use(self, id: str, owner: str) -> AsyncIterator[tuple[Session, Awake]]:
        """Give a client's session for oneself, its engine in memory.

        Raises
        ------
        Problem
            When there is none, or it cannot be brought back.
        """
        session = self.known(id, owner)
        async with session.lock:
            if not session.there:
                raise _no_session()
            if session.awake is None:
                async with self._room:
                    await self._make_room(session.params.memory_bytes())
                    await self._wake(session)
            self._awake.move_to_end(id)
            assert session.awake is not None
            yield session, session.awake

    async def delete(self, id: str, owner: str) -> None:
        """End a session, and take away what it has on disk.

        Raises
        ------
        Problem
            When there is none.
        """
        session = self.known(id, owner)
        async with session.lock:
            if not session.there:
                raise _no_session()
            await _on_disk(self.files.remove, id)
            self._forget(session)
            session.there = False
            del self._all[id]

    async def save(self, session: Session) -> SnapshotInfo:
        """Write a session that is in use to disk."""
        await self._save(session)
        return self.snapshot(session)

    def snapshot(self, session: Session) -> SnapshotInfo:
        """Return what is known of a session's last snapshot."""
        try:
            size = self.files.snapshot(session.id).stat().st_size
        except OSError:
            size = 0
        return SnapshotInfo(session.saved, size, session.at)

    async def fetch(self, session: Session) -> tuple[int, AsyncIterator[bytes]]:
        """Return the bytes of a session's last snapshot: how many, and piece by piece.

        Raises
        ------
        Problem
            When it cannot be read.
        """
        file = await _on_disk(self.files.snapshot(session.id).open, "rb")

        async def parts() -> AsyncIterator[bytes]:
            with file:  # as it was when it was opened, whatever is written meanwhile
                while part := await asyncio.to_thread(file.read, PART):
                    yield part

        return os.fstat(file.fileno()).st_size, parts()

    async def restore(self, session: Session) -> int:
        """Go back to the last snapshot of a session that is in use; return the events left out.

        If the snapshot cannot be read, the session stays as it was.
        """
        left = session.awake
        assert left is not None
        before, session.awake = session.events, None
        left.count.accepted = session.saved  # what is given up on purpose is no gap
        try:
            await self._wake(session)
        except BaseException:
            session.awake, left.count.accepted = left, before
            self._awake[session.id] = session
            raise
        left.count.close()
        return before - session.events

    async def save_all(self) -> None:
        """Write all engines that have changed to disk, one after another."""
        for session in list(self._awake.values()):
            async with session.lock:
                try:
                    await self._settle(session)
                except Problem as problem:
                    _log.error("snapshot failed", session=session.id, why=problem.detail)
                except Exception:  # the others are written all the same
                    _log.exception("snapshot failed", session=session.id)

    def close(self) -> None:
        """Let go of the folder."""
        for session in list(self._awake.values()):
            self._forget(session)
        self._folder.release()

    def info(self, session: Session) -> SessionInfo:
        """Return what is told of a session."""
        return SessionInfo(
            session.id,
            session.created,
            session.preset,
            session.params.to_dict(),
            session.params.dim,
            session.params.memory_bytes(),
            session.events,
            session.awake is not None,
            self.snapshot(session),
            session.gaps,
        )

    async def _make_room(self, more: int) -> None:
        """Put the least recently used engines on disk until another has room."""
        while self._awake and (
            len(self._awake) >= self.bounds.awake
            or self.awake_bytes + more > self.bounds.awake_bytes
        ):
            session = next(iter(self._awake.values()))
            async with session.lock:
                await self._settle(session)
                self._forget(session)

    def _forget(self, session: Session) -> None:
        if session.awake is not None:
            session.awake.count.close()
        session.awake = None
        self._awake.pop(session.id, None)

    async def _settle(self, session: Session) -> None:
        if session.awake is not None and session.events != session.saved:
            await self._save(session)

    async def _save(self, session: Session) -> None:
        assert session.awake is not None
        controller, facts = session.awake.controller, session.facts()
        try:
            await _on_disk(self.files.keep, session.id, facts, controller)
        except Problem:
            self.failing = True
            raise
        self.failing = False
        session.saved, session.at = facts.events, facts.at
        session.awake.count.saved = facts.events

    async def _wake(self, session: Session) -> None:
        """Bring an engine back from its snapshot; what was accepted after it is a gap."""
        await asyncio.to_thread(self._compile, session.params)
        controller, facts, count = await _on_disk(self._read, session)
        kept = {key: one for key, one in facts.answers.items() if one.events <= controller.events}
        session.awake = Awake(controller, count, OrderedDict(kept))
        try:
            session.saved = controller.events
            if (lost := count.accepted - controller.events) > 0:
                await self._tell(session, Gap(controller.events, lost, now()))
            # Killed before these, the gap is told twice, never not.
            count.accepted = count.saved = controller.events
            self._awake[session.id] = session
        except BaseException:
            self._forget(session)
            raise

    def _read(self, session: Session) -> tuple[CognitiveController, Facts, Count]:
        controller, facts, count = self.files.read(session.id)
        if controller.params != session.params:
            raise DataError(f"session {session.id}: its snapshot and its facts do not agree")
        return controller, facts, count

    async def _tell(self, session: Session, gap: Gap) -> None:
        """Say that accepted events are lost: in the log, and for good in the session's facts."""
        _log.warning("events lost", session=session.id, first=gap.first, lost=gap.lost)
        told = msgspec.structs.replace(session.facts(), gaps=[*session.gaps, gap])
        await _on_disk(self.files.keep_facts, session.id, told)
        session.gaps.append(gap)
        self.lost += gap.lost


def _no_session() -> Problem:
    return Problem(404, "not-found", "There is no such session.")


async def _on_disk(call: Callable[..., Any], *arguments: Any) -> Any:
    """Do what reads or writes files beside the event loop."""
    try:
        return await asyncio.to_thread(call, *arguments)
    except (DataError, OSError) as error:
        _log.error("disk", why=in_a_line(error))
        raise Problem(507, "disk", "The session's files cannot be read or written.") from None
