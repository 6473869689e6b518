"""A sweep as a file: which notebook, which parameters, which seeds, and what must come out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlsdm.errors import DataError, ParameterError, nearest
from mlsdm.sweep import yaml12
from mlsdm.sweep.check import Threshold
from mlsdm.sweep.meaning import check_meaning
from mlsdm.sweep.notebooks import find_notebook
from mlsdm.sweep.schema import Schema, read_schema

__all__ = ["Plan", "load_plan"]

MOST_RUNS = 10_000  # MLflow's interface is slow from a hundred on
KEYS = ("notebook", "question", "parameters", "sweep", "seeds", "thresholds")


@dataclass(frozen=True)
class Plan:
    """A checked plan: the full grid of `swept` times `seeds`, with `fixed` in every run."""

    path: Path
    notebook: Path
    question: str
    fixed: dict[str, Any]
    swept: dict[str, list[Any]]
    seeds: list[int]
    thresholds: list[Threshold]

    @property
    def name(self) -> str:
        """The name of the file, which is the name of the experiment."""
        return self.path.stem

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The parameters of each run, in order; the last swept name and the seed vary fastest."""
        axes = {**self.swept, "seed": self.seeds} if self.seeds else self.swept
        grid = itertools.product(*axes.values())
        return [{**self.fixed, **dict(zip(axes, point, strict=True))} for point in grid]


class _Reader:
    """The content of a plan, each refusal naming the file, the key and its line."""

    def __init__(self, path: Path, project: Path) -> None:
        self.file, self.project = path.name, project
        try:
            text = path.read_text(encoding="utf-8")
            content = yaml12.parse(text)
            self.lines = yaml12.lines(text)
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else error
            raise DataError(f"{path}: cannot be read: {problem}") from None
        if not isinstance(content, dict):
            raise DataError(f"{self.file}: must hold keys with values (got {content!r})")
        self.content = content
        self.names("", content, KEYS)

    def refusal(self, key: str, problem: object) -> ParameterError:
        line = self.lines.get(key)
        return ParameterError(f"{self.file}{f', line {line}' if line else ''}: {key}: {problem}")

    def names(self, owner: str, given: Mapping[Any, object], known: Iterable[str]) -> None:
        for name in given:
            if name not in known:
                key = f"{owner}.{name}" if owner else str(name)
                raise self.refusal(key, f"unknown key{nearest(str(name), known)}")

    def text(self, key: str) -> str:
        value = self.content.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.refusal(key, f"must be text (got {value!r})")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.content.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self.refusal(key, f"must be names with values (got {value!r})")
        return value

    def different(self, key: str, values: object) -> list[Any]:
        if not isinstance(values, list) or not values:
            raise self.refusal(key, f"must be a list of at least one value (got {values!r})")
        if any(value in values[:i] for i, value in enumerate(values)):
            raise self.refusal(key, f"must hold different values (got {values!r})")
        return values

    def valid(self, key: str, schema: Schema, name: str, values: Iterable[object]) -> None:
        for value in values:
            try:
                schema.validate({name: value})
                check_meaning(schema.notebook, {name: value}, self.project)
            except ParameterError as error:
                raise self.refusal(key, error) from None

    def seeds(self, schema: Schema) -> list[int]:
        value = self.content.get("seeds", [])
        if type(value) is int and value >= 1:
            parameter = schema.parameters.get("seed")
            allowed = parameter.seeds if parameter else range(value)
            if value > len(allowed):
                raise self.refusal("seeds", f"'seed' admits only {len(allowed)} (got {value})")
            # As far apart as can be: a notebook that uses seed, seed + 1, … must not meet the next.
            return [allowed[i * len(allowed) // value] for i in range(value)]
        if "seeds" in self.content and not isinstance(value, list):
            raise self.refusal("seeds", f"must be a count >= 1 or a list (got {value!r})")
        return self.different("seeds", value) if "seeds" in self.content else []

    def threshold(self, metric: str, limits: object) -> Threshold:
        key = f"thresholds.{metric}"
        if not isinstance(limits, dict) or not limits:
            raise self.refusal(key, f"must give min, max or both (got {limits!r})")
        self.names(key, limits, ("min", "max"))
        for value in limits.values():
            if type(value) not in (int, float) or not math.isfinite(value):
                raise self.refusal(key, f"must be given as finite numbers (got {value!r})")
        threshold = Threshold(metric, **limits)
        if threshold.min > threshold.max:
            raise self.refusal(key, f"min must not be above max (got {limits!r})")
        return threshold


def load_plan(path: Path, project: Path) -> Plan:
    """Read a plan and check all of it against its notebook; nothing has run then.

    The keys are ``notebook`` (a path within the project, or a name in ``notebooks/``),
    ``question``, ``parameters`` (name: value), ``sweep`` (name: list of values), ``seeds`` (a list
    that is taken as it is, or a count n for n seeds spread evenly over those that the notebook's
    ``seed`` admits) and ``thresholds`` (metric: {min, max}, over the mean of all runs).

    Raises
    ------
    DataError
        When the file cannot be read, or its notebook declares its parameters wrongly.
    ParameterError
        For a key or a value that is not allowed.
    """
    read = _Reader(path, project)
    try:
        notebook = find_notebook(read.text("notebook"), project, project)
    except ParameterError as error:
        raise read.refusal("notebook", error) from None
    schema = read_schema(notebook)
    fixed, swept, seeds = read.mapping("parameters"), read.mapping("sweep"), read.seeds(schema)
    for name, value in fixed.items():
        read.valid(f"parameters.{name}", schema, name, [value])
    for name, values in swept.items():
        key = f"sweep.{name}"
        if name in fixed:
            raise read.refusal(key, "is fixed under parameters already")
        read.valid(key, schema, name, read.different(key, values))
    if seeds:
        if "seed" in {*fixed, *swept}:
            raise read.refusal("seeds", "cannot be given beside a parameter 'seed'")
        read.valid("seeds", schema, "seed", seeds)
    thresholds = [read.threshold(*item) for item in read.mapping("thresholds").items()]
    number = math.prod(len(values) for values in [*swept.values(), seeds or [None]])
    if number > MOST_RUNS:
        raise read.refusal("sweep", f"must make at most {MOST_RUNS} runs (got {number})")
    question = read.text("question") if "question" in read.content else ""
    return Plan(path.resolve(), notebook, question, fixed, swept, seeds, thresholds)
