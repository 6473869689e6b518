"""Where a project's notebooks, experiments and tracked runs are."""

from __future__ import annotations

from pathlib import Path

from mlsdm.errors import ParameterError

__all__ = ["artifact_root", "default_store", "find_project"]


def find_project(start: Path | None = None) -> Path:
    """Return the nearest folder, from `start` (or the current one) upwards, that is a project.

    Raises
    ------
    ParameterError
        When none of them holds both ``notebooks/`` and ``experiments/``.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "experiments").is_dir():
            return folder
    raise ParameterError(
        f"project: neither {here} nor a folder above it holds both notebooks/ and experiments/; "
        "give --project"
    )


def default_store(project: Path) -> str:
    """Return the absolute URI of the project's own SQLite store."""
    return f"sqlite:///{(project.resolve() / 'mlflow.db').as_posix()}"


def artifact_root(folder: Path) -> Path:
    """Return the absolute folder of the runs' files, for a store that lies in `folder`."""
    return folder.resolve() / "mlartifacts"
