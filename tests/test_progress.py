from __future__ import annotations

import sys

import pytest
from outcomes import outcome

from mlsdm.sweep.progress import FEW, Progress


class _Terminal:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_there_is_one_bar_over_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(2) as progress:
        progress.start("k1", "first")
        progress.cell("k1", 1, 2)
        progress.finish(outcome(run_id="id1", key="k1", title="first"))
        progress.start("k2", "second")
        failed = outcome(run_id="id2", key="k2", title="second", status="FAILED", cause="why")
        progress.finish(failed)
    assert "25%" in terminal.text
    assert "50%" in terminal.text
    assert "[1/2] first: finished in 1.0 s, run id1\n" in terminal.text
    assert "[2/2] second: failed (why) after 1.0 s, run id2\n" in terminal.text
    assert "started" not in terminal.text


@pytest.mark.parametrize("total", [FEW, FEW + 1])
def test_in_a_log_each_end_is_a_line_and_with_few_runs_each_start(
    capsys: pytest.CaptureFixture[str], total: int
) -> None:
    with Progress(total) as progress:
        progress.start("k", "first")
        progress.cell("k", 1, 2)
        progress.finish(outcome(run_id="id", key="k", title="first", status="KILLED"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"[1/{total}] first: called off after 1.0 s, run id"
    assert lines[:-1] == ([f"[1/{total}] first: started"] if total <= FEW else [])
