"""What lies in reports/ is what the stored notebook says."""

from __future__ import annotations

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from reporting import add_run

from mlsdm.audit import measure, table
from mlsdm.evidence import claims
from mlsdm.record import records
from mlsdm.report.audit import AUDIT, Audit, read_audit
from mlsdm.report.claims import stale
from mlsdm.tracking import Store

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports"
NUMBERS = [
    "stated", "regenerated", "mean", "low", "high", "quantile",
    "control_mean", "control_low", "control_high",
]  # fmt: skip


@pytest.fixture
def audit(store: Store) -> Audit:
    """The audit that the stored notebook holds, which nbval proves current, through a store."""
    notebook = nbformat.read(ROOT / "notebooks" / "05-claims.ipynb", as_version=4)
    tables = [
        pd.DataFrame(list(made.rows), columns=list(made.columns))
        for made in records(notebook)
        if made.kind == "table" and made.name.startswith(AUDIT)
    ]
    assert len(tables) == 2
    add_run(store, pd.concat(tables))
    return read_audit(store)


def test_the_committed_reports_are_current(audit: Audit) -> None:
    assert stale(audit, REPORTS) == [], "renew with `mlsdm run 05` and `mlsdm report`"


def test_the_stored_audit_is_what_the_audit_gives_now(audit: Audit) -> None:
    # Where the lines of a test are counted, what counts them allocates too.
    now = table(measure(range(200)), 0).set_index("id").drop("memory.allocation")
    stored = audit.table.set_index("id").loc[now.index, now.columns]
    texts = [name for name in now if name not in NUMBERS]
    assert stored[texts].to_dict("records") == now[texts].to_dict("records")
    # The sixth digit may be rounded otherwise by another processor.
    np.testing.assert_allclose(stored[NUMBERS].astype(float), now[NUMBERS], rtol=2e-5)


def test_every_claim_has_its_row_in_the_order_stated(audit: Audit) -> None:
    assert list(audit.table["id"]) == list(claims())
    assert list(pd.read_csv(REPORTS / "claims.csv")["id"]) == list(claims())


def test_no_figure_differs_that_its_own_set_up_regenerates(audit: Audit) -> None:
    figures = audit.table[(audit.table["relation"] == "=") & audit.table["regenerated"].notna()]
    known, differing = claims(), set()
    for row in figures.itertuples():
        if not known[row.id].agrees(row.regenerated):
            differing.add(row.id)
    assert differing == {
        "speech.ten.true_negatives", "speech.ten.severity", "speech.hundred.true_negatives",
        "speech.hundred.accuracy", "speech.hundred.severity",
    }  # fmt: skip
    assert all(known[id].own_data for id in differing)
    assert len(figures) > 50
