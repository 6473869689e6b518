"""Small notebooks and projects for tests."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook


def make_notebook(path: Path, parameters: str, *cells: str, kernel: str = "elsewhere") -> Path:
    """Write a notebook with a parameters cell, and with the name of a kernel that is not there."""
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    body = [new_markdown_cell("A question?"), first, *map(new_code_cell, cells)]
    notebook = new_notebook(cells=body)
    notebook.metadata.kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path
