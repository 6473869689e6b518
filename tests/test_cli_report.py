from __future__ import annotations

from pathlib import Path

import pytest
from commands import mlsdm
from reporting import add_run, claims

from mlsdm.report import claims as module
from mlsdm.tracking import Store

FILES = ["claims.csv", "claims.html", "claims.md"]


@pytest.fixture(autouse=True)
def _here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(module, "page", lambda audit: "<p>the page</p>")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_report_lies_in_the_project(store: Store) -> None:
    run_id = add_run(store, claims())
    result = mlsdm("report")
    assert result.exit_code == 0, result.stderr
    place = store.project / "reports"
    assert files(place) == FILES
    assert result.stdout.startswith(f"13 claims (run {run_id}, 200 seeds): ")
    assert "not testable here" in result.stdout
    assert result.stdout.splitlines()[1:] == [
        str(place / name) for name in ("claims.csv", "claims.md", "claims.html")
    ]


def test_another_run_and_another_folder(store: Store, tmp_path: Path) -> None:
    first = add_run(store, claims())
    add_run(store, claims())
    result = mlsdm("report", "--run", first, "--out", tmp_path / "new" / "folder")
    assert result.exit_code == 0, result.stderr
    assert first in (tmp_path / "new" / "folder" / "claims.csv").read_text()
    assert not (store.project / "reports").exists()


def test_the_check_writes_nothing_and_says_what_is_stale(store: Store) -> None:
    add_run(store, claims())
    result = mlsdm("report", "--check")
    assert result.exit_code == 1
    assert "claims.csv and claims.md and claims.html are not what the run" in result.stderr
    assert not (store.project / "reports").exists()
    assert mlsdm("report").exit_code == 0
    again = add_run(store, claims())
    result = mlsdm("report", "--check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"current with the run {again}" in result.stdout
    add_run(store, claims(mean=0.25))
    before = {path: path.stat().st_mtime_ns for path in (store.project / "reports").iterdir()}
    result = mlsdm("report", "--check")
    assert result.exit_code == 1
    assert result.stderr.startswith("mlsdm: report: in ")
    assert result.stderr.count("\n") == 1
    assert "claims.csv and claims.md are not" in result.stderr
    assert "renew with `mlsdm report`" in result.stderr
    now = {path: path.stat().st_mtime_ns for path in (store.project / "reports").iterdir()}
    assert now == before


def test_a_killed_process_leaves_whole_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_run(store, claims())
    assert mlsdm("report").exit_code == 0
    path = store.project / "reports" / "claims.csv"
    before = path.read_text()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    add_run(store, claims(mean=0.25))
    monkeypatch.setattr(Path, "replace", killed)
    assert mlsdm("report").exit_code == 130
    assert path.read_text() == before


def test_the_gallery_comes_beside_the_report(store: Store) -> None:
    add_run(store, claims())
    result = mlsdm("report", "--gallery")
    assert result.exit_code == 0, result.stderr
    gallery = ["gallery/05-claims.html", "gallery/index.html"]
    assert files(store.project / "reports") == FILES + gallery
    assert str(store.project / "reports" / "gallery" / "index.html") in result.stdout


def test_the_gallery_of_a_store_without_an_audit(store: Store) -> None:
    add_run(store, source="notebooks/mine.ipynb", experiment="mine")
    result = mlsdm("report", "--gallery")
    assert result.exit_code == 0
    assert "holds no audit of the claims yet" in result.stderr
    assert files(store.project / "reports") == ["gallery/index.html", "gallery/mine.html"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 1, "holds no audit of the claims yet; make one with `mlsdm run 05`"),
        (["--gallery"], 1, "holds no finished run of a notebook yet"),
        (["--run", "0" * 32], 1, "0" * 32),
        (["--check", "--gallery"], 2, "--check is about the claims; give it without --gallery"),
        (["--out", "mlflow.db"], 2, "report.out: must be a folder (got mlflow.db)"),
        (["--store", "ftp://x"], 2, "store: must be an SQLite file"),
    ],
)
def test_what_cannot_be_ends_with_one_line(arguments: list[str], code: int, sentence: str) -> None:
    result = mlsdm("report", *arguments)
    assert result.exit_code == code
    assert result.stderr.startswith("mlsdm: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_help_shows_examples() -> None:
    result = mlsdm("report", "--help")
    assert result.exit_code == 0
    assert "mlsdm report --check" in result.stdout


def test_an_audit_over_few_seeds_is_written_and_said(store: Store) -> None:
    add_run(store, claims(n_seeds=3))
    result = mlsdm("report")
    assert result.exit_code == 0
    assert result.stderr == "mlsdm: report: the audit is over 3 seeds, fewer than 200\n"
    assert files(store.project / "reports") == FILES
