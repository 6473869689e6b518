"""One stream of events, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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

    def __post_init__(self) -> None:
        for name in ("vectors", "toxic", "texts"):
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
            raise DataError(f"Stream.vectors: needed here (got none from {self.source})")
        return self.vectors

    def need_toxic(self) -> NDArray[np.bool_]:
        """Return the labels; raises a DataError where the stream has none."""
        if self.toxic is None:
            raise DataError(f"Stream.toxic: labels are needed here (got none from {self.source})")
        return self.toxic

    def __repr__(self) -> str:
        parts = [f"{len(self)} events"]
        if self.vectors is not None:
            parts.append(f"{self.vectors.shape[1]}-d vectors")
        if self.toxic is not None and len(self):
            parts.append(f"{self.toxic.mean():.1%} toxic")
        return f"Stream({', '.join(parts)}; {self.source or 'no source given'})"
