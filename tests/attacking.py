"""Whole fleets of streams against policies: blind ones, and ones made by who sees the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm import EngineParams, MoralPolicy, Result, simulate_many
from mlsdm.engine.rules import layout
from mlsdm.engine.rules.compiling import compiled
from mlsdm.engine.rules.layout import COMMITTED, MORAL
from mlsdm.engine.rules.policy import judge, teach

BLIND = ("independent", "drifting", "bursts", "ends", "sorted")
RUNS, N = 1_000, 500
NEARLY = 1e-9  # of an event: what rounding leaves in sums of 500
CHANCE = 1e-3  # of a test that fails though all is well
REFUSED, PASSED, OWN = 0, 1, 2  # what is wished of an event; OWN: its value is as it is


@compiled
def _attack(
    rules: Any, states: Any, pending: Any, wishes: Any, labels: Any, contexts: Any, values: Any
) -> None:
    for run in range(values.shape[0]):
        rule, state = rules[run], states[run]
        for t in range(values.shape[1]):
            nearest = min(max(state.threshold, 0.0), 1.0)
            if wishes[run, t] == PASSED:
                values[run, t] = nearest
            elif wishes[run, t] == REFUSED:
                values[run, t] = max(np.nextafter(nearest, -1.0), 0.0)
            value, context = values[run, t], contexts[run, t]
            code = COMMITTED if judge(rule, state, value, context) else MORAL
            teach(rule, state, pending[run], t, value, context, code, labels[run, t])


class Fleet(NamedTuple):
    """Streams, one for each of the policies that they are against, and what became of them."""

    policies: Sequence[MoralPolicy]
    result: Result
    labels: NDArray[np.int8]

    @property
    def accepted(self) -> NDArray[np.bool_]:
        return self.result.accepted

    @property
    def met(self) -> NDArray[np.float64]:
        """(runs, events) the threshold that each event met."""
        first = [[one.initial_state["threshold"]] for one in self.policies]
        return np.hstack([first, self.result.threshold[:, :-1]])

    def of(self, name: str) -> NDArray[np.float64]:
        """Return a parameter of each policy as a column."""
        return np.array([[getattr(one, name)] for one in self.policies])


def sent(
    policies: Sequence[MoralPolicy],
    values: NDArray[np.float64],
    labels: NDArray[Any] | None = None,
    contexts: NDArray[np.float64] | None = None,
    delay: int = 0,
) -> Fleet:
    """Send (runs, events) to as many policies; the context is by default the value."""
    contexts = values if contexts is None else contexts
    known = np.full(values.shape, layout.UNKNOWN) if labels is None else labels
    params = [EngineParams(dim=1, moral=policy) for policy in policies]
    told: dict[str, Any] = {"context": contexts, "labels": known, "delay": delay}
    return Fleet(policies, simulate_many(params, None, values, **told), known)


def attacked(
    policies: Sequence[MoralPolicy],
    wishes: NDArray[Any],
    labels: NDArray[Any] | None = None,
    values: NDArray[np.float64] | None = None,
    delay: int = 0,
) -> Fleet:
    """Send what has its wish: at the threshold to pass, just below it to be refused.

    What is wished of an event may depend on all that was before; here it is given beforehand, since
    a decision by the threshold can be had at will as long as the threshold is within [0, 1].
    """
    made = np.full(wishes.shape, 0.5) if values is None else values.copy()
    known = np.full(wishes.shape, layout.UNKNOWN) if labels is None else labels
    _attack(
        np.concatenate([layout.new_constants(**one.rule)[:1] for one in policies]),
        np.concatenate([layout.new_state(**one.initial_state)[:1] for one in policies]),
        layout.new_pending(delay, len(policies)),
        wishes.astype(np.int8), known.astype(np.int8), made.copy(), made,
    )  # fmt: skip
    return sent(policies, made, known, delay=delay)


def wishes(runs: int, n: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Return (runs, n) wishes of several kinds: one and the same, by chance, in long turns."""
    shares = rng.choice([0.0, 0.02, 0.5, 0.98, 1.0], (runs, 1))
    by_chance = rng.random((runs, n)) < shares
    lengths = rng.choice([1, 2, 7, 50, n], (runs, 1))
    in_turns = (np.arange(n) // lengths + rng.integers(2, size=(runs, 1))) % 2 == 1
    return np.where(rng.random((runs, 1)) < 0.5, by_chance, in_turns).astype(np.int8)


def blind(runs: int, n: int, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Return (runs, n) values of each kind of stream, by its name."""
    a, b = rng.uniform(0.2, 5, (2, runs, 1))
    steps = rng.normal(0, rng.choice([0.003, 0.03], (runs, 1)), (runs, n))
    turns = rng.random((runs, n)) < rng.choice([0.005, 0.1], (runs, 1))
    phase = np.cumsum(turns, axis=1) % 2 == 1
    low, high = rng.random((2, runs, 1))
    return {
        "independent": rng.beta(a, b, (runs, n)),
        "drifting": np.clip(low + np.cumsum(steps, axis=1), 0.0, 1.0),
        "bursts": np.clip(np.where(phase, low, high) + rng.normal(0, 0.05, (runs, n)), 0.0, 1.0),
        "ends": rng.choice([0.0, 1.0], (runs, n)),
        "sorted": np.sort(rng.random((runs, n)), axis=1),
    }


def mixed(runs: int, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (runs, n) values, each stream of a kind that is drawn."""
    kinds = np.stack(list(blind(runs, n, rng).values()))
    drawn: NDArray[np.float64] = kinds[rng.integers(len(kinds), size=runs), np.arange(runs)]
    return drawn


def draws(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return shares in [0, 1], the ends among them."""
    return np.where(rng.random(RUNS) < 0.1, rng.integers(2, size=RUNS), rng.random(RUNS))
