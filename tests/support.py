"""What several test modules share: parameter strategies, streams, and a state's bytes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlsdm import POLICIES, CognitiveController, EngineParams, MoralPolicy

shares = st.floats(0, 1)


def uncovered() -> dict[str, str]:
    """Return the environment of a process that coverage stays out of.

    A signal can come while coverage holds a lock of its own, and it saves its data at the exit.
    """
    return {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}


def moral_params() -> st.SearchStrategy[dict[str, Any]]:
    """Any allowed moral parameters, as plain values."""
    free = st.fixed_dictionaries(
        {
            "initial_threshold": shares,
            "smoothing": shares,
            "target_rate": shares,
            "dead_band": st.sampled_from([0.0, 0.05, 0.3]),
            "step": st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0]),
            "initial_rate": shares,
        }
    )
    bounds = st.tuples(shares, shares).map(sorted)
    return st.tuples(free, bounds).map(
        lambda pair: pair[0] | {"min_threshold": pair[1][0], "max_threshold": pair[1][1]}
    )


def policy_values() -> dict[str, st.SearchStrategy[dict[str, Any]]]:
    """Any allowed parameters of each policy of ours, as plain values, by its name."""
    gain = st.floats(1e-3, 2)
    more = st.fixed_dictionaries({"weight": shares, "caution": st.floats(-9, 9)})
    return {
        "contextual": st.tuples(moral_params(), more).map(lambda pair: pair[0] | pair[1]),
        "fixed": st.fixed_dictionaries({"threshold": st.floats(0, 2), "weight": shares}),
        "homeostatic": moral_params(),
        "proportional-integral": st.fixed_dictionaries(
            {
                "target_rate": shares,
                "proportional_gain": shares,
                "integral_gain": gain,
                "smoothing": shares,
                "initial_threshold": shares,
            }
        ),
        "quantile": st.fixed_dictionaries(
            {"target_rate": shares, "gain": gain, "initial_threshold": shares}
        ),
        "risk": st.fixed_dictionaries(
            {
                "max_toxic_passed": shares,
                "gain": gain,
                "initial_threshold": shares,
                "weight": st.one_of(st.just(0.0), shares),
            }
        ),
    }


def policies(*names: str) -> st.SearchStrategy[MoralPolicy]:
    """Any policy of ours, or of those of these names."""
    values = policy_values()
    return st.one_of(
        [values[name].map(POLICIES[name].from_dict) for name in names or sorted(values)]
    )


def engine_params(max_dim: int = 12) -> st.SearchStrategy[EngineParams]:
    """Any allowed engine parameters of a small engine."""
    positive = st.floats(0.01, 5)
    decays = st.floats(0.001, 1)
    rhythm = st.fixed_dictionaries(
        {
            "wake_duration": st.integers(1, 12),
            "sleep_duration": st.integers(1, 5),
            "clock": st.sampled_from(["event", "commit"]),
            "wake_phase": shares,
            "sleep_phase": shares,
        }
    )
    synapse = st.fixed_dictionaries(
        {
            "decay": st.lists(decays, min_size=3, max_size=3),
            "threshold": st.lists(positive, min_size=2, max_size=2),
            "transfer": st.lists(shares, min_size=2, max_size=2),
            "gate": st.sampled_from(["norm", "element"]),
        }
    )
    lattice = st.fixed_dictionaries(
        {
            "capacity": st.integers(1, 40),
            "phase_tolerance": st.floats(0, 1.5),
            "top_k": st.integers(1, 10),
            "consolidation": st.sampled_from(["replay", "none"]),
            "scrub_rows": st.integers(0, 3),
        }
    )
    whole = st.fixed_dictionaries(
        {
            "dim": st.integers(1, max_dim),
            "moral": moral_params(),
            "rhythm": rhythm,
            "synapse": synapse,
            "lattice": lattice,
        }
    )
    return whole.map(EngineParams.from_dict)


def related_vectors(n: int, dim: int, seed: int, scale: float = 1.0) -> NDArray[np.float32]:
    """Return vectors about three centroids in turn, each element of the order of `scale`."""
    rng = np.random.default_rng(seed)
    centroids = rng.standard_normal((3, dim))
    noise = 0.4 * rng.standard_normal((n, dim))
    return (scale * (centroids[np.arange(n) % 3] + noise)).astype(np.float32)


def isotropic_units(n: int, dim: int, seed: int) -> NDArray[np.float32]:
    """Return unit vectors of uniformly random direction."""
    vectors = np.random.default_rng(seed).standard_normal((n, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def state_arrays(controller: CognitiveController) -> list[NDArray[Any]]:
    """Return every array that a controller holds, each once however many parts show it."""
    return list(controller._memory)


def every_byte(controller: CognitiveController) -> bytes:
    """Return all that a controller holds as bytes."""
    arrays = b"".join(array.tobytes() for array in state_arrays(controller))
    return arrays + repr((controller.emergency, controller.restored)).encode()


def state_bytes(controller: CognitiveController) -> bytes:
    """Return what events have left in a controller as bytes, however they were handled.

    That is all but the row that is to be checked next, since `simulate` checks none, and the room
    at the end of the compact forms in which a row is checked.
    """
    *arrays, codes = (array.copy() for array in state_arrays(controller))
    states = arrays[1]
    states["scrubbed"] = 0
    held = b"".join(array.tobytes() for array in (*arrays, codes[:-1]))
    return held + repr(controller.emergency).encode()
