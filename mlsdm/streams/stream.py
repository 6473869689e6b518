"""One stream of events, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_whole
from mlsdm.display import html_table
from mlsdm.errors import DataError

__all__ = ["Stream"]


@dataclass(frozen=True, eq=False)
class Stream:
    """Events in order: what the engine reads of them, and what is known about them.

    Parameters
    ----------
    moral_values
        (n,) float64 in [0, 1]; 1 is harmless.
    vectors
        (n, dim) float32, or None for streams that only the filter and the rhythm see.
    toxic
        (n,) bool: the label that a policy is judged by, never shown to the engine; or None.
    texts
        The n texts behind the events, or None.
    source
        One line that says where the events come from; it goes into a run's record.
    scorer
        Name of the scorer that gave the moral values; None where they were given.
    context
        (n,) float64 in [0, 1]: what else is known of each event, such as a second scorer's moral
        values, for policies that ask for it; or None.

    Raises
    ------
    DataError
        When the lengths of the parts differ.
    """

    moral_values: NDArray[np.float64]
    vectors: NDArray[np.float32] | None = None
    toxic: NDArray[np.bool_] | None = None
    texts: list[str] | None = field(default=None, repr=False)
    source: str = ""
    scorer: str | None = None
    context: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name in ("vectors", "toxic", "texts", "context"):
            part = getattr(self, name)
            if part is not None and len(part) != len(self):
                raise DataError(
                    f"Stream.{name}: holds {len(part)} events, but moral_values holds {len(self)}"
                )

    def __len__(self) -> int:
        return len(self.moral_values)

    def need_vectors(self) -> NDArray[np.float32]:
        """Return the vectors; raises a DataError where the stream has none."""
        if self.vectors is None:
            raise DataError(
                f"Stream.vectors: needed here (got none from {self.source or 'no named source'})"
            )
        return self.vectors

    def need_toxic(self) -> NDArray[np.bool_]:
        """Return the labels; raises a DataError where the stream has none."""
        if self.toxic is None:
            source = self.source or "no named source"
            raise DataError(f"Stream.toxic: labels are needed here (got none from {source})")
        return self.toxic

    def hold_out(self, n: int) -> tuple[Stream, Stream]:
        """Return all events but the last n, and the last n.

        Raises
        ------
        DataError
            When one of the two would be empty.
        ParameterError
            When `n` is no whole number of at least 0.
        """
        if not 0 < as_whole("Stream.hold_out.n", n, 0) < len(self):
            raise DataError(
                f"Stream.hold_out.n: must leave events on both sides of {len(self)} (got {n})"
            )
        return self._part(slice(0, len(self) - n)), self._part(slice(len(self) - n, None))

    def _part(self, events: slice) -> Stream:
        parts: dict[str, Any] = {
            name: None if (part := getattr(self, name)) is None else part[events]
            for name in ("moral_values", "vectors", "toxic", "texts", "context")
        }
        return replace(self, **parts)

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = [("events", len(self))]
        if self.vectors is not None:
            rows.append(("dimension of the vectors", self.vectors.shape[1]))
        if self.toxic is not None and len(self):
            rows.append(("toxic share", float(self.toxic.mean())))
        rows.append(("moral values by", self.scorer or "given"))
        rows.append(("source", self.source or "no source given"))
        return html_table("Stream", ("", ""), rows)

    def __repr__(self) -> str:
        parts = [f"{len(self)} events"]
        if self.vectors is not None:
            parts.append(f"{self.vectors.shape[1]}-d vectors")
        if self.toxic is not None and len(self):
            parts.append(f"{self.toxic.mean():.1%} toxic")
        return f"Stream({', '.join(parts)}; {self.source or 'no source given'})"
