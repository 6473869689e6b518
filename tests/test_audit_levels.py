from __future__ import annotations

from mlsdm import audit


def test_the_third_level_fills_by_repetition_through_the_specifications_gate_alone() -> None:
    found = audit.third_level(range(3), n_events=400, dim=64)
    assert len(found) == 2 * 2 * 3
    highest = found.groupby(["gate", "vectors"])["highest"]
    assert highest.max()["norm", "isotropic"] == highest.max()["element", "isotropic"] == 0.0
    assert highest.max()["element", "repeated"] == 0.0
    assert highest.min()["norm", "repeated"] > 1.0
    again = audit.third_level(range(3), n_events=400, dim=64)
    assert again.equals(found)
