from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

import mlsdm
from mlsdm import provenance
from mlsdm.errors import DataError
from mlsdm.provenance import Provenance, collect

IDENTITY = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]


def git(folder: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ["git", *IDENTITY, "-c", "commit.gpgsign=false", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """A notebook in a project that no checkout holds."""
    path = tmp_path / "project" / "notebooks" / "é 1.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    return path


@pytest.fixture
def project(notebook: Path) -> Path:
    folder = notebook.parents[1]
    (folder / ".gitignore").write_text("secret.env\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_checkout(notebook: Path, project: Path) -> None:
    found = collect(notebook, project, 42)
    assert found.commit == git(project, "rev-parse", "HEAD")
    assert (found.dirty, found.diff, found.untracked, found.notes) == (False, "", (), ())
    assert found.notebook == "notebooks/é 1.ipynb"
    assert found.notebook_sha256 == hashlib.sha256(b"{}").hexdigest()
    assert found.tags()["mlflow.source.git.commit"] == found.commit
    assert found.tags()["mlflow.source.name"] == "notebooks/é 1.ipynb"
    assert found.tags()["mlsdm.seed"] == "42"
    assert found.tags()["mlsdm.dirty"] == "false"


def test_changes_are_kept_and_ignored_files_are_not(notebook: Path, project: Path) -> None:
    notebook.write_text('{"a": 1}')
    (project / "new é.py").write_text("content of a new file")
    (project / "secret.env").write_text("password")
    found = collect(notebook, project, None)
    assert found.dirty
    assert '+{"a": 1}' in found.diff
    assert found.untracked == ("new é.py",)
    assert "mlsdm.seed" not in found.tags()
    whole = json.dumps(found.to_dict(), ensure_ascii=False)
    assert "secret" not in whole
    assert "password" not in whole
    assert "content of a new file" not in whole


def test_of_a_larger_checkout_only_the_project_is_read(notebook: Path, project: Path) -> None:
    (project / "private.txt").touch()
    (project / ".gitignore").write_text("private")
    inner = project / "notebooks"
    found = collect(notebook, inner, None)
    assert (found.dirty, found.diff, found.untracked) == (False, "", ())
    notebook.write_text('{"a": 1}')
    (inner / "new.py").touch()
    found = collect(notebook, inner, None)
    assert found.untracked == ("new.py",)
    assert '+{"a": 1}' in found.diff
    assert "private" not in json.dumps(found.to_dict())


def test_what_is_staged_only_is_a_change_too(notebook: Path, project: Path) -> None:
    (project / "new.py").write_text("x = 1\n")
    git(project, "add", "new.py")
    assert "+x = 1" in collect(notebook, project, None).diff


def test_long_lists_are_cut_with_a_note(
    notebook: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "MOST_DIFF", 10)
    monkeypatch.setattr(provenance, "MOST_UNTRACKED", 1)
    notebook.write_text("x" * 100)
    for name in ("a", "b", "c"):
        (project / name).touch()
    found = collect(notebook, project, None)
    assert len(found.diff) == 10
    assert found.untracked == ("a",)
    assert found.notes[0] == "2 more untracked files are not named"
    assert found.notes[1].startswith("the diff is cut to 10 of ")
    assert found.tags()["mlsdm.provenance_notes"] == "; ".join(found.notes)


def test_a_checkout_without_a_commit(notebook: Path) -> None:
    git(notebook.parents[1], "init", "-q")
    found = collect(notebook, notebook.parents[1], None)
    assert (found.commit, found.dirty) == ("", True)
    assert found.untracked == ("notebooks/é 1.ipynb",)
    assert found.notes[0].startswith("no commit: ")
    assert "mlflow.source.git.commit" not in found.tags()


def test_no_checkout(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(notebook))  # as inside a git hook: must not matter
    found = collect(notebook, notebook.parents[1], None)
    assert (found.commit, found.diff, found.untracked) == ("", "", ())
    assert "not a git repository" in found.notes[0]
    assert "mlsdm.dirty" not in found.tags()


def test_no_git(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert collect(notebook, notebook.parents[1], None).notes == (
        "no commit: git is not installed",
    )


def test_a_git_that_hangs(notebook: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\nexec /bin/sleep 20\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(provenance, "GIT_SECONDS", 0.1)
    (note,) = collect(notebook, notebook.parents[1], None).notes
    assert note == "no commit: git did not answer within 0.1 s"


def test_versions_and_machine(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setenv("A_SECRET_TOKEN", "hunter2")
    found = collect(notebook, notebook.parent, 1)
    assert found.python == platform.python_version()
    assert found.version == mlsdm.__version__
    assert found.packages["mlsdm"] == metadata.version("mlsdm")
    assert found.packages["numpy"] == metadata.version("numpy")
    assert list(found.packages) == sorted(found.packages, key=str.lower)
    assert found.thread_caps["OMP_NUM_THREADS"] == "1"
    assert found.thread_caps["MKL_NUM_THREADS"] is None
    assert found.cores == os.cpu_count()
    assert found.cpu
    whole = json.dumps(found.to_dict(), allow_nan=False)
    assert "hunter2" not in whole
    assert collect(notebook, notebook.parent, 1) == found
    assert {type(value) for value in found.tags().values()} == {str}


def test_a_tree_that_is_not_installed_has_its_version_too(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.setattr(metadata, "distributions", lambda: [])
    assert collect(notebook, notebook.parent, 1).version == mlsdm.__version__


def test_a_machine_without_cpuinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*arguments: object, **options: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    assert provenance.cpu_model() in (platform.processor(), platform.machine())


def test_the_code_s_sum_follows_every_source_file(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.py").write_text("1")
    before = provenance._code_sha256(tmp_path)
    (tmp_path / "part" / "a.pyc").write_text("2")
    assert provenance._code_sha256(tmp_path) == before
    (tmp_path / "b.toml").write_text("")
    between = provenance._code_sha256(tmp_path)
    (tmp_path / "part" / "a.py").rename(tmp_path / "part" / "c.py")
    assert len({before, between, provenance._code_sha256(tmp_path)}) == 3


def test_a_notebook_elsewhere_and_an_absent_one(tmp_path: Path, notebook: Path) -> None:
    found: Provenance = collect(notebook, tmp_path / "other", None)
    assert found.notebook == "é 1.ipynb"
    with pytest.raises(DataError, match=r"^notebook: .*absent.* cannot be read: No such file"):
        collect(tmp_path / "absent.ipynb", tmp_path, None)


def test_own_data_is_recorded_by_its_hash(tmp_path: Path) -> None:
    notebook, data = tmp_path / "n.ipynb", tmp_path / "own.csv"
    notebook.write_text("{}")
    data.write_text("a")
    found = collect(notebook, tmp_path, 1, data)
    assert found.tags()["mlsdm.data_sha256"] == hashlib.sha256(b"a").hexdigest()
    assert "mlsdm.data_sha256" not in collect(notebook, tmp_path, 1).tags()
    with pytest.raises(DataError, match=r"^data: .* cannot be read"):
        collect(notebook, tmp_path, 1, tmp_path / "none.csv")
