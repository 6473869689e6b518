from __future__ import annotations

import math

import pytest
from reporting import add_run, claims

from mlsdm.errors import DataError, RunError
from mlsdm.evidence import VERDICTS
from mlsdm.report.audit import MEANINGS, day, read_audit
from mlsdm.sweep.recorded import RERUN
from mlsdm.tracking import Store


def test_both_tables_come_back_as_one_in_the_order_stated(store: Store) -> None:
    given = claims().sample(frac=1, random_state=3)
    run_id = add_run(store, given, time=1_753_000_000_000)
    audit = read_audit(store)
    assert audit.run.id == run_id
    assert day(audit.run) == "2025-07-20 08:26 UTC"
    assert audit.notebook == "05-claims"
    assert audit.n_seeds == 200
    there = given.sort_values("row", ignore_index=True)
    assert audit.table["id"].tolist() == there["id"].tolist()
    assert audit.table["varies"].tolist() == there["varies"].tolist()
    for name in ("stated", "mean", "low", "high", "quantile"):
        for now, then in zip(audit.table[name], there[name], strict=True):
            assert now == then or (math.isnan(now) and math.isnan(then))
    assert audit.table["regenerated_text"].tolist() == there["regenerated_text"].fillna("").tolist()
    assert sum(audit.counts.values()) == len(given)
    assert audit.counts["not testable here"] == (given["verdict"] == "not testable here").sum()
    assert audit.provenance["version"] == "9.9.9"


def test_words_that_stand_for_nothing_elsewhere_are_words_here(store: Store) -> None:
    add_run(store, claims(explanation="NA", control="None"))
    audit = read_audit(store)
    assert set(audit.table["explanation"]) == {"NA"}
    assert set(audit.table["control"]) == {"None"}


def test_the_newest_finished_run_that_is_no_rerun_counts(store: Store) -> None:
    add_run(store, claims(), experiment="earlier")
    wanted = add_run(store, claims(), experiment="claims")
    add_run(store, claims(), status="FAILED")
    add_run(store, claims(), tags={RERUN: wanted})
    add_run(store)
    add_run(store, claims(), source="notebooks/another.ipynb")
    assert read_audit(store).run.id == wanted


def test_any_other_run_may_be_asked_for(store: Store) -> None:
    first = add_run(store, claims())
    add_run(store, claims())
    without = add_run(store)
    assert read_audit(store, first).run.id == first
    with pytest.raises(RunError, match=f"^report: the run {without} holds no audit"):
        read_audit(store, without)
    with pytest.raises(RunError, match="0000"):
        read_audit(store, "0" * 32)


def test_a_store_without_an_audit_says_how_to_make_one(store: Store) -> None:
    add_run(store, source="notebooks/01-records.ipynb", experiment="01-records")
    with pytest.raises(RunError, match=r"^report: sqlite.* holds no audit .*`mlsdm run 05`$"):
        read_audit(store)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"verdict": "fine"}, r"must be one of reproduced, .* \(got 'fine' in the run"),
        ({"mean": "much"}, "could not convert string to float"),
        ({"id": "the same"}, "must hold each claim once"),
        ({"row": ""}, "report: the audit in the run"),
    ],
)
def test_what_is_no_table_of_claims_is_refused(
    store: Store, columns: dict[str, str], sentence: str
) -> None:
    add_run(store, claims(**columns))
    with pytest.raises(DataError, match=sentence):
        read_audit(store)


def test_a_missing_column_is_named(store: Store) -> None:
    add_run(store, claims().drop(columns="control"))
    with pytest.raises(DataError, match="has no column 'control'"):
        read_audit(store)


def test_every_verdict_has_a_meaning() -> None:
    assert tuple(MEANINGS) == VERDICTS
    assert all(MEANINGS.values())
