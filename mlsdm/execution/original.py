"""A notebook as it was before it was executed."""

from __future__ import annotations

__all__ = ["original"]


def original(executed: str) -> str:
    """Return the text of an executed notebook without injected parameters, outputs and marks."""
    import nbformat
    from papermill.execute import remove_error_markers

    node = remove_error_markers(nbformat.reads(executed, as_version=4))  # type: ignore[no-untyped-call]
    node.cells = [c for c in node.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    node.metadata.pop("papermill", None)
    for cell in node.cells:
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return str(nbformat.writes(node))  # type: ignore[no-untyped-call]
