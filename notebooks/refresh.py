"""Execute the notebooks in place, and renew the README's picture from their stored outputs.

Usage: ``python notebooks/refresh.py [NAME ...]``; what measures for minutes only when it is named.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from mlsdm.record import records

HERE = Path(__file__).parent
PICTURE = HERE.parent / "reports" / "errors-by-toxic-share.png"
LONG = ("13-service-load",)
SHOWN = ("02-moral-adaptation", "moral/errors_by_share")


def readme_picture() -> bytes:
    """Return the figure that the README shows, as the notebook stores it."""
    notebook = nbformat.read(HERE / f"{SHOWN[0]}.ipynb", as_version=4)
    (figure,) = [r for r in records(notebook) if (r.kind, r.name) == ("figure", SHOWN[1])]
    return figure.png


def refresh(path: Path) -> None:
    """Execute one notebook and store it without what differs from run to run."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        resources={"metadata": {"path": str(HERE.parent)}},  # as `mlsdm run` has it
    )
    client.execute()
    notebook.metadata.language_info = {"name": "python"}
    aside = path.with_suffix(".ipynb.new")
    nbformat.write(notebook, aside)
    os.replace(aside, path)


if __name__ == "__main__":
    for path in sorted(HERE.glob("*.ipynb")):
        if path.stem in sys.argv[1:] or not (sys.argv[1:] or path.stem in LONG):
            print(path.name, flush=True)
            refresh(path)
    PICTURE.write_bytes(readme_picture())
