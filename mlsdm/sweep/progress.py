"""Progress of several runs: a bar in a terminal or a notebook, plain lines anywhere else."""

from __future__ import annotations

import sys
from threading import RLock
from types import TracebackType
from typing import Any, Self

from mlsdm.sweep.outcome import RunOutcome

__all__ = ["Progress"]

FEW = 10  # runs of which also the start is worth a line


def _interactive() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return sys.stderr.isatty() or hasattr(shell, "kernel")


class Progress:
    """Follows `total` runs; use as a context manager, around what is told of each run."""

    def __init__(self, total: int) -> None:
        self._lock = RLock()  # runs begin in the main thread, and end in the writer's
        self.total = total
        self.done = 0
        self.going: dict[str, float] = {}
        self.bar: Any = None

    def __enter__(self) -> Self:
        if _interactive():
            from tqdm.auto import tqdm

            shape = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
            self.bar = tqdm(total=self.total, bar_format=shape, dynamic_ncols=True, leave=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def _line(self, text: str) -> None:
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def _draw(self) -> None:
        if self.bar is not None:
            self.bar.n = min(self.total, self.done + sum(self.going.values()))
            self.bar.refresh()

    def start(self, key: str, title: str) -> None:
        """Say that a run begins."""
        with self._lock:
            self.going[key] = 0.0
            if self.bar is None and self.total <= FEW:
                self._line(f"[{self.done + len(self.going)}/{self.total}] {title}: started")
            elif self.bar is not None:
                self.bar.set_description_str(title)
            self._draw()

    def cell(self, key: str, done: int, total: int) -> None:
        """Take note of the cells done in a run."""
        with self._lock:
            if key in self.going:
                self.going[key] = done / total
            self._draw()

    def finish(self, outcome: RunOutcome) -> None:
        """Say how a run ended."""
        end = {
            "FINISHED": "finished in",
            "FAILED": f"failed ({outcome.cause}) after",
            "KILLED": "called off after",
        }[outcome.status]
        with self._lock:
            self.going.pop(outcome.key, None)
            self.done += 1
            head = f"[{self.done}/{self.total}] {outcome.title}"
            self._line(f"{head}: {end} {outcome.seconds:.1f} s, run {outcome.run_id}")
            self._draw()
