"""The evaluation of the speech detector says what the texts say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlsdm.analysis import plots, speech
from mlsdm.errors import ParameterError
from mlsdm.evidence import claims
from mlsdm.speech import SpeechParams, analyze, corpora
from mlsdm.streams import auc

ORDINARY = ["adult", "news"]
SHORT, LONG = "Want cookie. Dog run. More juice.", "The dog that ran to us was one of the best."


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def real():
    return speech.real_texts(10, 60, rng(1))


@pytest.fixture(scope="module")
def table(real):
    return speech.judged(real.kinds)


def made(severity, flagged=None, preset="published"):
    """Return a table of texts with these severities by kind."""
    rows = []
    for kind, values in severity.items():
        for text, value in enumerate(values):
            up = value >= 0.5 if flagged is None else flagged[kind][text]
            rows.append((preset, kind, text, up, value, 10 * (1 - value), 0.5, value))
    names = ["average_sentence_length", "function_word_ratio", "fragment_ratio"]
    columns = ["preset", "kind", "text", "telegraphic", "severity", *names]
    return pd.DataFrame(rows, columns=columns)


def test_real_texts_are_of_the_half_that_nothing_was_chosen_on(real):
    child = " ".join(corpora.utterances("child", "evaluation"))
    assert next(iter(real.kinds)) == speech.CHILD
    assert all(text in child for text in real.kinds["child"])
    assert set(real.kinds["news"]) == set(corpora.prose("evaluation"))
    assert set(real.kinds["comments"]) <= set(corpora.comments("evaluation"))
    assert len(set(real.kinds["comments"])) == 60
    other = speech.real_texts(10, 60, rng(1), "calibration").kinds
    assert not any(set(texts) & set(other[kind]) for kind, texts in real.kinds.items())


def test_the_control_has_the_same_lengths(real):
    both = (real.kinds[kind] for kind in ("child", "adult, same lengths"))
    for child, adult in zip(*both, strict=True):
        assert len(child.split()) == len(adult.split())
    assert real.exact == 1.0
    assert real.uses > 1.0


def test_too_many_comments_are_refused():
    with pytest.raises(ParameterError, match=r"real_texts\.n_comments: must be at most"):
        speech.real_texts(10, 10**6, rng())


def test_what_is_judged_is_what_the_detector_says(real, table):
    assert len(table) == 2 * sum(map(len, real.kinds.values()))
    for row in table.iloc[:: len(table) // 7].itertuples():
        report = analyze(real.kinds[row.kind][row.text], row.preset)
        assert (row.telegraphic, row.severity) == (report.telegraphic, report.severity)
    own = speech.judged({"one": [LONG]}, {"mine": SpeechParams(min_sentence_length=100)})
    assert (own["preset"].item(), own["short_sentences"].item()) == ("mine", True)


def test_shares_are_of_texts_and_their_intervals_stay_apart_at_the_ends():
    flags = dict.fromkeys(plots_flags(), False)
    table = made({"child": [0.9, 0.8, 0.7, 0.1]}).assign(**flags)
    summary = speech.shares(table, rng()).set_index("measure")
    assert summary.loc["telegraphic", "mean"] == 0.75
    assert summary.loc["severity", "mean"] == pytest.approx(0.625)
    none = summary.loc["empty_text"]
    assert (none["mean"], none["low"]) == (0, 0)
    assert none["high"] > 0.3


def plots_flags():
    return [
        "short_sentences", "low_function_words", "high_fragment_ratio", "empty_text",
        "no_sentence_boundaries", "unsupported_script",
    ]  # fmt: skip


def test_areas_are_those_of_the_child_against_each_kind(table):
    areas = speech.discrimination(table).set_index(["preset", "kind", "score"])
    rows = table[(table["preset"] == "default") & table["kind"].isin(["child", "adult"])]
    is_child = (rows["kind"] == "child").to_numpy()
    for score, values in (
        ("severity", 1 - rows["severity"]),
        ("function_word_ratio", rows["function_word_ratio"]),
    ):
        found = areas.loc[("default", "adult", score)]
        assert found["auc"] == pytest.approx(auc(is_child, values.to_numpy()))
        assert found["low"] <= found["auc"] <= found["high"]


def test_curves_go_from_nothing_to_everything_and_enclose_the_area(table):
    areas = speech.discrimination(table).set_index(["preset", "kind", "score"])["auc"]
    for (preset, kind), curve in speech.curves(table).groupby(["preset", "kind"]):
        ordered = curve.sort_values(["alarms", "found"])
        ends = ordered[["alarms", "found"]].iloc[[0, -1]].to_numpy().tolist()
        assert ends == [[0, 0], [1, 1]]
        area = np.trapezoid(ordered["found"], ordered["alarms"])
        assert area == pytest.approx(areas[preset, kind, "severity"])


def test_an_advantage_is_said_only_where_the_whole_interval_is_above_0():
    severity = {"child": [0.9] * 20, "adult": [0.1] * 20, "news": [0.0] * 20}
    wrong = {"child": [True] * 20, "adult": [True] * 20, "news": [False] * 20}
    right = {**wrong, "adult": [False] * 20}
    table = pd.concat([made(severity, wrong), made(severity, right, "default")])
    found = speech.advantage(table, ORDINARY, rng()).set_index(["measure", "kind"])
    balanced = found.loc[("balanced accuracy", "all")]
    assert balanced[["published", "default"]].tolist() == [0.75, 1.0]
    assert balanced[["mean", "low", "high"]].tolist() == [0.25, 0.25, 0.25]
    assert balanced["better"]
    assert found.loc[("right", "adult"), "mean"] == 1
    same = found.loc[("auc", "all")]
    assert same[["published", "default", "mean", "low", "high"]].tolist() == [1, 1, 0, 0, 0]
    assert not same["better"]


def test_chance_is_no_advantage():
    """Two presets that flag at random: about one of forty intervals may lie above 0."""
    better = []
    for seed in range(40):
        draw = rng(seed)
        tables = [
            made({kind: draw.random(30) for kind in ("child", *ORDINARY)}, preset=preset)
            for preset in speech.PRESETS
        ]
        found = speech.advantage(pd.concat(tables), ORDINARY, draw, resamples=400)
        better.append(found[found["kind"] == "all"]["better"].to_numpy())
    assert (np.sum(better, axis=0) <= 5).all()


def test_the_resamples_of_an_advantage_are_paired(table):
    found = speech.advantage(table, ORDINARY, rng(), ours="published").iloc[:, -4:]
    assert (found[["mean", "low", "high"]] == 0).all(axis=None)


def test_the_advantage_of_real_texts_is_the_difference_of_what_is_seen(table):
    found = speech.advantage(table, ["adult"], rng()).set_index(["measure", "kind"])
    shares = table.groupby(["preset", "kind"])["telegraphic"].mean()
    areas = speech.discrimination(table).set_index(["preset", "kind", "score"])["auc"]
    for preset in speech.PRESETS:
        right = (shares[preset, "child"] + 1 - shares[preset, "adult"]) / 2
        assert found.loc[("balanced accuracy", "all"), preset] == pytest.approx(right)
        area = areas[preset, "adult", "severity"]
        assert found.loc[("auc", "adult"), preset] == pytest.approx(area)
    assert found.loc[("balanced accuracy", "all"), "better"]


def test_severity_that_is_length_is_no_better_than_length():
    table = made({"child": [0.9, 0.6, 0.2], "adult": [0.1, 0.3, 0.0]})
    (row,) = speech.beyond_length(table, rng()).itertuples()
    assert row.severity == row.length == pytest.approx(8 / 9)
    assert (row.mean, row.low, row.high) == (0, 0, 0)


def test_function_words_alone_are_compared_at_one_length_only():
    child = ["dog run."] * 6 + ["big dog run."] * 6 + ["dog."] * 6
    adult = ["to it."] * 6 + ["big dog run."] * 6 + ["the."] * 4
    found = speech.function_words_alone(child, adult, 1)
    assert found["words"].tolist() == [2, 3]  # of one word there are too few
    assert found["auc"].tolist() == [1.0, 0.5]
    assert speech.function_words_alone(child, adult, 2).empty


def test_a_swept_threshold_is_the_only_one_that_moves():
    kinds = {"child": [SHORT] * 2, "adult": [LONG, LONG, SHORT], "news": [LONG]}
    still = SpeechParams(min_function_words=0.0, max_fragments=1.0)
    moved = speech.swept(kinds, ORDINARY, {"min_sentence_length": [1, 5, 50]}, still)
    assert moved["found"].tolist() == [0, 1, 1]
    assert moved["left_alone"].tolist() == pytest.approx([1, 5 / 6, 0])
    assert moved["balanced_accuracy"].tolist() == pytest.approx([0.5, 11 / 12, 0.5])


def test_what_was_stated_stands_beside_what_is_seen(table):
    summary = speech.shares(table, rng())
    beside = speech.beside_stated(summary, ORDINARY)
    assert set(beside["id"]) == {
        id for id in claims() if id.startswith(("speech.ten.", "speech.hundred."))
    }
    assert all(claims()[row.id].stated == row.stated for row in beside.itertuples())
    rows = beside.set_index(["id", "real_texts"])
    means = table.groupby(["preset", "kind"])[["telegraphic", "severity"]].mean()
    for preset in speech.PRESETS:
        child, news = (means.loc[(preset, kind)] for kind in ("child", "news"))
        left = 1 - news["telegraphic"]
        assert rows.loc[("speech.ten.severity", "child"), preset] == pytest.approx(
            child["severity"]
        )
        assert rows.loc[("speech.hundred.true_negatives", "news"), preset] == left
        accuracy = rows.loc[("speech.hundred.accuracy", "news"), preset]
        assert accuracy == pytest.approx((child["telegraphic"] + left) / 2)


def test_reliability_is_over_equally_many_texts_of_each_kind(table):
    found = speech.reliability(table, ORDINARY, rng())
    n = len(table[(table["kind"] == "child") & (table["preset"] == "default")])
    counts = found.groupby("preset")["count"].sum()
    assert (counts == 3 * n).all()
    assert found["observed"].between(0, 1).all()


@pytest.mark.parametrize("n", [40, pytest.param(293, marks=pytest.mark.long)])
def test_the_mean_severity_rises_with_the_dose(n):
    doses = np.linspace(0, 1, 21 if n > 40 else 11)
    answers = speech.dose_response(corpora.prose()[:n], doses, rng(3))
    assert len(answers) == 2 * len(doses) * n
    assert speech.falls(answers).to_dict() == {"default": 0.0, "published": 0.0}
    ends = answers.groupby(["preset", "dose"])["severity"].mean().unstack("dose")
    assert (ends[0.0] < 0.05).all()
    assert (ends[1.0] > 0.6).all()


def test_a_fall_is_found():
    table = pd.DataFrame({"preset": "one", "dose": [0.0, 0.5, 1.0], "severity": [0.1, 0.4, 0.3]})
    assert speech.falls(table)["one"] == pytest.approx(0.1)


def test_doses_are_checked():
    with pytest.raises(ParameterError, match=r"dose_response\.doses: must hold at least one"):
        speech.dose_response([LONG], [], rng())
    with pytest.raises(ParameterError, match=r"dose_response\.doses"):
        speech.dose_response([LONG], [1.5], rng())


def test_kinds_are_drawn_with_both_presets(table):
    summary = speech.shares(table, rng())
    flagged, severity = plots.speech_by_kind(summary, "title").axes
    kinds = list(table["kind"].unique())
    assert [label.get_text() for label in flagged.get_yticklabels()] == kinds
    means = table.groupby(["preset", "kind"], sort=False)["severity"].mean()
    drawn = [container.lines[0].get_xdata() for container in severity.containers]
    for values, preset in zip(drawn, speech.PRESETS, strict=True):
        assert values == pytest.approx(means[preset][kinds].to_numpy())


def test_curves_are_drawn_a_panel_a_preset(table):
    panels = plots.speech_roc(speech.curves(table)).axes
    assert [panel.get_title(loc="left") for panel in panels] == list(speech.PRESETS)
    assert all(len(panel.lines) == 1 + table["kind"].nunique() - 1 for panel in panels)


def test_the_dose_is_drawn_in_order():
    answers = speech.dose_response([LONG, SHORT], [1.0, 0.0, 0.5], rng())
    summary = speech.shares(answers, rng(), by=["preset", "dose"])
    flagged, _ = plots.dose_curves(summary).axes
    assert [line.get_xdata().tolist() for line in flagged.lines] == [[0, 0.5, 1]] * 2


def test_thresholds_are_drawn_with_the_chosen_one():
    moved = speech.swept(
        {"child": [SHORT], "adult": [LONG]}, ["adult"], {"max_fragments": [0.9, 0.5]}
    )
    (panel,) = plots.threshold_sweeps(moved, {"max_fragments": 0.8}).axes
    assert panel.lines[-1].get_xdata() == [0.8, 0.8]
    assert panel.lines[0].get_xdata().tolist() == [0.5, 0.9]


@pytest.mark.parametrize(
    "draw", [plots.speech_by_kind, plots.speech_roc, plots.dose_curves,
             lambda table: plots.threshold_sweeps(table, {})],
)  # fmt: skip
def test_a_table_without_its_columns_is_refused(draw):
    with pytest.raises(ParameterError, match="must have the column"):
        draw(pd.DataFrame({"other": [1]}))
