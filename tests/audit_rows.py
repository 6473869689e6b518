"""A synthetic audit table, of every kind of row that the true one holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

VERDICTS = (
    "reproduced",
    "reproduced but means something else",
    "not reproduced",
    "not testable here",
)

# id, section, statement, unit, relation, stated, its text, mean, half width, verdict
KINDS: list[tuple[str, str, str, str, str, float, str, float, float, int]] = [
    ("latency.p50", "A", "median latency of a request", "ms", "<", 10, "< 10 ms", 0.94, 0.02, 0),
    ("latency.p99", "A", "99th percentile of the latency of a request (the slower kind of event "
     "and retrieval)", "ms", "<", 200, "< 200 ms", 3.2, 0.4, 0),
    ("throughput.requests", "A", "requests handled a second", "requests/s", ">=", 1000,
     ">= 1000 requests/s", 1130, 12, 0),
    ("throughput.achieved", "A", "requests handled a second, as achieved", "requests/s", "=",
     5500, "5500 ops/s", 1130, 12, 2),
    ("moral.comprehensive.toxic_rejection", "B", "share of toxic events refused, comprehensive "
     "run", "share", "=", 0.978, "97.8 %", 0.923, 0.006, 1),
    ("moral.toxic_stream.drift", "B", "drift of the threshold, half of the stream toxic", "", "=",
     0.5461, "0.5461", 0.541, 0.004, 0),
    ("rhythm.control.committed", "C", "events committed, control without rhythm", "events", "=",
     76, "76", 75.4, 0.5, 0),
    ("rhythm.coherence_gain", "C", "gain in overall coherence", "share", "=", 0.055, "5.5 %",
     -0.02, 0.015, 2),
    ("rhythm.wake_ups", "C", "times the engine wakes up", "wake-ups", "=", 0, "0", 0, 0, 0),
    ("speech.reduction", "D", "telegraphic answers reduced", "share", "=", 0.872, "87.2 %",
     np.nan, np.nan, 3),
    ("memory.footprint", "E", "memory of the vectors and their phases", "MiB", "=", 29.37,
     "29.37 MB", 29.373, 0, 0),
    ("calibration.threshold_0.5.safe_refused", "F", "safe values refused at a fixed threshold of "
     "0.50", "share", "=", 0.143, "14.3 %", 0.1429, 0, 1),
    ("project.tests", "G", "tests that pass", "", "=", 824, "824 of 824", np.nan, np.nan, 3),
]  # fmt: skip


def audit_table(n: int = 70) -> pd.DataFrame:
    """Return an audit table of `n` claims, in the order and with the columns of the true one."""
    rows: list[dict[str, Any]] = []
    for i in range(n):
        id, section, statement, unit, relation, stated, text, mean, half, verdict = KINDS[
            i * len(KINDS) // n
        ]
        again = i - next((r["row"] for r in rows if r["id"] == id), i)
        factor = 1 - 0.06 * again
        testable = verdict != 3
        rows.append(
            {
                "row": i,
                "id": f"{id}.{again}" if again else id,
                "section": section,
                "statement": statement,
                "setup": "published filter, n=200",
                "measure": "as stated",
                "unit": unit,
                "relation": relation,
                "stated": stated,
                "stated_text": text,
                "regenerated": stated if testable else np.nan,
                "regenerated_text": text if testable else np.nan,
                "mean": mean * factor,
                "low": (mean - half) * factor,
                "high": (mean + half) * factor,
                "n_seeds": 200 if testable else 0,
                "quantile": 0.5 if testable else np.nan,
                "control": "A threshold that never moves refuses as much.",
                "control_mean": 0.9 * mean,
                "control_low": 0.9 * mean - half,
                "control_high": 0.9 * mean + half,
                "verdict": VERDICTS[verdict if not again or verdict == 3 else again % 3],
                "explanation": "It holds, and means what it says.",
                "varies": unit in ("ms", "requests/s"),
            }
        )
    return pd.DataFrame(rows)
