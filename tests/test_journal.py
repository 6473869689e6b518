from __future__ import annotations

import dataclasses
import sys
import threading
from io import StringIO
from pathlib import Path

import pytest
from making import make_notebook
from running import eventually

from mlsdm.errors import RunError
from mlsdm.sweep.job import read_source
from mlsdm.sweep.journal import Journal, Ledger, only_one


def died(state: Path, ledger: Ledger | None = None, *results: str) -> Journal:
    """Return the journal of a driver that is no more."""
    journal = Journal.open(state)
    if ledger is not None:
        journal.write(ledger)
    for name in results:
        (journal.results / name).touch()
    journal._lock.release()
    return journal


def left(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "journal").iterdir())


def test_a_journal_lives_beside_the_store_and_git_does_not_see_it(tmp_path: Path) -> None:
    state = tmp_path / ".mlsdm"
    journal = Journal.open(state)
    assert journal.results.is_dir()
    assert journal.folder == state / "journal" / journal.token
    assert (state / ".gitignore").read_text() == "*\n"
    journal.close()
    assert left(state) == []


def test_another_gitignore_stays(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    Journal.open(tmp_path).close()
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_every_journal_has_a_token_of_its_own(tmp_path: Path) -> None:
    first, second = Journal.open(tmp_path), Journal.open(tmp_path)
    assert first.token != second.token
    first.close()
    assert second.results.is_dir()
    second.close()


def test_a_ledger_comes_back_as_it_was(tmp_path: Path) -> None:
    cell = "engine: dict = {}\nname: str = ''\nx: float = 0.1\nseed: int | None = None"
    source = read_source(make_notebook(tmp_path / "é.ipynb", cell), tmp_path)
    provenance = dataclasses.replace(source.provenance, diff="+ é", untracked=("a", "b"))
    values = {"engine": {"moral": {"step": 0.1 + 0.2}}, "name": "é\n\0", "x": 1, "seed": 2**62}
    job = source.job(values, point={"engine.moral.step": 0.1 + 0.2})
    ledger = Ledger("sqlite:///x", ["é"], {job.key: job}, {source.name: provenance}, "parent")
    journal = Journal.open(tmp_path)
    assert journal.read() is None
    journal.write(ledger)
    assert journal.read() == ledger
    assert sorted(path.name for path in journal.folder.iterdir()) == ["ledger.json", "results"]
    journal.write(dataclasses.replace(ledger, parent=None))
    assert journal.read() == dataclasses.replace(ledger, parent=None)
    journal.close()


def test_what_the_store_has_not_taken_keeps_the_journal(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    (journal.results / "key.json").touch()
    journal.close()
    assert (journal.results / "key.json").exists()
    (found,) = Journal.abandoned(tmp_path)
    assert found.folder == journal.folder


def test_a_half_written_result_does_not(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    (journal.results / "key.json.part").touch()
    journal.close()
    assert left(tmp_path) == []


def test_only_the_journals_of_the_dead_are_abandoned(tmp_path: Path) -> None:
    assert list(Journal.abandoned(tmp_path)) == []
    live = Journal.open(tmp_path)
    dead = {died(tmp_path).token, died(tmp_path).token}
    assert {journal.token for journal in Journal.abandoned(tmp_path)} == dead
    live.close()


def test_two_that_clear_up_at_once_do_not_share_a_journal(tmp_path: Path) -> None:
    died(tmp_path)
    first = Journal.abandoned(tmp_path)
    held = next(first)
    assert list(Journal.abandoned(tmp_path)) == []
    held.close()
    assert list(first) == []
    assert list(Journal.abandoned(tmp_path)) == []
    assert left(tmp_path) == []


def test_one_left_alone_can_be_taken_by_the_next(tmp_path: Path) -> None:
    died(tmp_path)
    assert [len(list(Journal.abandoned(tmp_path))) for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("content", ["", "{", '{"store": 1}', '{"store": "a", "jobs": {}}'])
def test_a_ledger_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: str) -> None:
    journal = Journal.open(tmp_path)
    (journal.folder / "ledger.json").write_text(content)
    with pytest.raises(RunError, match=rf"^journal {journal.folder}: cannot be read") as caught:
        journal.read()
    assert "\n" not in str(caught.value)
    journal.close()


def test_only_one_at_a_time_and_the_others_say_that_they_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", said := StringIO())
    inside: list[str] = []

    def second() -> None:
        with only_one(tmp_path / "state", "a sweep"):
            inside.append("second")

    with only_one(tmp_path / "state", "a sweep"):
        with only_one(tmp_path / "state", "another sweep"):
            assert said.getvalue() == ""
        thread = threading.Thread(target=second)
        thread.start()
        assert eventually(lambda: "waiting" in said.getvalue())
        inside.append("first")
    thread.join(10)
    assert inside == ["first", "second"]
    assert said.getvalue() == "waiting for another process that runs a sweep\n"
    assert (tmp_path / "state" / ".gitignore").exists()


def test_an_error_inside_lets_the_next_one_in(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), only_one(tmp_path, "a"):
        raise ValueError("no")
    with only_one(tmp_path, "a"):
        pass
