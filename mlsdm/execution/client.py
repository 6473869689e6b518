"""Papermill's client of a kernel, with bounded outputs and without its waits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from functools import cache
from queue import Empty
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine as PapermillEngine
from traitlets import Type

__all__ = ["Engine", "KernelClient", "context"]

# What one cell may leave in its notebook, in characters.
MOST_PRINTED = 1_000_000
MOST_SHOWN = 50_000_000
# What an output costs besides its text: else very many tiny ones would still fill the memory.
_EACH = 100


@cache
def context() -> zmq.asyncio.Context:
    """Return the one ZeroMQ context of this process: another one for each kernel costs time."""
    made = zmq.asyncio.Context()
    # A kernel's sockets appear while the client already waits for them.
    made.setsockopt(zmq.RECONNECT_IVL, 5)
    # Beyond so many messages, by default 1000, what comes faster than it is read would be lost.
    made.setsockopt(zmq.RCVHWM, 100_000)
    return made


class _Outputs(AsyncZMQSocketChannel):
    async def get_msg(  # type: ignore[override]
        self, timeout: float | None = None
    ) -> dict[str, Any]:
        await asyncio.sleep(0)  # else nothing but messages is looked at while there are some
        return await super().get_msg(timeout)


class KernelClient(AsyncKernelClient):
    """A client that waits no longer than the kernel needs."""

    iopub_channel_class = Type(_Outputs)

    def start_channels(self, *_: bool, **__: bool) -> None:
        """Start the two channels that running cells needs."""
        super().start_channels(stdin=False, hb=False, control=False)

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until both channels answer; raise RuntimeError when the kernel does not."""
        deadline = time.monotonic() + (timeout or float("inf"))
        self.kernel_info()
        while time.monotonic() < deadline:
            try:
                reply = await self.shell_channel.get_msg(timeout=0.1)
            except Empty:
                if not await self.is_alive():
                    raise DeadKernelError("Kernel died") from None
                continue
            if reply["msg_type"] == "kernel_info_reply":
                try:  # what the kernel published before it knew of this client is lost
                    await self.iopub_channel.get_msg(timeout=0.05)
                    return
                except Empty:
                    self.kernel_info()
        raise RuntimeError(f"it was not ready within {timeout:g} s")


class NotebookClient(PapermillNotebookClient):  # type: ignore[misc]
    """Runs the cells; notices a dead kernel at once, and cuts outputs without end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._held: dict[bool, int] = {}
        self._dropped = 0

    async def _async_poll_kernel_alive(self) -> None:
        while await self.kc.is_alive():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)  # for what it said last
        if self.task_poll_for_reply is not None:
            self.task_poll_for_reply.cancel()

    def execute_cell(self, cell: NotebookNode, cell_index: int) -> None:
        """Run a cell; say at the end of its outputs what was dropped of them."""
        self._dropped = 0
        try:
            super().execute_cell(cell, cell_index)
        finally:
            if self._dropped:
                kept, more = sum(self._held.values()) / 1e6, self._dropped / 1e6
                text = f"\n[mlsdm cut the output here, after {kept:.1f} MB: {more:.1f} MB more]\n"
                note = new_output(  # type: ignore[no-untyped-call]
                    "stream", name="stderr", text=text
                )
                cell.outputs.append(note)

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        """Add an output to those of its cell while there is room for it."""
        if not outs or self.clear_before_next_output:
            self._held = {True: 0, False: 0}
        content, printed = msg["content"], msg["msg_type"] == "stream"
        joins = (
            printed
            and outs
            and not self.clear_before_next_output
            and outs[-1].get("name") == content["name"]
        )
        size = (0 if joins else _EACH) + _length(content)
        room = (MOST_PRINTED if printed else MOST_SHOWN) - self._held[printed]
        if size > room and printed and room > _EACH:
            keep = room - _EACH
            self._dropped += size - keep
            content["text"], size = content["text"][:keep], room
        elif size > room:
            self._dropped += size
            return None
        self._held[printed] += size
        if joins:
            outs[-1].text += content["text"]
            return outs[-1]
        added: NotebookNode | None = super().output(outs, msg, display_id, cell_index)
        return added


def _length(content: Mapping[str, Any]) -> int:
    if "text" in content:
        return len(content["text"])
    data = content.get("data", content)
    return sum(len(v) if isinstance(v, str) else len(json.dumps(v)) for v in data.values())


class Engine(PapermillEngine):  # type: ignore[misc]
    """Papermill's engine, with our client."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, log_output: bool = False, **options: Any
    ) -> None:
        """Run the cells of the notebook that `nb_man` keeps the books of."""
        NotebookClient(nb_man, kernel_name=kernel_name, **options).execute()
