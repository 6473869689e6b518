"""What a record becomes in MLflow: points of metrics, a file, or a dataset."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from mlsdm.record import Record, artifact_path

__all__ = ["cut", "dataset", "file", "points"]

LONGEST_SOURCE = 6000  # characters


def points(record: Record) -> list[tuple[str, float, int]]:
    """Return the finite numbers of a record as name, value and step.

    What is stated is a number of its own beside the measured one, and the verdict is 1 or 0; so
    are the bounds of an interval, and how many seeds stand behind it.
    """
    values = zip(record.steps, record.values, strict=True)
    found = [(record.name, value, step) for step, value in values if value is not None]
    if record.value is not None:
        found.append((record.name, record.value, 0))
    bounds = zip(("low", "high", "n"), record.interval or (), strict=False)
    found += [(f"interval/{part}/{record.name}", b, 0) for part, b in bounds if b is not None]
    if (verdict := record.judgement) is not None:
        group = "target" if verdict.verdict in ("met", "not met") else "reproduced"
        found.append((f"{group}/{verdict.id}", float(verdict.holds), 0))
        found.append((f"stated/{verdict.id}", verdict.stated_value, 0))
    return found


def dataset(record: Record) -> Any:
    """Return a dataset as MLflow holds it; of its digest no more than the pages have room for."""
    from mlflow.entities import Dataset

    data = record.dataset
    assert data is not None  # Record sees to it
    columns = [{"name": "moral_value", "type": "double", "required": True}]
    if data.dimension is not None:
        columns.append({"name": f"vector[{data.dimension}]", "type": "float", "required": True})
    if data.toxic_share is not None:
        columns.append({"name": "toxic", "type": "boolean", "required": True})
    source = cut(data.source, LONGEST_SOURCE)
    # The profile is what the pages show.
    known = {"toxic_share": data.toxic_share, "scorer": data.scorer, "source": source or None}
    profile = {name: value for name, value in known.items() if value is not None}
    return Dataset(
        name=record.name,
        digest=data.digest[:16],
        source_type="mlsdm",
        source=json.dumps({"source": source}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": data.events, **profile}),
    )


def file(record: Record) -> tuple[str, str | bytes]:
    """Return the path and the content of a table or a figure."""
    if record.kind == "table":
        return artifact_path("table", record.name), _csv(record)
    return artifact_path("figure", record.name), record.png


def _csv(record: Record) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([record.columns, *record.rows])
    return text.getvalue()


def cut(text: str, most: int) -> str:
    """Return a text of `most` characters at most, which says so if it is not whole."""
    if len(text) <= most:
        return text
    note = f"… (cut: {len(text)} characters)"
    return text[: most - len(note)] + note
