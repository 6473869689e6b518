"""The audit of the rhythm, beside the same recomputed in plain NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from auditing import filtered, over_twenty, portable, rhythm_vectors
from numpy.typing import NDArray

from mlsdm.audit.rhythm import rhythm
from mlsdm.evidence import claims
from mlsdm.rng import generator

Vectors = NDArray[np.float32]
SEEDS = [0, 1, 42]


def separation(first: Vectors, second: Vectors) -> float:
    means = [group.astype(float).mean(axis=0) for group in (first, second)]
    cosine = means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
    return float(np.clip((1 - cosine) / 2, 0, 1))


@cache
def accepted(n: int, seed: int) -> Vectors:
    """The vectors that the moral filter lets pass; the first eight are all that is committed."""
    return rhythm_vectors(n, seed)[filtered(np.full(n, 0.8))[0]]


@cache
def every_split(seed: int) -> NDArray[np.float64]:
    """The separation of all eight splits of the committed vectors into seven and one."""
    eight = accepted(120, seed)[:8]
    return np.array([separation(np.delete(eight, i, axis=0), eight[i : i + 1]) for i in range(8)])


@cache
def many_splits(seed: int) -> NDArray[np.float64]:
    """The separation of many splits of eight of the control's vectors into seven and one."""
    kept, rng = accepted(120, seed), np.random.default_rng(99)
    drawn = (kept[rng.choice(len(kept), 8, replace=False)] for _ in range(1000))
    return np.array([separation(eight[:7], eight[7:]) for eight in drawn])


def coherence_of_top_five(stored: Vectors, queries: Vectors) -> float:
    rows, asked = stored.astype(float), queries.astype(float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    best = np.sort(asked @ rows.T, axis=1)[:, -5:]
    return float(np.maximum(best, 0).mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_stored_is_stored_in_wake(seed: int) -> None:
    samples, _ = rhythm(seed)
    assert tuple(samples["rhythm.stored_wake"]) == (7, 8, -1)
    assert tuple(samples["rhythm.stored_sleep"]) == (1, 0, -1)


@pytest.mark.parametrize("seed", SEEDS)
def test_neither_side_retrieves_and_both_could(seed: int) -> None:
    samples, facts = rhythm(seed)
    assert tuple(samples["rhythm.semantic_coherence"]) == (0, 0, -1)
    assert tuple(samples["rhythm.control.semantic_coherence"]) == (0, 0, -1)
    kept, queries = accepted(100, seed), rhythm_vectors(20, seed)
    wanted = {
        "asked_awake": coherence_of_top_five(kept[:8], queries),
        "stored_awake": coherence_of_top_five(kept, queries),
    }
    assert facts == pytest.approx(wanted, abs=1e-6)
    assert min(wanted.values()) > 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_the_controller_sleeps_for_good(seed: int) -> None:
    samples, _ = rhythm(seed)
    passed = len(accepted(150, seed))
    assert tuple(samples["rhythm.committed"]) == (8, 0, -1)
    assert tuple(samples["rhythm.load_reduction"]) == pytest.approx((1 - 8 / passed, 0, -1))
    # A threshold fixed at 0.5 accepts all 150, each of value 0.8.
    assert tuple(samples["rhythm.control.committed"]) == (passed, 150, passed - 150)


@pytest.mark.parametrize("seed", SEEDS)
def test_splits_at_random_are_within_sampling_error_of_all_splits(seed: int) -> None:
    samples, _ = rhythm(seed)
    figure, control, margin = samples["rhythm.phase_separation"]
    eight, all_splits = accepted(120, seed)[:8], every_split(seed)
    assert figure == pytest.approx(separation(eight[:7], eight[7:]), abs=1e-9)
    assert abs(control - all_splits.mean()) < 4 * all_splits.std() / np.sqrt(100)
    assert margin == pytest.approx(figure - control)
    # Which one stands alone in each split: the same means to the last digits.
    rng = generator(seed, "splits")
    alone = [rng.permutation(8)[7] for _ in range(100)]
    assert control == pytest.approx(all_splits[alone].mean(), abs=1e-9)

    figure, control, margin = samples["rhythm.control.phase_separation"]
    kept = accepted(120, seed)
    half = len(kept) // 2
    assert figure == pytest.approx(separation(kept[:half], kept[half:]), abs=1e-9)
    drawn = many_splits(seed)
    assert abs(control - drawn.mean()) < 4 * drawn.std() * np.sqrt(1 / 100 + 1 / 1000)
    assert margin == pytest.approx(figure - control)


@pytest.mark.parametrize("seed", SEEDS)
def test_coherence_is_two_ones_a_nought_and_the_separation(seed: int) -> None:
    samples, _ = rhythm(seed)
    for side in ("rhythm", "rhythm.control"):
        apart, whole = samples[f"{side}.phase_separation"], samples[f"{side}.coherence"]
        assert whole.figure == pytest.approx((2 + apart.figure) / 4)
        assert whole.control == pytest.approx((2 + apart.control) / 4)
        assert whole.margin == pytest.approx(whole.figure - whole.control)
    mine, theirs = samples["rhythm.coherence"], samples["rhythm.control.coherence"]
    gain = samples["rhythm.coherence_gain"]
    assert gain.figure == pytest.approx(mine.figure / theirs.figure - 1)
    assert gain.control == gain.margin == pytest.approx(mine.figure / theirs.control - 1)


def test_the_stated_seed_gives_what_is_stated() -> None:
    for id, claim in claims().items():
        if claim.section == "C":
            assert claim.agrees(portable()[id].regenerated), id


def test_nothing_is_committed_late_with_any_seed() -> None:
    for id in ("rhythm.committed", "rhythm.load_reduction"):
        assert (over_twenty()[id].control == 0).all()
    assert (over_twenty()["rhythm.committed"].values == 8).all()


def test_split_alike_there_is_no_gain() -> None:
    found = over_twenty()["rhythm.coherence_gain"]
    assert found.values.mean() > 0.03
    half = 2.093 * found.control.std(ddof=1) / np.sqrt(20)  # Student's t, 19 degrees of freedom
    assert half < 0.015
    assert abs(found.control.mean()) < 0.01


def test_groups_of_seven_and_one_lie_apart_whatever_they_are() -> None:
    """Over seeds the phases separate no better than chance, and halves separate worse."""
    found = over_twenty()
    mine, theirs = found["rhythm.phase_separation"], found["rhythm.control.phase_separation"]
    assert abs(mine.values.mean() - mine.control.mean()) < 0.02
    assert theirs.values.mean() < theirs.control.mean() - 0.05
    assert theirs.control.mean() == pytest.approx(mine.control.mean(), abs=0.02)
