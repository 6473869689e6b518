from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from scipy import stats

from mlsdm import ParameterError
from mlsdm.rng import Name, generator

NAMES: tuple[Any, ...] = get_args(Name)


def test_the_same_seed_and_name_give_the_same_numbers() -> None:
    for name in NAMES:
        assert generator(3, name).random(5).tolist() == generator(3, name).random(5).tolist()


def test_streams_of_names_and_seeds_all_differ() -> None:
    firsts = {generator(seed, name).random() for seed in range(50) for name in NAMES}
    assert len(firsts) == 50 * len(NAMES)


def test_names_and_seeds_are_independent() -> None:
    """No two streams of a grid correlate; the level is corrected for the number of pairs."""
    draws = [generator(seed, name).random(2000) for seed in (0, 1, 2**40) for name in NAMES]
    pairs = [(a, b) for i, a in enumerate(draws) for b in draws[:i]]
    smallest = min(stats.pearsonr(a, b).pvalue for a, b in pairs)
    assert smallest > 0.01 / len(pairs)


def test_no_stream_has_shifted() -> None:
    """A name's place in the table is its key: these numbers must outlive every new name."""
    assert NAMES == (
        "vectors", "moral", "comments", "bootstrap", "splits", "sensitivity", "cues",
        "requests", "answers",
    )  # fmt: skip
    for place, name in enumerate(NAMES):
        sequence = np.random.SeedSequence(7, spawn_key=(place,))
        expected = np.random.default_rng(sequence).random()
        assert generator(7, name).random() == expected


def test_the_global_generator_is_left_alone() -> None:
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    generator(0, "moral").random(10)
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize("seed", [0, 2**64, np.uint32(7), np.int64(7)])
def test_any_whole_seed_will_do(seed: Any) -> None:
    assert 0 <= generator(seed, "moral").random() < 1


def test_integer_kinds_are_one_seed() -> None:
    assert generator(np.int16(9), "moral").random() == generator(9, "moral").random()  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None, True, [1]])
def test_other_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(ParameterError, match=r"^generator\.seed: must be a whole .*\(got "):
        generator(seed, "moral")


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ParameterError, match=r"^generator\.name: 'vector' .*you mean 'vectors'"):
        generator(1, "vector")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"^generator\.name: 3 is unknown"):
        generator(1, 3)  # type: ignore[arg-type]
