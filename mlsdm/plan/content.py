"""What a sweep file may hold, as models: they check it, and editors get their JSON schema."""

from __future__ import annotations

import json
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from mlsdm.errors import DataError, ParameterError
from mlsdm.plan import yaml12
from mlsdm.plan.forms import UNIQUE, Number, Sweep, different
from mlsdm.plan.strict import Keys, Origin, SomeKeys, must, refusal
from mlsdm.project import find_project

__all__ = ["SweepFile", "read_content", "sweep_schema", "write_schema"]

YEAR = 366 * 24 * 3600
_SIZE = re.compile(r"(\d{1,30}(?:\.\d{1,30})?) ?([kKMGT]?B|[KMGT]iB)", re.ASCII)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def _bytes(size: object) -> object:
    """Return the bytes that a text such as '500 MB' or '2 GiB' says."""
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if not match:
        return size
    prefix = match[2].removesuffix("B")
    base = 1024 if prefix.endswith("i") else 1000
    return int(Decimal(match[1]) * base ** _POWERS[prefix.removesuffix("i").upper()])


def _metric(name: str) -> str:
    from mlsdm.record import check_name  # brings pandas

    try:
        return check_name("the name", name)
    except ParameterError as error:
        raise refusal(str(error)) from None


Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(pattern=r"\S"), must("text")]
Seconds = Annotated[
    float, Field(gt=0, le=YEAR), must("a number of seconds, above 0 and at most a year")
]
Bytes = Annotated[
    int,
    Field(ge=1, le=2**63 - 1),
    BeforeValidator(
        _bytes, json_schema_input_type=Count | Annotated[str, Field(pattern=f"^{_SIZE.pattern}$")]
    ),
    must("bytes as a whole number above 0, or text such as '500 MB' or '2 GiB'"),
]
Seeds = Annotated[
    Count | Annotated[list[int], Field(min_length=1), UNIQUE],
    must("a count of at least 1, or a list of whole numbers", whole=True),
    AfterValidator(different),
]
Metric = Annotated[str, AfterValidator(_metric)]


class Threshold(SomeKeys):
    """The limits, both included, that a metric is held to."""

    min: Number | None = Field(default=None, description="The least value that is met.")
    max: Number | None = Field(default=None, description="The greatest value that is met.")

    @model_validator(mode="after")
    def _ordered(self) -> Threshold:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise refusal(f"min must not be above max (got {self.min} and {self.max})")
        return self


class Timeouts(SomeKeys):
    """How long a run may take."""

    cell: Seconds | None = Field(default=None, description="Seconds that one cell may take.")
    notebook: Seconds | None = Field(
        default=None, description="Seconds that the whole notebook may take."
    )


class SweepFile(Keys):
    """A sweep: which notebook, with which parameters and seeds, and what must come out of it."""

    notebook: Text = Field(
        description="A path from the project on, or a name or number in notebooks/."
    )
    question: Text | None = Field(default=None, description="What the sweep is to answer.")
    parameters: Annotated[dict[str, Any], must("names with values")] = Field(
        default={},
        description="Parameters with one value in every run. A dotted name such as "
        "engine.moral.step sets a value inside a parameter of type dict.",
    )
    sweep: Sweep | None = Field(
        default=None,
        description="What varies. A grid: each name with a list of values, in every combination. "
        "A list of points: each with the same names. A design: points that fill a space.",
    )
    seeds: Seeds | None = Field(
        default=None,
        description="A count, or a list. All of them in every run where the notebook has a "
        "parameter seeds (or, for a count, n_seeds); else one run a seed.",
    )
    timeouts: Timeouts | None = Field(
        default=None, description="Seconds that one cell, and the whole notebook, may take."
    )
    memory_limit: Bytes | None = Field(
        default=None,
        description="What the kernel of a run and its children may hold: bytes, or text such as "
        "500 MB (decimal) or 2 GiB (binary).",
    )
    workers: Annotated[Count, must("a whole number of at least 1")] | None = Field(
        default=None,
        description="The most runs at once; 1 for a notebook that measures time.",
    )
    thresholds: Annotated[dict[Metric, Threshold], must("metrics with limits")] = Field(
        default={}, description="What the mean of a metric over the runs must be: min, max or both."
    )


def read_content(path: Path) -> tuple[SweepFile, Origin]:
    """Return what a sweep file holds, and where.

    Raises
    ------
    DataError
        When the file cannot be read, or is no YAML of plain values.
    ParameterError
        For a key or a value that no sweep file may hold.
    """
    try:
        content, lines = yaml12.load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path.name}: cannot be read: it is not UTF-8 text") from None
    except ValueError as error:
        raise DataError(f"{path.name}, {error}") from None
    origin = Origin(path.name, lines)
    try:
        return SweepFile.model_validate(content), origin
    except ValidationError as error:
        raise origin.first(error, tagged="sweep") from None


def sweep_schema() -> dict[str, Any]:
    """Return the JSON schema of a sweep file, for editors."""
    schema = SweepFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write_schema(folder: Path) -> Path:
    """Write the JSON schema beside the sweep files in `folder`, and return its path."""
    path = folder / "sweep.schema.json"
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(sweep_schema(), indent=2) + "\n", encoding="utf-8")
    os.replace(aside, path)
    return path


if __name__ == "__main__":
    print(write_schema(find_project() / "experiments"))
