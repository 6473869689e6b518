"""A governed model over HTTP, against a real server of which a third of the answers go wrong."""

import asyncio

import misbehaving
import numpy as np
import pytest
from misbehaving import ANSWER, VECTOR, Server, failing
from support import state_bytes

from mlsdm import CognitiveController, EngineParams
from mlsdm.governed import CallParams, GovernedModel, GovernedParams, OpenAIEndpoint

WRONG = [failing(500), failing(503), failing(429, Retry_After="0"), misbehaving.cut_before]
WRONG += [misbehaving.cut_inside, misbehaving.NOT_JSON, misbehaving.HTML, failing(400)]
REQUESTS = [(f"Request number {i}.", 0.35 + 0.6 * (i % 5) / 4) for i in range(60)]
PARAMS = GovernedParams(
    engine=EngineParams(dim=len(VECTOR)),
    calls=CallParams(attempts=2, first_wait=0.0, breaker_failures=3, breaker_reset=0.01),
    deadline=20.0,
)


def ask(endpoint, way):
    """Make all requests one after another, and return the model with its replies."""
    if way == "reply":
        model = GovernedModel(endpoint.generate, endpoint.embed, PARAMS)
        return model, [model.reply(*request) for request in REQUESTS]
    model = GovernedModel(endpoint.agenerate, endpoint.aembed, PARAMS)

    async def all_of_them():
        async with endpoint:
            return [await model.areply(*request) for request in REQUESTS]

    return model, asyncio.run(all_of_them())


@pytest.mark.parametrize("way", ["reply", "areply"])
def test_what_goes_wrong_is_a_typed_reply_and_leaves_the_engine_alone(way):
    rng = np.random.default_rng(2)
    with Server() as server, OpenAIEndpoint(server.address, "m", "e", "key") as endpoint:
        wrong = rng.integers(len(WRONG), size=400)
        fails = rng.random(400) < 0.33
        server.will(
            *(WRONG[i] if bad else misbehaving.well for i, bad in zip(wrong, fails, strict=True))
        )
        model, replies = ask(endpoint, way)

    assert {reply.status for reply in replies} == {"committed", "refused", "failed", "degraded"}
    assert {reply.text for reply in replies if reply.answered} == {ANSWER}
    assert all(reply.detail for reply in replies if reply.status == "failed")
    alone = CognitiveController(PARAMS.engine)
    for (_, value), reply in zip(REQUESTS, replies, strict=True):
        if reply.event is not None:
            assert alone.process_event(np.array(VECTOR, np.float32), value) == reply.event
    assert state_bytes(model.controller) == state_bytes(alone)
