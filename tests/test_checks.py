from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlsdm.checks import as_generator, as_whole
from mlsdm.errors import ParameterError


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_a_whole_number_of_any_kind_becomes_an_int(value: Any) -> None:
    assert (as_whole("X.n", value, 3, 3), type(as_whole("X.n", value, 0))) == (3, int)


@pytest.mark.parametrize("value", [-1, 1.0, "1", None, True, np.True_, [1], np.array([1, 2])])
def test_what_is_no_whole_number_in_the_range_is_refused(value: Any) -> None:
    with pytest.raises(ParameterError) as refused:
        as_whole("X.n", value, 0)
    assert str(refused.value) == f"X.n: must be a whole number of at least 0 (got {value!r})"


def test_a_range_names_both_ends() -> None:
    with pytest.raises(ParameterError, match=r"^X\.n: .* in \[2, 5\] \(got 6\)$"):
        as_whole("X.n", 6, 2, 5)


def test_a_generator_passes_and_nothing_else_does() -> None:
    rng = np.random.default_rng(0)
    assert as_generator("X.rng", rng) is rng
    with pytest.raises(ParameterError, match=r"^X\.rng: must be a numpy\.random\.Generator"):
        as_generator("X.rng", np.random.RandomState(0))
