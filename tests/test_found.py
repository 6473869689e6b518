from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.search_utils import SearchUtils

from mlsdm.errors import ParameterError
from mlsdm.tracking.found import conditions


@given(st.lists(st.text("ab'\"\\\\ =`é\n"), min_size=1, max_size=3))
def test_mlflow_reads_what_was_meant_or_the_value_is_refused(values: list[str]) -> None:
    hard = any({"'", '"'} <= set(value) or value.endswith("\\") for value in values)
    try:
        wanted = conditions({f"k{i}": value for i, value in enumerate(values)})
    except ParameterError:
        assert hard
        return
    assert not hard
    read = SearchUtils.parse_search_filter(" and ".join(wanted))
    assert [condition["value"] for condition in read] == values


def test_a_value_that_mlflow_cannot_find_is_named() -> None:
    said = r"^store\.tags: MLflow finds no value .* both kinds of quotes .* \(got k=.*x.*\)$"
    with pytest.raises(ParameterError, match=said):
        conditions({"k": ["plain", 'it\'s "x"']})


def test_what_is_not_wanted_is_left_out() -> None:
    assert conditions({"k": None, "m": ["a"]}) == [
        "tags.`k` != ''",
        "tags.`m` != ''",
        "tags.`m` != 'a'",
    ]
