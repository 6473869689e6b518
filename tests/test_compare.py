from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlsdm import ParameterError
from mlsdm.analysis.compare import FewResamplesWarning, FewSeedsWarning, paired
from mlsdm.analysis.significance import effect_size, holm, paired_improvement, sign_flip
from mlsdm.analysis.statistics import interval, pick

COLUMNS = [
    "measure", "mean", "low", "high", "n", "dropped", "p", "p_holm", "effect", "improvement",
    "improvement_low", "improvement_high", "few",
]  # fmt: skip


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def made(seeds: int = 10, gain: float = 0.5) -> pd.DataFrame:
    """Two policies and a baseline; seeds differ far more than policies do."""
    source = np.random.default_rng(4)
    luck, noise = source.normal(0, 10, seeds), source.normal(0, 0.3, (3, seeds))
    rows = {"fixed": luck, "adaptive": luck + gain + noise[0], "random": luck + noise[1]}
    return pd.concat(
        pd.DataFrame({"policy": name, "seed": range(seeds), "score": score, "cost": -score})
        for name, score in rows.items()
    )


def compared(table: pd.DataFrame, **given: Any) -> pd.DataFrame:
    fields = {"seed": "seed", "by": "policy", "baseline": "fixed", "values": ["score"]}
    return paired(table, **{**fields, "rng": rng(), **given})


def test_each_row_is_made_of_the_differences_of_seeds() -> None:
    table = made()
    found = compared(table)
    assert list(found.columns) == ["policy", *COLUMNS]
    assert found["policy"].to_list() == ["adaptive", "random"]
    wide = table.pivot(index="seed", columns="policy", values="score")
    for row in found.to_dict("records"):
        differences = (wide[row["policy"]] - wide["fixed"]).to_numpy()
        assert tuple(row[name] for name in ("mean", "low", "high", "n")) == pytest.approx(
            interval(differences, rng())
        )
        assert row["p"] == sign_flip(differences, rng())
        assert row["effect"] == pytest.approx(effect_size(differences))
        better = paired_improvement(differences)
        assert (row["improvement"], row["improvement_low"]) == (better.mean, better.low)
        assert row["improvement_high"] == better.high
    assert found["p_holm"].to_list() == holm(found["p"]).tolist()
    assert not found["few"].any()


def test_pairing_shows_what_lies_far_below_the_spread_between_seeds() -> None:
    table = made()
    found = compared(table)
    assert found["p_holm"][0] < 0.02 < 0.05 < found["p_holm"][1]
    unpaired = [table.loc[table["policy"] == name, "score"] for name in ("adaptive", "fixed")]
    assert stats.ttest_ind(*unpaired).pvalue > 0.5
    assert pick(found, policy="adaptive").low > 0


def test_neither_the_order_of_rows_nor_the_index_matters() -> None:
    table = made()
    mixed = table.sample(frac=1.0, random_state=3)
    pd.testing.assert_frame_equal(
        compared(table), compared(mixed).sort_values("policy", ignore_index=True)
    )


def test_less_may_be_better() -> None:
    found = compared(made(), values=["score", "cost"], less_is_better=["cost"])
    score, cost = (found[found["measure"] == name].iloc[0] for name in ("score", "cost"))
    assert (score["mean"], score["effect"]) == pytest.approx((-cost["mean"], -cost["effect"]))
    assert score["improvement"] == cost["improvement"] > 0.8
    assert score["p"] == cost["p"]


def test_levels_are_compared_within_groups() -> None:
    table = pd.concat(made(gain=gain).assign(share=gain, kind="a") for gain in (0.0, 0.5))
    found = compared(table, within=["share", "kind"])
    assert found[["share", "kind", "policy"]].to_numpy().tolist() == [
        [share, "a", policy] for share in (0.0, 0.5) for policy in ("adaptive", "random")
    ]
    assert found["p_holm"].to_list() == holm(found["p"]).tolist()
    alone = compared(table[table["share"] == 0.5])
    assert found["mean"].to_list()[2:] == alone["mean"].to_list()
    assert found["p_holm"][2] == 2 * alone["p_holm"][0]


def test_seeds_without_a_partner_are_dropped_and_counted() -> None:
    table = made(12)
    table.loc[(table["policy"] == "adaptive") & (table["seed"] == 3), "score"] = np.nan
    table.loc[(table["policy"] == "adaptive") & (table["seed"] == 4), "score"] = np.inf
    table = table[~((table["policy"] == "fixed") & table["seed"].isin([0, 1]))]
    found = compared(table)
    assert found["n"].to_list() == [8, 10]
    assert found["dropped"].to_list() == [4, 2]


def test_a_measure_without_any_difference_has_no_row() -> None:
    found = compared(made().assign(score=np.nan), values=["score", "cost"])
    assert found["measure"].to_list() == ["cost", "cost"]
    assert compared(made().assign(score=np.nan)).empty


def test_levels_that_do_not_differ() -> None:
    table = made()
    row = compared(pd.concat([table[table["policy"] == "fixed"].assign(policy="same"), table]))
    same = row[row["policy"] == "same"].iloc[0]
    assert (same["mean"], same["low"], same["high"], same["p"], same["improvement"]) == (
        0.0, 0.0, 0.0, 1.0, 0.5,
    )  # fmt: skip
    assert math.isnan(same["effect"])


def test_one_seed_is_compared_without_an_interval() -> None:
    with pytest.warns(FewSeedsWarning):
        found = compared(made(1))
    assert found["p"].to_list() == [1.0, 1.0]
    assert found[["low", "high", "effect"]].isna().all(axis=None)


def test_too_few_seeds_are_said_and_flagged() -> None:
    table = made(7)
    table = table[(table["policy"] != "random") | (table["seed"] < 5)]
    said = r"^paired: 1 of 2 comparisons have fewer than 7 seeds \(the least has 5\): no difference"
    with pytest.warns(FewSeedsWarning, match=said) as caught:
        found = compared(table)
    assert caught[0].filename == __file__
    assert found["few"].to_list() == [False, True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not compared(table, level=0.8)["few"].any()


@pytest.mark.parametrize(("seeds", "level", "enough"), [(12, 0.95, 79), (40, 0.9, 39)])
def test_too_few_resamples_are_said_with_how_many_would_do(
    seeds: int, level: float, enough: int
) -> None:
    table = made(seeds, gain=100.0)
    with pytest.warns(FewResamplesWarning, match=rf"; {enough} would do$") as caught:
        found = compared(table, level=level, resamples=enough - 1)
    assert caught[0].filename == __file__
    assert found["p_holm"].min() > 1 - level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compared(table, level=level, resamples=enough)
    assert found["p_holm"].min() <= 1 - level + 1e-9


def test_where_all_have_too_few_seeds_resamples_are_not_to_blame() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FewSeedsWarning)
        assert compared(made(6), resamples=70)["few"].all()


def test_p_values_of_a_whole_table_are_uniform_under_the_null() -> None:
    source = np.random.default_rng(8)
    luck = source.exponential(size=(14, 400))  # skewed, and each seed's own
    names = [f"m{i}" for i in range(400)]
    sides = [pd.DataFrame(luck + source.exponential(size=luck.shape), columns=names) for _ in "ab"]
    table = pd.concat(
        side.assign(policy=name, seed=range(14))
        for side, name in zip(sides, ("fixed", "other"), strict=True)
    )
    with pytest.warns(FewSeedsWarning, match=r"400 of 400 .* fewer than 14 seeds"):
        compared(table[table["seed"] < 2], values=names, resamples=100)
    said = r"with 1999 resamples no difference in 400 comparisons .* at 0.95 .*; 15999 would do$"
    with pytest.warns(FewResamplesWarning, match=said):
        found = compared(table, values=names, resamples=1999)
    assert stats.kstest(found["p"], "uniform").pvalue > 0.001
    assert found["p_holm"].min() > 0.05
    low, high = stats.binom.interval(0.999, 400, 0.95)
    assert low <= ((found["low"] <= 0) & (found["high"] >= 0)).sum() <= high


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seed": "sead"}, r"^paired\.table: has no column 'sead'; did you mean 'seed'\?$"),
        ({"values": ["scor"]}, r"^paired\.table: has no column 'scor'; did you mean 'score'\?$"),
        ({"baseline": "fixd"}, r"^paired\.baseline: policy has no 'fixd'; did you mean 'fixed'\?$"),
        ({"less_is_better": ["cost"]}, r"^paired\.less_is_better: 'cost' is not compared"),
        ({"rng": 7}, r"rng: must be a numpy\.random\.Generator \(got 7\)"),
        ({"level": 95}, r"level: must lie in \(0, 1\) \(got 95\)"),
    ],
)
def test_arguments_that_cannot_be_are_refused(given: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        compared(made(), **given)


def test_a_seed_is_there_once() -> None:
    table = made()
    with pytest.raises(ParameterError, match=r"once \(got policy=adaptive, seed=2 again\)$"):
        compared(pd.concat([table, table[(table["policy"] == "adaptive") & (table["seed"] == 2)]]))
    with pytest.raises(ParameterError, match=r"must have a value in every row of policy, seed$"):
        compared(table.assign(seed=np.nan))


def test_sides_share_a_seed() -> None:
    table = made()
    table.loc[table["policy"] == "random", "seed"] += 100
    with pytest.raises(ParameterError, match=r"policy=random must share a seed with .*'fixed'"):
        compared(table)
    groups = pd.concat([made().assign(share=0.1), made().assign(share=0.2)])
    groups = groups[(groups["share"] == 0.1) | (groups["policy"] != "fixed")]
    with pytest.raises(ParameterError, match=r"^paired\.baseline: policy has no 'fixed' at share="):
        compared(groups, within=["share"])
