"""The homeostatic filter's course, with a second scorer's word in each decision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlsdm.engine.inputs import as_contexts, as_values
from mlsdm.engine.policies.homeostatic import MoralParams
from mlsdm.engine.policies.policy import MoralPolicy, moral_policy
from mlsdm.engine.policies.pooling import pooled
from mlsdm.engine.rules import moral as rules
from mlsdm.parameters import Share

__all__ = ["ContextualParams"]


@moral_policy("contextual")
class ContextualParams(MoralParams):
    """The threshold of the homeostatic filter, held against what two scorers say together.

    The context is a second scorer's moral value of the same text. The threshold moves as that of
    `MoralParams` would on the moral values alone, so both policies have the same threshold at every
    event of every stream. Guarantee: where events of a class are drawn independently, and the
    pooled value has lower errors than the value alone at each threshold, both errors are lower at
    every toxic share, however it changes: each is a mean over thresholds that do not depend on the
    event. Our own choice; the pool is `pooled`.

    Parameters
    ----------
    initial_threshold, min_threshold, max_threshold, smoothing, target_rate, dead_band, step,
    initial_rate
        As of `MoralParams`.
    weight
        Weight of the context in the pooled value.
    caution
        Log odds taken off the pooled value: the higher, the fewer events pass.
    """

    weight: Share = 0.5
    caution: float = 0.0
    memory = ("rate_of_values",)
    papers = ("mlsdm", "genest1986")
    rule = MoralPolicy.rule

    def pooled(self, values: ArrayLike, contexts: ArrayLike) -> NDArray[np.float64]:
        """Return what is held against the threshold, for (n,) values and contexts in [0, 1].

        Raises
        ------
        ParameterError
            When they are not, or not as many.
        """
        owner = "ContextualParams.pooled"
        given = as_values(owner, values)
        both = [as_contexts(owner, numbers, given) for numbers in (given, contexts)]
        return np.array(
            [pooled(v, c, self.weight, self.caution) for v, c in zip(*both, strict=True)]
        )

    @staticmethod
    def accept(value: float, context: float, state: Any, rule: Any) -> bool:
        """Pass what is pooled to at least the threshold."""
        together = pooled(value, context, rule.weight, rule.caution)
        return rules.accept(together, state.threshold, rule)

    @staticmethod
    def adapt(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
        """Move the threshold as if the value alone had decided."""
        alone = rules.accept(value, state.threshold, rule)
        state.threshold, state.rate_of_values = rules.adapt(
            state.threshold, state.rate_of_values, alone, rule
        )

    @property
    def asks_context(self) -> bool:
        """Whether the context has any weight."""
        return self.weight > 0.0

    @property
    def start(self) -> dict[str, float]:
        """The state before the first event, by name."""
        return {**super().start, "rate_of_values": self.initial_rate}
