"""What a notebook calls to say "this is a result", and how its results are read back."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
import sys
from dataclasses import dataclass, field
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from mlsdm.display import html_table, short, sparkline, text_table
from mlsdm.errors import DataError, ParameterError
from mlsdm.evidence import Judgement, claims, judge
from mlsdm.recordable import Cell, Dataset, content

if TYPE_CHECKING:
    import nbformat

__all__ = ["MIME", "RESERVED", "Record", "artifact_path", "check_name", "record", "records"]

MIME = "application/vnd.mlsdm.record.v1+json"

_PART = re.compile(r"\w(?:[\w .\-]*\w)?")

RESERVED = ("target", "reproduced", "stated", "nonfinite", "interval", "kernel", "sweep")
"""The groups of metrics that mlsdm writes itself."""

_KIND_OF = {
    **dict.fromkeys(("value", "interval", "judgement"), "metric"),
    **dict.fromkeys(("steps", "values"), "series"),
    **dict.fromkeys(("columns", "rows"), "table"),
    "png": "figure",
    "dataset": "dataset",
}
_FILES = {"table": ("tables", ".csv"), "figure": ("figures", ".png")}  # folder and suffix


def check_name(owner: str, name: object) -> str:
    """Return `name` if MLflow takes it as a key, and any file system as a relative path.

    Raises
    ------
    ParameterError
        Otherwise; `owner` begins its sentence.
    """
    parts = name.split("/") if isinstance(name, str) else []
    # File names hold 255 bytes; some are left for what is put around the name.
    if parts and all(map(_PART.fullmatch, parts)) and len(str(name).encode()) <= 200:
        return str(name)
    raise ParameterError(
        f"{owner}: must be letters, digits, '_', '-', '.' and spaces, grouped by '/', each group "
        f"beginning and ending with a letter, digit or '_', at most 200 bytes (got {name!r})"
    )


def artifact_path(kind: Literal["table", "figure"], name: str) -> str:
    """Return where the file of a table or a figure lies among those of its run."""
    folder, suffix = _FILES[kind]
    return f"{folder}/{name}{suffix}"


@dataclass(frozen=True)
class Record:
    """One result: a number, a series over steps, a table or a figure; or a dataset it is made from.

    Numbers that are not finite are None, and counted in `nonfinite`. The `interval` of a metric
    that is a mean over seeds is its bounds, None where there are none, and how many seeds.
    """

    kind: Literal["metric", "series", "table", "figure", "dataset"]
    name: str
    unit: str = ""
    value: float | None = None
    interval: tuple[float | None, float | None, int] | None = None
    steps: tuple[int, ...] = ()
    values: tuple[float | None, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    png: bytes = field(default=b"", repr=False)
    nonfinite: int = 0
    judgement: Judgement | None = None
    dataset: Dataset | None = None

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False
    )

    def __post_init__(self) -> None:
        check_name("record.name", self.name)
        if self.name.split("/")[0] in RESERVED:
            groups = ", ".join(RESERVED)
            raise ParameterError(
                f"record.name: the groups {groups} are mlsdm's own (got {self.name!r})"
            )
        if self.kind == "metric" and self.value is None and self.nonfinite != 1:
            raise ParameterError(f"record.value: {self.name!r} holds no number")
        if self.kind == "dataset" and self.dataset is None:
            raise ParameterError(f"record.value: {self.name!r} must hold a dataset")
        for part, kind in _KIND_OF.items():
            if kind != self.kind and getattr(self, part) not in (None, (), b""):
                raise ParameterError(
                    f"record.{part}: must belong to a {kind} (got the {self.kind} {self.name!r})"
                )
        low, high, n = self.interval or (None, None, 0)
        ordered = low is None or high is None or low <= high
        if not ordered or n < 0:
            raise ParameterError(
                f"record.value: the interval of {self.name!r} must have its bounds in order and at "
                f"least 0 seeds (got {self.interval!r})"
            )
        if any(not -(2**63) <= step < 2**63 for step in self.steps):
            raise ParameterError(f"record.value: the steps of {self.name!r} must fit in 64 bits")
        # Else the file of one could stand where another one's folder must be.
        _, suffix = _FILES.get(self.kind, ("", ""))
        if suffix and any(part.endswith(suffix) for part in self.name.split("/")[:-1]):
            raise ParameterError(
                f"record.name: no group of a {self.kind} may end in {suffix} (got {self.name!r})"
            )
        widths = {len(row) for row in self.rows} | {len(self.columns)}
        if len(self.steps) != len(self.values) or len(widths) > 1:
            raise ParameterError(f"record.value: the lengths in {self.name!r} do not agree")

    @property
    def text(self) -> str:
        """The result in a few words, its numbers rounded to four significant digits."""
        if self.judgement is not None:
            verdict = self.judgement
            measured = f"{verdict.measured}{self._spread}"
            return f"{self.name}: {measured}, stated {verdict.stated}: {verdict.verdict}"
        if self.kind == "metric":
            return f"{self.name}: {short(self.value)} {self.unit}".rstrip() + self._spread
        if self.kind == "series":
            return f"{self.name}: {self._summary()}"
        if self.kind == "table":
            unit = f" [{self.unit}]" if self.unit else ""
            return f"{self.name}: {len(self.rows)} rows × {len(self.columns)} columns{unit}"
        return f"{self.name}: {'figure' if self.dataset is None else self.dataset.text}"

    @property
    def _spread(self) -> str:
        if self.interval is None:
            return ""
        low, high, n = self.interval
        bounds = "" if low is None or high is None else f" [{short(low)}, {short(high)}]"
        return f"{bounds}, {n} seed{'s' * (n != 1)}"

    @property
    def _finite(self) -> list[float]:
        return [x for x in self.values if x is not None]

    def _summary(self) -> str:
        words = f"{len(self.values)} values"
        if finite := self._finite:
            largest = max(map(abs, finite)) or 1.0  # so that no sum overflows
            mean = largest * (math.fsum(x / largest for x in finite) / len(finite))
            words += f", min {short(min(finite))}, mean {short(mean)}, max {short(max(finite))}"
            words += f", last {short(self.values[-1])} {self.unit}".rstrip()
        return f"{words}, {self.nonfinite} not finite" if self.nonfinite else words


@cache
def _schema() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def record(name: str, value: object, *, unit: str = "", stated: str | None = None) -> None:
    """Show a result of a notebook, or its data, and leave it in the notebook's output for MLflow.

    Parameters
    ----------
    name : str
        What was measured: letters, digits, ``_ - .`` and spaces, grouped by ``/``.
    value : object
        A real number, or an Interval as `mlsdm.analysis.statistics` makes it (a metric, which keeps
        the bounds); a 1-d array, list or pandas Series of numbers (a series; an integer index gives
        its steps); a DataFrame (a table; an integer index without a name is left out); a matplotlib
        Figure, which is closed afterwards; or a Stream (a dataset, of which only what is known
        about it is kept, and a digest).
    unit : str
        The unit of the numbers, such as ``"ms"``.
    stated : str, optional
        The id of a stated target or figure that a metric is held to.

    Raises
    ------
    ParameterError
        When the name, the value or the unit is not allowed, or nothing is stated under `stated`.
    """
    if not isinstance(unit, str):
        raise ParameterError(f"record.unit: must be text (got {unit!r})")
    made = Record(name=name, unit=unit, **content(value))
    if stated is not None:
        made = _judged(made, stated)
    # The inline backend shows every figure that pyplot still holds at the end of a cell.
    if made.kind == "figure" and "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(value)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        print(_plain(made))
    else:
        shell.display_pub.publish(data=_bundle(made))


def _judged(made: Record, stated: str) -> Record:
    if made.kind != "metric":
        raise ParameterError(f"record.stated: only a metric can be judged (got a {made.kind})")
    judgement = judge(stated, math.nan if made.value is None else made.value)
    unit = claims()[stated].unit or made.unit
    if made.unit not in ("", unit):
        raise ParameterError(f"record.unit: {stated!r} is stated in {unit} (got {made.unit!r})")
    return dataclasses.replace(made, unit=unit, judgement=judgement)


def _bundle(made: Record) -> dict[str, Any]:
    payload = _schema().dump_python(made, mode="json", exclude={"png"}, exclude_defaults=True)
    bundle = {MIME: payload, "text/plain": _plain(made)}
    if made.kind == "figure":  # no HTML: notebooks would show that in place of the image
        return bundle | {"image/png": base64.b64encode(made.png).decode()}
    return bundle | {"text/html": _html(made)}


def _plain(made: Record) -> str:
    if made.kind != "table":
        return made.text
    return f"{made.text}\n{text_table(made.columns, made.rows)}"


def _html(made: Record) -> str:
    title = f"<b>{escape(made.name)}</b>{escape(made.text.removeprefix(made.name))}"
    if made.kind == "table":
        return html_table(title, made.columns, made.rows)
    return f"<p>{title} {sparkline(made._finite)}</p>"


def records(notebook: nbformat.NotebookNode) -> list[Record]:
    """Return what the notebook recorded, in order; figures carry their PNG.

    Raises
    ------
    DataError
        When an output holds a malformed record; the sentence names the cell, counted from 1.
    """
    found = []
    for number, cell in enumerate(notebook["cells"], start=1):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if MIME not in data:
                continue
            try:
                found.append(_read(data))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                said = first["msg"].removeprefix("Value error, ")
                place = "".join(f"{part}: " for part in first["loc"])
                raise DataError(f"notebook: cell {number}: {place}{said}") from None
            except (TypeError, ValueError) as error:
                raise DataError(f"notebook: cell {number}: {error}") from None
    return found


def _read(data: dict[str, Any]) -> Record:
    read = _schema().validate_json(json.dumps(data[MIME], allow_nan=False))
    if read.kind != "figure":
        return read
    png = base64.b64decode(data.get("image/png", ""))
    if not png.startswith(b"\x89PNG"):
        raise DataError(f"record.png: {read.name!r} has no PNG image beside it")
    return dataclasses.replace(read, png=png)
