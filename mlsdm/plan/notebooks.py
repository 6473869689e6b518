"""Where the notebooks of a project are, and how they are named."""

from __future__ import annotations

from pathlib import Path

from mlsdm.errors import ParameterError, nearest

__all__ = ["find_notebook", "numbered_notebooks"]


def numbered_notebooks(project: Path) -> list[Path]:
    """Return the project's ``notebooks/NN-*.ipynb`` in order."""
    return sorted((project / "notebooks").glob("[0-9][0-9]-*.ipynb"))


def find_notebook(name: str, project: Path, base: Path) -> Path:
    """Return the notebook called `name`: a path, or in ``notebooks/`` its stem or number.

    Parameters
    ----------
    base
        The folder that a relative path starts from.

    Raises
    ------
    ParameterError
        When there is none of that name.
    """
    path = base / name
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    known = {p.stem: p for p in sorted((project / "notebooks").glob("*.ipynb"))}
    for stem, notebook in known.items():
        if name in (stem, stem.split("-")[0], notebook.name):
            return notebook.resolve()
    tail = nearest(name, known) if known else f"; {project / 'notebooks'} holds none"
    raise ParameterError(f"notebook: there is no {name!r}{tail}")
