"""One threshold for all events."""

from __future__ import annotations

from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field

from mlsdm.engine.inputs import as_fraction, as_values, check_shares
from mlsdm.engine.policies.policy import MoralPolicy, moral_policy
from mlsdm.engine.policies.pooling import pooled
from mlsdm.errors import ParameterError
from mlsdm.parameters import Share

__all__ = ["FixedParams"]


@moral_policy("fixed")
class FixedParams(MoralPolicy):
    """A threshold that never moves.

    Guarantee: an event is decided by its own moral value alone, whatever came before it. With the
    threshold of `calibrated`, a toxic event exchangeable with those given passes with a probability
    of at most `level` (split conformal prediction, Vovk, Gammerman & Shafer 2005,
    10.1007/b106715).

    Parameters
    ----------
    threshold
        Moral value from which on an event passes; above 1 none does.
    weight
        Weight of the context in the value that is held against the threshold, see `pooled`.
    """

    threshold: Annotated[float, Field(ge=0, le=2)] = 0.5
    weight: Share = 0.0
    papers = ("vovk2005", "genest1986")

    @staticmethod
    def accept(value: float, context: float, state: Any, rule: Any) -> bool:
        """Pass what is pooled to at least the threshold."""
        return bool(pooled(value, context, rule.weight, 0.0) >= state.threshold)

    @property
    def asks_context(self) -> bool:
        """Whether the context has any weight."""
        return self.weight > 0.0

    @property
    def start(self) -> dict[str, float]:
        """The state before the first event, by name."""
        return {"threshold": self.threshold}

    @classmethod
    def calibrated(cls, toxic_values: Any, level: float) -> Self:
        """Return the lowest threshold that a new toxic event passes with at most this probability.

        Parameters
        ----------
        toxic_values
            (n,) moral values of toxic events, exchangeable with those to come; pooled ones for a
        policy that pools.
        level
            Probability in [0, 1].

        Raises
        ------
        ParameterError
            When an argument is not allowed, or there is no value.
        """
        owner = "FixedParams.calibrated"
        level = as_fraction(f"{owner}.level", level)
        values = as_values(owner, toxic_values, field="toxic_values")
        check_shares(f"{owner}.toxic_values", values)
        if not len(values):
            raise ParameterError(f"{owner}.toxic_values: must hold at least one value (got none)")
        # Passing is v >= threshold: just above the k-th smallest, so many are refused.
        k = len(values) + 1 - int((len(values) + 1) * level)
        if k > len(values):
            return cls(threshold=2.0)
        return cls(threshold=0.0 if k == 0 else float(np.nextafter(np.sort(values)[k - 1], 2.0)))
