"""A sweep as a file: which notebook, which parameters, which seeds, and what must come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlsdm.errors import ParameterError
from mlsdm.plan import design
from mlsdm.plan.content import SweepFile, read_content
from mlsdm.plan.forms import MOST_RUNS, DesignSweep, Interval
from mlsdm.plan.meaning import check_meaning, number_kind
from mlsdm.plan.notebooks import find_notebook
from mlsdm.plan.schema import Schema, read_schema
from mlsdm.plan.strict import Origin
from mlsdm.plan.threshold import Threshold
from mlsdm.plan.yaml12 import Place

__all__ = ["Plan", "PlannedRun", "load_plan"]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Parameters
    ----------
    values
        What is given to the notebook, dotted names merged into the parameters they belong to.
    point
        What varies, without the seed, dotted names as they are written.
    seed
        The seed of a replicate that is a run of its own.
    """

    values: dict[str, Any]
    point: dict[str, Any]
    seed: int | None = None


@dataclass(frozen=True)
class Plan:
    """A checked plan: its runs in order, of one point those of its seeds one after another.

    `fixed` is what every run has, names as they are written, the seeds of a fleet with it;
    time-outs are in seconds, the memory limit in bytes, `workers` is the most at once; None for no
    limit.
    """

    path: Path
    notebook: Path
    question: str
    fixed: dict[str, Any]
    runs: list[PlannedRun]
    thresholds: list[Threshold]
    cell_timeout: float | None = None
    timeout: float | None = None
    memory_limit: int | None = None
    workers: int | None = None

    @property
    def name(self) -> str:
        """The name of the file, which is the name of the experiment."""
        return self.path.stem


def _above(name: str) -> list[str]:
    """Return the dotted names of which `name` sets a part: of ``a.b.c``, ``a`` and ``a.b``."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


class _Planner:
    """Holds a sweep file against its notebook; each refusal names the file, the line, the key."""

    def __init__(self, content: SweepFile, origin: Origin, schema: Schema, project: Path) -> None:
        self.content, self.origin = content, origin
        self.schema, self.project = schema, project
        self.fixed, self.swept = content.parameters, design.names(content.sweep)
        self.valid: set[tuple[str, str]] = set()

    def check(self, name: str, value: object) -> None:
        """Refuse a value that the notebook does not take; each one is looked at once."""
        if (name, repr(value)) not in self.valid:
            self.schema.validate({name: value})
            check_meaning(self.schema.notebook, {name: value}, self.project, self.schema.policies)
            self.valid.add((name, repr(value)))

    def check_at(self, place: Place, name: str, value: object) -> None:
        try:
            self.check(name, value)
        except ParameterError as error:
            raise self.origin.refusal(place, error) from None

    def place(self, name: str, point: int = 0) -> Place:
        """Where a swept name stands, in the list of points that of one point."""
        match self.content.sweep:
            case DesignSweep():
                return "sweep", "design", "ranges", name
            case list():
                return "sweep", point, name
        return "sweep", name

    def value_place(self, name: str, point: Mapping[str, Any], index: int) -> Place:
        """Where the value of a point stands, the `index`-th of the sweep."""
        sweep = self.content.sweep
        if isinstance(sweep, dict):
            return "sweep", name, sweep[name].index(point[name])
        return self.place(name, index)

    def names(self, given: Iterable[str], place: Callable[[str], Place]) -> None:
        """Refuse names that are no parameters, and two of which one sets a part of the other."""
        known = set(given)
        for name in known:
            root, *path = name.split(".")
            try:
                parameter = self.schema.find(root)
            except ParameterError as error:
                raise self.origin.refusal(place(name), error) from None
            problem = ""
            if path and parameter.type is not dict:
                problem = f"{root!r} is {parameter.annotation}, which holds no names"
            elif not all(path):
                problem = "must be names with single dots between them"
            elif both := known.intersection(_above(name)):
                problem = f"sets a part of {min(both)!r}, which is given too"
            if problem:
                raise self.origin.refusal(place(name), problem)

    def apart(self) -> None:
        """Refuse to sweep what is fixed already, or what holds something that is fixed."""
        held = {above: name for name in self.fixed for above in _above(name)}
        for name in self.swept:
            if name in self.fixed:
                raise self.origin.refusal(self.place(name), "is fixed under parameters already")
            if name in held:
                problem = f"would replace {held[name]!r}, which is fixed under parameters"
                raise self.origin.refusal(self.place(name), problem)

    def assembled(
        self, given: Mapping[str, Any], under: Mapping[str, Any], place: Callable[[str], Place]
    ) -> dict[str, Any]:
        """Return values by parameter, dotted names merged over what is `under` them, checked."""
        values: dict[str, Any] = {}
        setting: dict[str, list[str]] = {}
        defaults = self.schema.parameters
        for name, value in given.items():
            root, *path = name.split(".")
            base = values.get(root, under.get(root, defaults[root].default))
            try:
                values[root] = design.merged(base or {}, path, value) if path else value
            except ParameterError as error:
                raise self.origin.refusal(place(name), error) from None
            setting.setdefault(root, []).append(name)
        for root, value in values.items():
            try:
                self.check(root, value)
            except ParameterError as error:
                for name in setting[root][:-1]:  # Which of several is it? One alone may tell.
                    alone = design.merged({}, name.split(".")[1:], given[name])
                    self.check_at(place(name), root, alone)
                raise self.origin.refusal(place(setting[root][-1]), error) from None
        return values

    def seeds(self) -> tuple[dict[str, Any], list[int] | list[None]]:
        """Return what the seeds give to every run, and the seeds that are runs of their own."""
        seeds, parameters = self.content.seeds, self.schema.parameters
        if seeds is None:
            return {}, [None]
        name = "seed"
        if "seeds" in parameters and parameters["seeds"].type == list[int]:
            name = "seeds"
        elif isinstance(seeds, int) and "n_seeds" in parameters:
            name = "n_seeds"
        if name in {*self.fixed, *self.swept}:
            raise self.origin.refusal(("seeds",), f"cannot be given beside a parameter {name!r}")
        given: Any = seeds
        if name != "n_seeds" and isinstance(seeds, int):
            try:
                allowed = self.schema.find(name).seeds
            except ParameterError as error:
                raise self.origin.refusal(("seeds",), error) from None
            if seeds > min(len(allowed), MOST_RUNS):
                few = len(allowed) < MOST_RUNS
                most = f"{name!r} admits only {len(allowed)}" if few else f"at most {MOST_RUNS}"
                raise self.origin.refusal(("seeds",), f"{most} (got {seeds})")
            given = [allowed[place] for place in design.spread(seeds, len(allowed))]
        if name != "seed":
            self.check_at(("seeds",), name, given)
            return {name: given}, [None]
        for i, seed in enumerate(given):
            self.check_at(("seeds", i), name, seed)
        return {}, given

    def kind(self, name: str, limits: Interval) -> design.Kind:
        """Return what numbers a range draws; its limits must be of that kind, and be allowed."""
        root, *path = name.split(".")
        parameter, place = self.schema.find(root), self.place(name)
        whole = type(limits.low) is type(limits.high) is int
        kind = (number_kind(name) or (int if whole else float)) if path else parameter.type
        if kind not in (int, float):
            problem = f"only int and float can be drawn (got {parameter.annotation})"
            raise self.origin.refusal(place, problem)
        if kind is int and not whole:
            got = f"(got {limits.low} and {limits.high})"
            raise self.origin.refusal(place, f"must have whole limits, as it is int {got}")
        for limit in () if path else (limits.low, limits.high):
            self.check_at(place, root, limit)
        return kind

    def runs(self) -> tuple[dict[str, Any], list[PlannedRun]]:
        """Return what is fixed, and all runs."""
        self.names(self.fixed, lambda name: ("parameters", name))
        self.names(self.swept, self.place)
        self.apart()
        fleet, seeds = self.seeds()
        sweep = self.content.sweep
        count = design.number(sweep) * len(seeds)
        if count > MOST_RUNS:
            key = "sweep" if self.swept else "seeds"
            raise self.origin.refusal((key,), f"must make at most {MOST_RUNS} runs (got {count})")
        fixed = self.assembled(self.fixed, {}, lambda name: ("parameters", name)) | fleet
        ranges = sweep.design.ranges if isinstance(sweep, DesignSweep) else {}
        kinds = {name: self.kind(name, limits) for name, limits in ranges.items()}
        points = list(design.points(sweep, kinds))
        runs = []
        for i, point in enumerate(points):
            place = partial(self.value_place, point=point, index=i)
            values = fixed | self.assembled(point, fixed, place)
            for seed in seeds:
                given = values if seed is None else {**values, "seed": seed}
                runs.append(PlannedRun(given, point, seed))
        if ranges and len({tuple(point.values()) for point in points}) < len(points):
            raise self.origin.refusal(
                ("sweep", "design", "points"),
                f"are more than the ranges hold different points for (got {len(points)})",
            )
        return {**self.fixed, **fleet}, runs


def load_plan(path: Path, project: Path) -> Plan:
    """Read a plan and check all of it against its notebook; nothing has run then.

    What it may hold is said by `mlsdm.plan.content.SweepFile`.

    Raises
    ------
    DataError
        When the file cannot be read, or its notebook declares its parameters wrongly.
    ParameterError
        For a key or a value that is not allowed.
    """
    content, origin = read_content(path)
    try:
        notebook = find_notebook(content.notebook, project, project)
    except (ParameterError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        problem = str(said).removeprefix("notebook: ")
        raise origin.refusal(("notebook",), problem) from None
    fixed, runs = _Planner(content, origin, read_schema(notebook), project).runs()
    timeouts = content.timeouts
    return Plan(
        path.resolve(),
        notebook,
        content.question or "",
        fixed,
        runs,
        [Threshold(k, **v.model_dump(exclude_none=True)) for k, v in content.thresholds.items()],
        cell_timeout=timeouts.cell if timeouts else None,
        timeout=timeouts.notebook if timeouts else None,
        memory_limit=content.memory_limit,
        workers=content.workers,
    )
