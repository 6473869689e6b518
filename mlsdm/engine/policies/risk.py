"""The share of toxic events that pass, bounded with the help of labels."""

from __future__ import annotations

import math
from typing import Any

from mlsdm.checks import as_whole
from mlsdm.citing import note
from mlsdm.engine.inputs import as_fraction
from mlsdm.engine.policies.policy import MoralPolicy, moral_policy
from mlsdm.engine.policies.pooling import pooled
from mlsdm.errors import ParameterError
from mlsdm.parameters import Positive, Share

__all__ = ["RiskParams"]


@moral_policy("risk")
class RiskParams(MoralPolicy):
    """Risk control: θ <- θ + γ·(passed - α) for each event that is labelled toxic.

    Guarantee: for any stream, adversarial ones too, of n events labelled toxic a share of at most
    α + `bound(n)` passed. The labels may be late; and where each event is labelled by the toss of a
    coin, `bound_on_all` holds for those without label too, with high probability. Nothing is said
    of safe events refused. Rolling risk control, Feldman, Ringel, Bates & Romano 2023
    (arXiv 2205.09095).

    Parameters
    ----------
    max_toxic_passed
        α, the share of toxic events that may pass.
    gain
        γ, move of the threshold per label.
    initial_threshold
        Threshold before the first label.
    weight
        Weight of the context in the value that is held against the threshold, see `pooled`.
    """

    max_toxic_passed: Share = 0.1
    gain: Positive = 0.05
    initial_threshold: Share = 0.5
    weight: Share = 0.0
    papers = ("feldman2023", "genest1986")

    @staticmethod
    def accept(value: float, context: float, state: Any, rule: Any) -> bool:
        """Pass what is pooled to at least the threshold."""
        return bool(pooled(value, context, rule.weight, 0.0) >= state.threshold)

    @staticmethod
    def learn(
        value: float, context: float, accepted: bool, toxic: bool, state: Any, rule: Any
    ) -> None:
        """Move the threshold where the event was toxic."""
        if toxic:
            state.threshold += rule.gain * ((1.0 if accepted else 0.0) - rule.max_toxic_passed)

    @property
    def asks_context(self) -> bool:
        """Whether the context has any weight."""
        return self.weight > 0.0

    @property
    def start(self) -> dict[str, float]:
        """The state before the first event, by name."""
        return {"threshold": self.initial_threshold}

    def _excess(self, pending: int) -> float:
        """Return the most events that pass beyond α of those labelled toxic.

        The threshold stays below 1 + γ(1 - α) for each label that a decision does not know of, and
        for its own: above 1 nothing passes.
        """
        late = 1.0 + self.gain * (1.0 - self.max_toxic_passed) * (1 + pending)
        return (late - self.initial_threshold) / self.gain

    def bound(self, n: int, pending: int = 0) -> float:
        """Return by how much the share passed of n events labelled toxic can exceed α.

        Parameters
        ----------
        n
            Events labelled toxic.
        pending
            The most of them that wait for their label while another event is decided; with labels
            `delay` events late, at most `delay`.
        """
        n = as_whole("RiskParams.bound.n", n, 1)
        return self._excess(as_whole("RiskParams.bound.pending", pending, 0)) / n

    def bound_on_all(
        self, n: int, labelled: float, failure: float = 0.05, pending: int = 0
    ) -> float:
        """Return by how much the share passed of all n toxic events can exceed α.

        It does so with a probability of at most `failure` (Hoeffding 1963 for martingales,
        10.1080/01621459.1963.10500830).

        Parameters
        ----------
        n
            Toxic events, labelled or not: a number that is fixed beforehand.
        labelled
            Probability in (0, 1] that an event is labelled, whatever it is and whatever came before
            it; who sends it does not know.
        failure
            Probability in (0, 1].
        pending
            As in `bound`.
        """
        owner = "RiskParams.bound_on_all"
        note("hoeffding1963")
        n, pending = as_whole(f"{owner}.n", n, 1), as_whole(f"{owner}.pending", pending, 0)
        for name, value in (("labelled", labelled), ("failure", failure)):
            if as_fraction(f"{owner}.{name}", value) == 0.0:
                raise ParameterError(f"{owner}.{name}: must be above 0 (got {value!r})")
        chance = math.sqrt(-math.log(failure) / (2.0 * n))
        return (self._excess(pending) / n + chance) / labelled
