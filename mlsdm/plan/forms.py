"""The three forms of a sweep in its file: a grid, a list of points, a space-filling design."""

from __future__ import annotations

import math
from collections.abc import Hashable
from reprlib import repr as shortened
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from mlsdm.plan.strict import Keys, must, refusal

__all__ = ["MOST_RUNS", "UNIQUE", "Design", "DesignSweep", "Interval", "Number", "Sweep"]
__all__ += ["different"]

MOST_RUNS = 10_000  # MLflow's interface is slow from a hundred on


def _hashable(value: Any) -> Hashable:
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def different(values: Any) -> Any:
    """Refuse a list that holds the same value twice."""
    if isinstance(values, list) and len(set(map(_hashable, values))) < len(values):
        raise refusal(f"must hold different values (got {shortened(values)})")
    return values


def _alike(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Refuse points that name other parameters than the first, or that are the same."""
    seen = set()
    for i, point in enumerate(points):
        if point.keys() != points[0].keys():
            names = ", ".join(points[0])
            raise refusal(f"each point must name {names} (got {', '.join(point)})", i)
        if (values := _hashable(point)) in seen:
            raise refusal(f"the points must differ (got {shortened(point)} twice)", i)
        seen.add(values)
    return points


def _pair(limits: object) -> object:
    """Return ``[low, high]`` by name."""
    if isinstance(limits, list) and len(limits) == 2:
        return {"low": limits[0], "high": limits[1]}
    if isinstance(limits, dict):
        return limits
    got = shortened(limits)
    raise refusal(f"must be [low, high] or {{low: …, high: …, log: true}} (got {got})")


def _form(sweep: object) -> str | None:
    """Tell the form of a sweep: a list under ``design`` is an axis, a mapping is a design."""
    if isinstance(sweep, list):
        return "points"
    if not isinstance(sweep, dict):
        return None
    return "design" if isinstance(sweep.get("design"), dict) else "grid"


UNIQUE = Field(json_schema_extra={"uniqueItems": True})


Whole = Annotated[int, Field(ge=0, le=2**32 - 1), must("a whole number from 0 to 2**32 - 1")]
Number = Annotated[
    Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | Annotated[float, Field(allow_inf_nan=False)],
    must("a finite number", whole=True),
]
Values = Annotated[
    list[Any],
    Field(min_length=1),
    UNIQUE,
    must("a list of at least one value"),
    AfterValidator(different),
]
Point = Annotated[dict[str, Any], Field(min_length=1), must("names with values, at least one")]
Grid = Annotated[
    dict[str, Values], Field(min_length=1), must("names with lists of values, at least one")
]
Points = Annotated[
    list[Point],
    Field(min_length=1),
    UNIQUE,
    must("a list of at least one point"),
    AfterValidator(_alike),
]


class Interval(Keys):
    """The values, both limits included, that a design draws one parameter from."""

    low: Number = Field(description="The least value.")
    high: Number = Field(description="The greatest value.")
    log: Annotated[bool, must("true or false")] = Field(
        default=False,
        description="Draw evenly on a logarithmic scale; the limits are above 0 then.",
    )

    @model_validator(mode="after")
    def _some_width(self) -> Interval:
        got = f"(got {self.low} and {self.high})"
        if not self.low < self.high:
            raise refusal(f"low must be below high {got}")
        if not math.isfinite(self.high - self.low):
            raise refusal(f"low and high are too far apart {got}")
        if self.log and self.low <= 0:
            raise refusal(f"low must be above 0 on a logarithmic scale {got}")
        return self


Limits = Annotated[
    Interval,
    BeforeValidator(
        _pair,
        json_schema_input_type=Interval
        | Annotated[list[Number], Field(min_length=2, max_length=2)],
    ),
]


class Design(Keys):
    """Points that fill the space between limits evenly, without the number that a grid needs."""

    method: Annotated[
        Literal["sobol", "halton", "latin-hypercube"],
        must("'sobol', 'halton' or 'latin-hypercube'"),
    ] = Field(description="The sequence, or the hypercube, that the points are taken from.")
    points: Annotated[
        int, Field(ge=1, le=MOST_RUNS), must(f"a whole number from 1 to {MOST_RUNS}")
    ] = Field(description="How many points; for sobol a power of two, as its balance needs.")
    seed: Whole = Field(description="The seed of the scrambling: the same seed, the same points.")
    ranges: Annotated[
        dict[str, Limits], Field(min_length=1, max_length=1000), must("names with ranges")
    ] = Field(description="The range of each parameter: [low, high], or with log: true.")

    @model_validator(mode="after")
    def _balanced(self) -> Design:
        if self.method == "sobol" and self.points & (self.points - 1):
            below = 2 ** (self.points.bit_length() - 1)
            raise refusal(
                f"must be a power of two for sobol, such as {below} or {2 * below} "
                f"(got {self.points})",
                "points",
            )
        return self


class DesignSweep(Keys):
    """A sweep over the points of a space-filling design."""

    design: Design = Field(description="A space-filling design from scipy.stats.qmc.")


Sweep = Annotated[
    Annotated[Grid, Tag("grid")]
    | Annotated[Points, Tag("points")]
    | Annotated[DesignSweep, Tag("design")],
    Discriminator(_form),
    must("a grid (name: list of values), a list of points, or a design"),
]
