"""Runs as a store holds them, and what to find them by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mlsdm.errors import ParameterError

__all__ = ["Found", "Tags", "conditions", "found_run"]

# What a tag must be: this value; anything, if None; anything but these.
Tags = Mapping[str, str | Collection[str] | None]


@dataclass(frozen=True)
class Found:
    """A run as the store holds it; of each metric the last value.

    `started` is in milliseconds since 1970.
    """

    id: str
    status: str
    name: str
    experiment: str
    started: int
    tags: dict[str, str]
    metrics: dict[str, float]


def conditions(tags: Tags) -> list[str]:
    """Return what MLflow is to search for.

    Raises
    ------
    ParameterError
        When MLflow can search for no such value.
    """
    wanted = []
    for key, value in tags.items():
        if isinstance(value, str):
            wanted.append(f"tags.`{key}` = {_quoted(key, value)}")
        else:
            others = ("", *(value or ()))
            wanted += [f"tags.`{key}` != {_quoted(key, other)}" for other in others]
    return wanted


def _quoted(key: str, text: str) -> str:
    # MLflow knows no escape: it takes off the outer quotes, and leaves what is between as it is.
    quote = '"' if "'" in text else "'"
    if quote in text or text.endswith("\\"):
        raise ParameterError(
            f"store.tags: MLflow finds no value that holds both kinds of quotes or ends in a "
            f"backslash (got {key}={text!r})"
        )
    return f"{quote}{text}{quote}"


def found_run(run: Any, experiment: str) -> Found:
    """Return a run of MLflow's as one of ours."""
    data = run.data
    return Found(
        run.info.run_id,
        run.info.status,
        run.info.run_name,
        experiment,
        int(run.info.start_time),
        dict(data.tags),
        dict(data.metrics),
    )
