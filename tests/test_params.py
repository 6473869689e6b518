from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from support import engine_params, state_arrays

from mlsdm import (
    CognitiveController,
    EngineParams,
    LatticeParams,
    MoralParams,
    ParameterError,
    RhythmParams,
    SynapseParams,
    simulate,
)
from mlsdm.parameters import Parameters

PARTS = [MoralParams, RhythmParams, SynapseParams, LatticeParams, EngineParams]


def test_defaults_are_those_of_the_specification() -> None:
    assert EngineParams().to_dict() == {
        "dim": 384,
        "moral": {
            "initial_threshold": 0.5,
            "min_threshold": 0.3,
            "max_threshold": 0.9,
            "smoothing": 0.1,
            "target_rate": 0.5,
            "dead_band": 0.05,
            "step": 0.05,
            "initial_rate": 0.5,
            "policy": "homeostatic",
        },
        "rhythm": {
            "wake_duration": 8,
            "sleep_duration": 3,
            "clock": "event",
            "wake_phase": 0.1,
            "sleep_phase": 0.9,
        },
        "synapse": {
            "decay": [0.5, 0.1, 0.01],
            "threshold": [1.2, 2.5],
            "transfer": [0.45, 0.3],
            "gate": "norm",
        },
        "lattice": {
            "capacity": 20_000,
            "phase_tolerance": 0.15,
            "top_k": 5,
            "consolidation": "replay",
            "scrub_rows": 1,
        },
        "max_memory_bytes": int(1.4 * 2**30),
        "max_process_bytes": None,
    }


def test_the_presets_differ_in_three_named_fields() -> None:
    published = {
        "rhythm.clock": "commit",
        "synapse.gate": "element",
        "lattice.consolidation": "none",
    }
    assert EngineParams.published().differing(EngineParams()) == published
    assert EngineParams().differing(EngineParams()) == {}


def test_published_takes_changes_without_leaving_the_preset() -> None:
    params = EngineParams.published(8, lattice={"capacity": 5}, max_process_bytes=10**9)
    assert (params.dim, params.lattice.capacity, params.max_process_bytes) == (8, 5, 10**9)
    assert params.lattice.consolidation == "none"
    assert EngineParams.published(dim=8) == EngineParams.published(8)


@given(engine_params())
def test_round_trips_without_loss(params: EngineParams) -> None:
    plain = params.to_dict()
    assert EngineParams.from_dict(plain) == params
    assert EngineParams.from_dict(json.loads(json.dumps(plain))) == params
    assert EngineParams.from_dict(yaml.safe_load(yaml.safe_dump(plain))) == params
    assert EngineParams.from_dict(plain).to_dict() == plain
    assert hash(EngineParams.from_dict(plain)) == hash(params)
    assert params.replace(params.differing(EngineParams()) and plain) == params


def test_numpy_scalars_become_plain_numbers() -> None:
    params = EngineParams(
        dim=np.int64(7),  # type: ignore[arg-type]
        moral=MoralParams(np.float32(0.5), step=np.float64(0.25)),  # type: ignore[arg-type]
        synapse=SynapseParams(decay=(np.float64(0.5), np.float32(0.25), np.float16(0.125))),  # type: ignore[arg-type]
        lattice=LatticeParams(np.uint16(9)),  # type: ignore[arg-type]
    )
    assert yaml.safe_load(yaml.safe_dump(params.to_dict())) == params.to_dict()
    assert params.synapse.decay == (0.5, 0.25, 0.125)
    assert type(params.dim) is int


@pytest.mark.parametrize("kind", PARTS)
def test_unknown_names_are_refused_with_the_nearest(kind: type[Parameters]) -> None:
    name = kind.field_names()[-1]
    sentence = rf"^{kind.__name__}\.{name}s: unknown parameter; did you mean '{name}'\?$"
    with pytest.raises(ParameterError, match=sentence):
        kind(**{f"{name}s": 1})
    with pytest.raises(ParameterError, match=sentence):
        kind.from_dict({f"{name}s": 1})


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("value", ["1", True, float("nan"), float("inf"), [1], {"a": 1}, b"1", 1j])
def test_wrong_types_are_refused_never_coerced(kind: type[Parameters], value: Any) -> None:
    for name in kind.field_names():
        with pytest.raises(ParameterError, match=r"^\w+Params[.:]"):
            kind.from_dict({name: value})


@pytest.mark.parametrize("name", MoralParams.field_names())
@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_moral_parameters_lie_in_0_to_1(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=rf"^MoralParams\.{name}: .*\(got {value}\)$"):
        MoralParams(**{name: value})


def test_moral_bounds_must_be_in_order() -> None:
    with pytest.raises(ParameterError, match=r"^MoralParams\.min_threshold: .*0\.9 \(got 0\.95\)$"):
        MoralParams(min_threshold=0.95)
    assert MoralParams(min_threshold=0.9).min_threshold == 0.9


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"moral": {"step": -1}}, r"^MoralParams\.step: .*got -1"),
        ({"moral": {"step": "1"}}, r"^MoralParams\.step: .*got '1'"),
        ({"moral": {"stp": 1}}, r"^MoralParams\.stp: .*'step'"),
        ({"moral": None}, r"^MoralParams: .*mapping.*None"),
        ({"moral": RhythmParams()}, r"^EngineParams\.moral: .*MoralPolicy"),
        ({"rhythm": {"clock": "commits"}}, r"^RhythmParams\.clock: .*'event' or 'commit'"),
        ({"synapse": {"decay": [0.5, 0.1]}}, r"^SynapseParams\.decay\.2: .*required"),
        ({"synapse": {"decay": [0.5, 0.1, 0.1, 0.1]}}, r"^SynapseParams\.decay: .*3 items"),
        ({"dim": 0}, r"^EngineParams\.dim: .*got 0"),
        ({"dim": 3.0}, r"^EngineParams\.dim: .*got 3\.0"),
        ({"max_memory_bytes": 1.5e9}, r"^EngineParams\.max_memory_bytes: "),
        ({"max_process_bytes": 0}, r"^EngineParams\.max_process_bytes: "),
        ({1: 2}, r"^EngineParams: names must be text \(got 1\)"),
        ({"to_dict": 2}, r"^EngineParams\.to_dict: unknown"),
        ({"rules": 2}, r"^EngineParams\.rules: unknown"),
        ([("dim", 3)], r"^EngineParams: .*mapping"),
        (None, r"^EngineParams: .*mapping"),
    ],
    ids=str,
)
def test_one_sentence_names_owner_field_and_value(values: Any, sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence) as caught:
        EngineParams.from_dict(values)
    assert "\n" not in str(caught.value)


def test_positional_values_are_named_in_errors_too() -> None:
    with pytest.raises(ParameterError, match=r"^LatticeParams\.capacity: .*got 0"):
        LatticeParams(0)
    with pytest.raises(ParameterError, match=r"^LatticeParams: takes at most 5 values"):
        LatticeParams(1, 0.1, 3, "none", 1, 5)  # type: ignore[call-arg]


def test_parts_are_objects_in_the_constructor() -> None:
    with pytest.raises(ParameterError, match=r"^EngineParams\.moral: "):
        EngineParams(moral={"step": 0.1})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", PARTS)
def test_frozen(kind: type[Parameters]) -> None:
    params = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(params, kind.field_names()[0], 1)
    assert params == kind()


def test_from_dict_leaves_its_argument_alone() -> None:
    values: Mapping[str, Any] = {"synapse": {"decay": [0.5, 0.2, 0.1]}}
    EngineParams.from_dict(values)
    assert values == {"synapse": {"decay": [0.5, 0.2, 0.1]}}


@given(engine_params())
def test_memory_bytes_is_what_the_engine_holds(params: EngineParams) -> None:
    controller = CognitiveController(params)
    assert sum(array.nbytes for array in state_arrays(controller)) == params.memory_bytes()


def test_nothing_grows_afterwards() -> None:
    params = EngineParams(dim=3, lattice=LatticeParams(capacity=20))
    held = simulate(params, np.ones((500, 3)), np.full(500, 0.95)).controller
    assert held is not None
    assert held.lattice.size == 20
    assert sum(array.nbytes for array in state_arrays(held)) == params.memory_bytes()


def test_engines_over_the_memory_bound_are_refused() -> None:
    """1,000,000 rows of 384 are over the 1.4 GiB of the original; 770,000 are not."""
    with pytest.raises(
        ParameterError, match=r"^EngineParams\.lattice\.capacity: 1000000 rows .*max_memory_bytes"
    ):
        EngineParams(lattice=LatticeParams(capacity=1_000_000))
    assert EngineParams(lattice=LatticeParams(capacity=770_000)).memory_bytes() < 1.4 * 2**30


def test_the_memory_bound_is_exact() -> None:
    needed = EngineParams(dim=8).memory_bytes()
    assert EngineParams(dim=8, max_memory_bytes=needed).memory_bytes() == needed
    with pytest.raises(ParameterError, match="max_memory_bytes"):
        EngineParams(dim=8, max_memory_bytes=needed - 1)


def test_a_row_takes_little_beside_its_vector() -> None:
    row = EngineParams(lattice=LatticeParams(capacity=2)).memory_bytes() - (
        EngineParams(lattice=LatticeParams(capacity=1)).memory_bytes()
    )
    assert row == 384 * 4 + 384 + 32  # vector; compact form; norm, phase, checks and their like
    assert EngineParams().memory_bytes() <= 1.35 * 20_000 * 384 * 4


def test_html_marks_what_was_changed() -> None:
    html = EngineParams.published()._repr_html_()
    assert "<td>&#x27;commit&#x27;</td><td>changed</td>" in html
    assert html.count("<td>changed</td>") == 3
    assert html.count("<tr>") == 1 + len(EngineParams()._flat())


def test_a_part_of_the_published_preset_changes_only_what_was_given_to_it() -> None:
    small = EngineParams.published(8, lattice=LatticeParams(capacity=10))
    assert small == EngineParams.published(8, lattice={"capacity": 10})
    assert small.lattice.consolidation == "none"
    replaying = LatticeParams(10, consolidation="replay")
    assert EngineParams.published(8, lattice=replaying).lattice == replaying
    changed = LatticeParams.from_dict({"capacity": 10})
    assert EngineParams.published(8, lattice=changed).lattice.consolidation == "none"


def test_what_was_given_is_no_part_of_equality() -> None:
    assert LatticeParams(capacity=20_000) == LatticeParams()
    assert hash(LatticeParams(capacity=20_000)) == hash(LatticeParams())
