from __future__ import annotations

from pathlib import Path

import pytest

from mlsdm.errors import ParameterError
from mlsdm.project import artifact_root, default_store, find_project


def make(folder: Path) -> Path:
    for part in ("notebooks", "experiments"):
        (folder / part).mkdir(parents=True)
    return folder


def test_the_nearest_folder_upwards_is_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = make(tmp_path)
    inner = make(tmp_path / "inner")
    deep = inner / "notebooks" / "deep"
    deep.mkdir()
    assert find_project(deep) == find_project(inner) == inner
    assert find_project(outer / "notebooks") == outer
    monkeypatch.chdir(deep)
    assert find_project() == inner
    assert find_project(Path("..")) == inner


def test_without_both_folders_it_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    with pytest.raises(ParameterError, match=r"^project: neither .*; give --project$"):
        find_project(tmp_path)


def test_store_and_files_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_store(Path()) == f"sqlite:///{tmp_path.as_posix()}/mlflow.db"
    assert artifact_root(Path()) == tmp_path / "mlartifacts"
