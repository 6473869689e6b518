"""A language model, an embedder and a clock for the tests of governed models."""

from __future__ import annotations

import zlib

import numpy as np

from mlsdm import CognitiveController, EngineParams
from mlsdm.governed import CallParams, GovernedModel, GovernedParams

DIM = 8
ASLEEP = {"rhythm": {"wake_duration": 1, "sleep_duration": 1000}}
OPEN = {"moral": {"policy": "fixed", "threshold": 0.0}}
SENTENCE = "It is the answer to what you have asked of me."


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def embed(text: str) -> np.ndarray:
    """A unit vector that is the text's own."""
    vector = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def answer(prompt: str, max_tokens: int) -> str:
    return SENTENCE


def governed(generate=answer, embedder=embed, *, engine=None, clock=None, calls=None, **values):
    """A governed model of a small engine, in time that passes only when somebody waits."""
    clock = Clock() if clock is None else clock
    params = GovernedParams(
        engine=EngineParams.from_dict({"dim": DIM, "lattice": {"capacity": 50}, **(engine or {})}),
        calls=CallParams(**(calls or {})),
        **values,
    )
    return GovernedModel(generate, embedder, params, clock=clock, sleep=clock.sleep)


def replayed(model, requests):
    """Return the engine after the events of these requests alone: (prompt, value, reply) each."""
    engine = CognitiveController(model.params.ablated_engine)
    taken = [one for one in requests if one[2].event is not None]
    for prompt, value, reply in sorted(taken, key=lambda one: one[2].event.event):
        outcome = engine.process_event(embed(prompt), value)
        assert outcome == reply.event
    return engine
