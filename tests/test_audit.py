from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from auditing import of_this_machine, portable

import mlsdm.audit
from mlsdm.analysis.interval import Interval
from mlsdm.audit import interval_of, measure, measure_here, table
from mlsdm.audit.measured import Sample, over_seeds, repeated
from mlsdm.errors import ParameterError
from mlsdm.evidence import claims

TESTABLE = {id for id, claim in claims().items() if not claim.untestable}
UNTESTABLE = [id for id, claim in claims().items() if claim.untestable]


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    return table(portable(), 0)


def test_every_testable_claim_is_measured_once() -> None:
    same, varying = set(portable()), set(of_this_machine())
    assert same | varying == TESTABLE
    assert not same & varying
    assert varying == {id for id, claim in claims().items() if claim.varies}


def test_measuring_again_gives_the_same_table(whole: pd.DataFrame) -> None:
    again = table(measure(range(3)), 0)
    pd.testing.assert_frame_equal(again, whole, check_exact=True)


def test_every_portable_figure_comes_out() -> None:
    """The engine is the original's, to the last digit that is stated."""
    for id, measured in portable().items():
        assert claims()[id].agrees(measured.regenerated) or claims()[id].own_data, id


def test_statistics_are_over_the_seeds_given(whole: pd.DataFrame) -> None:
    by_id = whole.set_index("id")
    for id, measured in portable().items():
        once = claims()[id].section in "AE"
        assert by_id.loc[id, "n_seeds"] == measured.values.size == (1 if once else 3)


def test_without_ids_the_table_holds_what_was_measured_and_what_cannot_be(
    whole: pd.DataFrame,
) -> None:
    assert set(whole["id"]) == {*portable(), *UNTESTABLE}
    assert whole["row"].is_monotonic_increasing
    assert whole.columns[0] == "row"
    assert whole.shape[1] == 24


def test_both_tables_make_up_the_claims_in_the_order_stated(whole: pd.DataFrame) -> None:
    here = table(of_this_machine(), 0, of_this_machine())
    assert list(here["varies"].unique()) == [True]
    assert not whole["varies"].any()
    both = pd.concat([whole, here]).sort_values("row")
    assert list(both["id"]) == list(claims())
    assert list(both["row"]) == list(range(1, len(claims()) + 1))


def test_ids_choose_the_rows_and_not_their_order() -> None:
    ids = ["memory.footprint", "speech.reduction", "moral.industry"]
    found = table(portable(), 0, ids)
    assert list(found["id"]) == ["moral.industry", "speech.reduction", "memory.footprint"]
    assert list(found["n_seeds"]) == [3, 0, 1]


def test_what_was_not_measured_is_not_called_untestable() -> None:
    with pytest.raises(
        ParameterError, match=r"^table\.ids: must be among .* \(got 'latency.p50'\)"
    ):
        table(portable(), 0, ["latency.p50"])
    with pytest.raises(ParameterError, match=r"^table\.ids: nothing .*mean 'moral\.industry'"):
        table(portable(), 0, ["moral.industri"])


def test_verdicts_with_a_few_seeds_are_those_that_no_number_of_them_changes(
    whole: pd.DataFrame,
) -> None:
    verdicts = whole.set_index("id")["verdict"]
    for id in ("memory.bound", "memory.lost_updates", "calibration.threshold_05.toxic_rejected"):
        assert verdicts[id] == "reproduced"
    for id in (
        "moral.false_positives", "moral.attack.drift", "moral.no_filter.safety_score",
        "rhythm.stored_sleep", "rhythm.load_reduction", "calibration.tolerance.recall",
        "memory.footprint", "speech.ten.true_positives",
    ):  # fmt: skip
        assert verdicts[id] == "reproduced but means something else"
    assert verdicts["speech.hundred.true_negatives"] == "not reproduced"
    assert (verdicts[UNTESTABLE] == "not testable here").all()


def test_the_interval_of_a_row(whole: pd.DataFrame) -> None:
    rows = {row["id"]: row for row in whole.to_dict("records")}
    row = rows["moral.toxic_stream.drift"]
    assert interval_of(row) == Interval(row["mean"], row["low"], row["high"], 3)
    assert interval_of(row).bounded
    assert not interval_of(rows["memory.footprint"]).bounded


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"^measure\.seeds: must hold at least one seed"):
        measure([])
    with pytest.raises(ParameterError, match=r"^speed\.n_blocks: must be a whole number"):
        measure_here(0)


def test_samples_of_many_seeds_make_up_what_is_measured() -> None:
    def sample(seed: int) -> tuple[dict[str, Sample], dict[str, float]]:
        return {"a": Sample(seed, 2 * seed, -seed)}, {"half": seed / 2}

    (found,) = over_seeds(sample, [1, 2, 6], stated=42).values()
    assert found.regenerated == 42
    np.testing.assert_array_equal(found.values, [1, 2, 6])
    np.testing.assert_array_equal(found.control, [2, 4, 12])
    np.testing.assert_array_equal(found.margin, [-1, -2, -6])
    assert found.facts == {"half": 1.5}
    assert repeated([Sample(1, 2, 3)], 1).facts == {}


def test_the_audit_reads_nothing_private_of_other_packages() -> None:
    files = list(Path(mlsdm.audit.__file__).parent.glob("*.py"))
    assert len(files) > 7
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                private = [n for n in names if n.startswith("_") and n != "__future__"]
                assert not private, path.name
            if isinstance(node, ast.Attribute) and node.attr != "_asdict":  # a named tuple's own
                assert not node.attr.startswith("_") or "_lazy" in ast.unparse(node), path.name
