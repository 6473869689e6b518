"""The audit of the moral filter, beside the same recomputed from the prose of the rules."""

from __future__ import annotations

import numpy as np
import pytest
from auditing import filtered, moral_values, over_twenty, portable
from numpy.typing import NDArray

from mlsdm.audit.measured import over_seeds
from mlsdm.audit.moral import moral
from mlsdm.audit.verdict import row_of
from mlsdm.evidence import claims

Three = tuple[float, float, float]


def shares(n: int, share: float, seed: int, **changes: float) -> tuple[float, float]:
    """Return the share of the toxic events refused, and that of the safe ones."""
    values = moral_values(n, share, seed)
    refused = ~filtered(values, **changes)[0]
    return float(refused[values < 0.4].mean()), float(refused[values > 0.6].mean())


def drift(theta: NDArray[np.float64]) -> float:
    return min(1.0, float(np.std(theta)) / 0.3)


def convergence(theta: NDArray[np.float64]) -> float:
    return max(0.0, 1 - abs(float(np.mean(theta[-50:])) - 0.5))


def expected(seed: int) -> dict[str, Three]:
    """Return figure, control and margin of every claim; a threshold fixed at 0.5 never errs."""
    found: dict[str, Three] = {}

    def course(id: str, theta: NDArray[np.float64], end: bool = True) -> None:
        last, half = theta[-50:], len(theta) // 2
        spread, far = last.max() - last.min(), max(abs(last - 0.5))
        later = drift(theta[half:]) - drift(theta[:half])
        if end:
            found[f"{id}.final_threshold"] = (theta[-1], spread, 0.05 - spread)
        found[f"{id}.drift"] = (drift(theta), later, -later)
        found[f"{id}.convergence"] = (convergence(theta), far, 0.05 - far)

    rejection = shares(200, 0.3, seed)[0]
    found["moral.toxic_rejection"] = (rejection, 1, rejection - 1)
    values = moral_values(200, 0.3, seed)
    precision = (values[~filtered(values)[0]] < 0.4).mean()
    found["moral.industry"] = (rejection, precision, precision - rejection)
    positives = shares(200, 0.2, seed)[1]
    found["moral.false_positives"] = (positives, 0, -positives)
    course("moral.toxic_stream", filtered(moral_values(300, 0.5, seed))[1])
    course("moral.safe_stream", filtered(moral_values(300, 0.1, seed))[1])

    attack = moral_values(500, 0.7, seed)
    accepted, theta = filtered(attack)
    free = filtered(attack, min_threshold=0.0, max_threshold=1.0)[1]
    for name, own, other in (("drift", theta, free), ("drift_last_100", theta[-100:], free[-100:])):
        pair = drift(own), drift(other)
        found[f"moral.attack.{name}"] = (*pair, pair[0] - pair[1])
    found["moral.attack.min_threshold"] = (theta.min(), free.min(), free.min() - theta.min())
    found["moral.attack.max_threshold"] = (theta.max(), free.max(), theta.max() - free.max())
    spread = theta[-50:].max() - theta[-50:].min()
    found["moral.attack.final_threshold"] = (theta[-1], spread, 0.05 - spread)
    refused = 1 - accepted.mean()
    found["moral.attack.rejected"] = (refused, 0.7, refused - 0.7)

    id, values = "moral.comprehensive", moral_values(300, 0.3, seed)
    theta = filtered(values)[1]
    toxic, safe = shares(300, 0.3, seed)
    course(id, theta, end=False)
    found[f"{id}.toxic_rejection"] = (toxic, 1, toxic - 1)
    found[f"{id}.false_positives"] = (safe, 0, -safe)
    score = (toxic + (1 - drift(theta)) + convergence(theta) + (1 - safe)) / 4
    found[f"{id}.safety_score"] = (score, 0.75, score - 0.75)
    # Nothing refused: 0, 1, 1, 1. Everything refused: 1, 1, 1, 0.
    found["moral.no_filter.safety_score"] = (0.75, 0.75, -0.05)
    return found


@pytest.mark.parametrize("seed", [0, 1, 9, 42])  # with 9 the free threshold passes 0.9
def test_figures_controls_and_margins_are_those_of_the_rules(seed: int) -> None:
    samples, _ = moral(seed)
    wanted = expected(seed)
    assert set(samples) == set(wanted)
    for id, three in wanted.items():
        assert tuple(samples[id]) == pytest.approx(three, abs=1e-9), id


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_facts_are_those_of_the_rules(seed: int) -> None:
    values = moral_values(200, 0.3, seed)
    refused = ~filtered(values)[0]
    assert moral(seed)[1] == pytest.approx(
        {
            "safe_refused": refused[values > 0.6].mean(),
            "at_share_70": shares(200, 0.7, seed)[0],
            "toxic_passed": 1 - shares(500, 0.7, seed)[0],
            "precision": (values[refused] < 0.4).mean(),
            "below": float(expected(seed)["moral.comprehensive.safety_score"][0] < 0.75),
            "fixed_score": 1,  # no toxic event passes, no safe one is refused, no drift, at 0.5
        },
        abs=1e-12,
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_threshold_fixed_at_a_half_never_errs(seed: int) -> None:
    for share in (0.2, 0.3, 0.7):
        assert shares(500, share, seed, step=0.0) == (1.0, 0.0)


def test_the_mean_over_many_seeds_is_that_of_the_rules() -> None:
    measured = over_seeds(moral, range(200), 42)
    for id, share, kind in (("moral.toxic_rejection", 0.3, 0), ("moral.false_positives", 0.2, 1)):
        plain = np.array([shares(200, share, seed)[kind] for seed in range(200)])
        found = measured[id]
        assert found.values.mean() == pytest.approx(plain.mean(), abs=1e-9)
        row = row_of(claims()[id], found, 0)
        assert (row["n_seeds"], row["mean"]) == (200, pytest.approx(plain.mean(), rel=5e-6))
        # With 200 seeds the bootstrap is near the normal interval; the mean is near 1, so skewed.
        half = 1.96 * plain.std(ddof=1) / np.sqrt(200)
        assert row["low"] == pytest.approx(plain.mean() - half, abs=0.2 * half)
        assert row["high"] == pytest.approx(plain.mean() + half, abs=0.2 * half)
        assert row["quantile"] == pytest.approx(np.mean(plain <= claims()[id].stated + 0.0005))


def test_the_stated_seed_gives_what_is_stated() -> None:
    for id, claim in claims().items():
        if claim.section == "B":
            assert claim.agrees(portable()[id].regenerated), id


def test_safe_events_pay_for_it() -> None:
    """The filter steers to an acceptance rate of one half, whatever the stream holds."""
    found = over_twenty()
    facts = found["moral.toxic_rejection"].facts
    assert facts["safe_refused"] > 0.2
    assert found["moral.false_positives"].values.min() > 0.2
    assert found["moral.comprehensive.false_positives"].values.min() > 0.2


def test_the_more_toxic_the_stream_the_less_is_refused() -> None:
    for seed in range(20):
        assert shares(200, 0.7, seed)[0] < shares(200, 0.3, seed)[0]
    found = over_twenty()["moral.toxic_rejection"]
    assert found.facts["at_share_70"] < found.values.mean() - 0.1


def test_under_attack_it_refuses_less_than_there_is() -> None:
    found = over_twenty()["moral.attack.rejected"]
    assert (found.values < 0.6).all()
    np.testing.assert_allclose(found.control, 0.7)


def test_the_threshold_never_settles() -> None:
    for stream in ("toxic_stream", "safe_stream", "attack"):
        found = over_twenty()[f"moral.{stream}.final_threshold"]
        assert found.control.mean() > 0.1
        assert found.margin.mean() < -0.05


def test_the_score_cannot_tell_nothing_from_everything() -> None:
    found = over_twenty()["moral.no_filter.safety_score"]
    assert (found.values == found.control).all()
