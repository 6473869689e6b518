"""All figures: what is measured beside what, and what it must reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mlsdm.analysis.interval import Interval
from mlsdm.bench import engine, retrieval
from mlsdm.bench.measure import Costs, Size, median
from mlsdm.errors import DataError, ParameterError, nearest

__all__ = ["CASES", "UNITS", "Case", "Figure", "Target", "chosen", "measured"]

# What a cost, in seconds a unit of work or in bytes, is shown as.
UNITS: dict[str, Callable[[float], float]] = {
    "GB/s": lambda cost: 1e-9 / cost,
    "million events/s": lambda cost: 1e-6 / cost,
    "µs an event": lambda cost: 1e6 * cost,
    "ms a query": lambda cost: 1e3 * cost,
    "ms": lambda cost: 1e3 * cost,
    "MB": lambda cost: 1e-6 * cost,
}


@dataclass(frozen=True)
class Target:
    """What a figure must reach: a bound of the ratio, or of our own rate in the case's unit."""

    bound: Literal["≥", "≤"]
    limit: float
    of: Literal["ratio", "rate"] = "ratio"


@dataclass(frozen=True)
class Case:
    """One figure: ours beside a yardstick."""

    name: str
    figure: str
    yardstick: str
    unit: str
    means: Literal["times as fast", "times as long", "times as large"]
    measure: Callable[[Size], Costs]
    target: Target | None = None


_FAST: Literal["times as fast"] = "times as fast"
_LONG: Literal["times as long"] = "times as long"

CASES: tuple[Case, ...] = (
    Case(
        "simulate", "events read and rows written", "numpy.copyto, read and written",
        "GB/s", _FAST, engine.simulating, Target("≥", 0.65),
    ),
    Case(
        "process_event", "single events at full memory, replays among them",
        "plain NumPy transcription with SHA-256",
        "µs an event", _FAST, engine.stepping, Target("≥", 3000),
    ),
    Case(
        "process_event_rows", "single events at full memory", "the same with 100 rows",
        "µs an event", _LONG, engine.stepping_small, Target("≤", 1.1),
    ),
    Case(
        "retrieve", "top 5, exact", "NumPy matrix-vector and argpartition",
        "ms a query", _FAST, retrieval.against_numpy, Target("≥", 3),
    ),
    Case(
        "retrieve_half", "top 5, half the rows in phase", "the same in NumPy, masked",
        "ms a query", _FAST, retrieval.half_in_phase,
    ),
    Case(
        "retrieve_flat", "top 5, exact", "FAISS flat",
        "ms a query", _FAST, retrieval.against_flat, Target("≥", 4),
    ),
    Case(
        "retrieve_hnsw", "top 5, exact",
        f"FAISS HNSW (M {retrieval.NEIGHBOURS}, efSearch {retrieval.SEARCHED}), approximate",
        "ms a query", _FAST, retrieval.against_hnsw,
    ),
    Case(
        "retrieve_many", "256 queries at once", "the matrix product alone",
        "ms", _LONG, retrieval.many_at_once, Target("≤", 1.3),
    ),
    Case(
        "fleet", "simulate_many, filter only, all cores", "the filter in plain Python",
        "million events/s", _FAST, engine.fleet, Target("≥", 100, "rate"),
    ),
    Case(
        "memory", "all that the engine holds", "the stored vectors' own bytes",
        "MB", "times as large", engine.holding, Target("≤", 1.35),
    ),
    Case(
        "verify", "all rows checked", "reading the same bytes in NumPy",
        "ms", _LONG, engine.verifying, Target("≤", 5),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A case as it was measured; or, where it lacks something, what that is."""

    case: Case
    costs: Costs | None
    lacks: str = ""

    @property
    def ratio(self) -> Interval | None:
        """The median ratio of ours and the yardstick over the repetitions, with its interval."""
        if self.costs is None:
            return None
        ours, yardstick = self.costs.ours, self.costs.yardstick
        return median(yardstick / ours if self.case.means == _FAST else ours / yardstick)

    @property
    def sides(self) -> tuple[float, float] | None:
        """The medians of ours and the yardstick's, in the case's unit."""
        if self.costs is None:
            return None
        shown = UNITS[self.case.unit]
        ours, yardstick = (median(side).mean for side in (self.costs.ours, self.costs.yardstick))
        return shown(ours), shown(yardstick)

    @property
    def reached(self) -> str:
        """Whether the target is ``met`` or ``not met``; ``undecided`` where it is in the interval.

        Without an interval the median decides; without a target or a measurement it is empty.
        """
        target, found = self.case.target, self.ratio
        if target is None or found is None or self.costs is None:
            return ""
        if target.of == "rate":
            found = median([UNITS[self.case.unit](cost) for cost in self.costs.ours])
        bounds = (found.low, found.high) if found.bounded else (found.mean, found.mean)
        kept = [b >= target.limit if target.bound == "≥" else b <= target.limit for b in bounds]
        return "met" if all(kept) else "undecided" if any(kept) else "not met"


def chosen(names: Sequence[str]) -> list[Case]:
    """Return the cases of these names, in their own order; all of them where none is named.

    Raises
    ------
    ParameterError
        When there is no case of that name.
    """
    known = [case.name for case in CASES]
    for name in names:
        if name not in known:
            raise ParameterError(f"bench.only: there is no {name!r}{nearest(name, known)}")
    return [case for case in CASES if not names or case.name in names]


def measured(cases: Iterable[Case], size: Size) -> Iterable[Figure]:
    """Yield each case measured, as it comes; one whose yardstick is not installed says so."""
    for case in cases:
        try:
            yield Figure(case, case.measure(size))
        except DataError as error:
            yield Figure(case, None, str(error))
