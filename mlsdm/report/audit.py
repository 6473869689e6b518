"""The audit of the stated figures as the store holds it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlsdm.errors import DataError, RunError
from mlsdm.evidence import VERDICTS
from mlsdm.provenance import SOURCE
from mlsdm.record import artifact_path
from mlsdm.sweep.recorded import RERUN

if TYPE_CHECKING:
    from mlsdm.tracking import Found, Store

__all__ = ["AUDIT", "MEANINGS", "NOTEBOOK", "OWN_DATA", "Audit", "day", "read_audit"]

NOTEBOOK = "notebooks/05-claims.ipynb"
AUDIT, AUDIT_HERE = "claims/audit", "claims/audit_of_this_machine"  # the records of the notebook
FILES = tuple(PurePosixPath(artifact_path("table", name)) for name in (AUDIT, AUDIT_HERE))

_MEANINGS = (
    "The stated set-up gives the stated figure, or keeps the target, and the control bears out "
    "what it is said to show.",
    "The stated set-up gives the stated figure, but the control speaks against what the figure is "
    "said to show.",
    "The stated set-up does not give the stated figure, or misses the target.",
    "It is about a study or another program that are not at hand: nothing was measured.",
)
MEANINGS: dict[str, str] = dict(zip(VERDICTS, _MEANINGS, strict=True))
"""What each verdict means, for a reader of the report."""
OWN_DATA = (
    "Where the data of a stated set-up are not at hand, as with the texts of section D, real data "
    "of our choice take their place."
)

_TEXTS = (
    "id", "section", "statement", "setup", "measure", "unit", "relation", "stated_text",
    "regenerated_text", "control", "verdict", "explanation",
)  # fmt: skip
_NUMBERS = (
    "stated", "regenerated", "mean", "low", "high", "quantile",
    "control_mean", "control_low", "control_high",
)  # fmt: skip
_COUNTS = ("row", "n_seeds")


@dataclass(frozen=True)
class Audit:
    """The table of the claims in the order stated, the run that it is from, and where that ran."""

    table: pd.DataFrame
    run: Found
    provenance: Mapping[str, Any]

    @property
    def notebook(self) -> str:
        """The name of the notebook, without the suffix."""
        return PurePosixPath(self.run.tags.get(SOURCE, NOTEBOOK)).stem

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table, by the names of its columns."""
        return [
            {str(name): value for name, value in row.items()}
            for row in self.table.to_dict("records")
        ]

    @property
    def n_seeds(self) -> int:
        """How many seeds there are at most behind a row."""
        return int(self.table["n_seeds"].max())

    @property
    def counts(self) -> dict[str, int]:
        """How many claims have each of the verdicts."""
        found = self.table["verdict"].value_counts()
        return {verdict: int(found.get(verdict, 0)) for verdict in MEANINGS}


def day(run: Found) -> str:
    """Return when a run began, to the minute."""
    return f"{datetime.fromtimestamp(run.started / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def read_audit(store: Store, run_id: str | None = None) -> Audit:
    """Return the newest audit that the store holds as a finished run, or that of one run.

    Raises
    ------
    RunError
        When there is none, or the store refuses.
    DataError
        When what is kept is no table of claims.
    """
    run = _newest(store) if run_id is None else store.get(run_id)
    if not _holds_audit(store, run):
        raise RunError(f"report: the run {run.id} holds no audit of the claims")
    frames = [_table(store.read(run.id, str(path)), run.id) for path in FILES]
    table = pd.concat(frames).sort_values("row", ignore_index=True)
    if table["id"].duplicated().any() or table.empty:
        raise DataError(f"report: the audit in the run {run.id} must hold each claim once")
    return Audit(table, run, json.loads(store.read(run.id, "provenance.json")))


def _newest(store: Store) -> Found:
    for run in store.finished({SOURCE: NOTEBOOK}):
        if RERUN not in run.tags and _holds_audit(store, run):
            return run
    raise RunError(
        f"report: {store.address} holds no audit of the claims yet; make one with `mlsdm run 05`"
    )


def _holds_audit(store: Store, run: Found) -> bool:
    return {path.name for path in FILES} <= set(store.listed(run.id, str(FILES[0].parent)))


def _table(content: bytes, run_id: str) -> pd.DataFrame:
    frame = pd.read_csv(io.BytesIO(content), dtype="string", keep_default_na=False)
    columns = {*_TEXTS, *_NUMBERS, *_COUNTS, "varies"}
    if missing := sorted(columns - set(frame.columns)):
        raise DataError(f"report: the audit in the run {run_id} has no column {missing[0]!r}")
    try:
        numbers = {name: frame[name].replace("", "nan").astype("float64") for name in _NUMBERS}
        counts = {name: frame[name].astype("float64").astype("int64") for name in _COUNTS}
    except ValueError as error:
        raise DataError(f"report: the audit in the run {run_id}: {error}") from None
    unknown = set(frame["verdict"]) - set(VERDICTS)
    if unknown:
        raise DataError(
            f"report: a verdict must be one of {', '.join(VERDICTS)} "
            f"(got {unknown.pop()!r} in the run {run_id})"
        )
    texts = {name: frame[name].astype(object) for name in _TEXTS}
    return frame.assign(**texts, **numbers, **counts, varies=frame["varies"] == "True")
