"""One line of progress: a bar in a terminal or a notebook, plain lines anywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from mlsdm.sweep.outcome import RunOutcome

__all__ = ["Progress"]


def _interactive() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return sys.stderr.isatty() or hasattr(shell, "kernel")


class Progress:
    """Follows `total` runs; use as a context manager, around `start` and `finish` of each run."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.name = ""
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
        text = f"[{self.done + 1}/{self.total}] {self.name}: {text}"
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def start(self, name: str) -> None:
        """Say that the next run begins."""
        self.name = name
        if self.bar is None:
            self._line("started")
        else:
            self.bar.set_description_str(name)

    def cell(self, done: int, total: int) -> None:
        """Take note of the cells done in the current run."""
        if self.bar is not None:
            self.bar.n = self.done + done / total
            self.bar.refresh()

    def finish(self, outcome: RunOutcome) -> None:
        """Say how the current run ended."""
        end = "finished in" if outcome.status == "FINISHED" else f"failed ({outcome.cause}) after"
        self._line(f"{end} {outcome.seconds:.1f} s, run {outcome.run_id}")
        self.done += 1
        if self.bar is not None:
            self.bar.n = self.done
            self.bar.refresh()
