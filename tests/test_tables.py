from __future__ import annotations

import math
import re
from html import unescape
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mlsdm.analysis.compare import FewSeedsWarning, paired
from mlsdm.analysis.statistics import summarise
from mlsdm.analysis.tables import (
    IN_LATEX,
    NOT_IN_XML,
    cell,
    latex,
    latex_text,
    markdown,
    markdown_text,
)

anything = st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.floats(-1e12, 1e12)

SUMMARY = pd.DataFrame(
    {
        "policy": ["adaptive", "fixed_0.5"],
        "measure": "toxic passed",
        "mean": [0.0843249, -0.2],
        "low": [0.0825, -0.2],
        "high": [0.0862, -0.2],
        "n": [200, 3],
    }
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def shown(text: str) -> list[list[str]]:
    """The cells of a Markdown table as a reader sees them."""
    html = MarkdownIt("commonmark").enable("table").render(text)
    rows = re.findall("<tr>(.*?)</tr>", html, flags=re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows]
    return [[unescape(cell) for cell in row] for row in cells]


def test_a_summary_as_markdown() -> None:
    assert markdown(SUMMARY) == (
        "| policy | measure | mean [low, high] | n |\n"
        "| --- | --- | ---: | ---: |\n"
        "| adaptive | toxic passed | 0.0843 [0.0825, 0.0862] | 200 |\n"
        "| fixed_0.5 | toxic passed | -0.2 [-0.2, -0.2]† | 3 |\n"
        "\n"
        "† too few seeds to say anything\n"
    )


def test_a_summary_as_latex() -> None:
    assert latex(SUMMARY) == (
        "\\begin{tabular}{llrr}\n"
        "\\toprule\n"
        "policy & measure & mean [low, high] & n \\\\\n"
        "\\midrule\n"
        "adaptive & toxic passed & 0.0843 [0.0825, 0.0862] & 200 \\\\\n"
        "fixed\\_0.5 & toxic passed & $-$0.2 [$-$0.2, $-$0.2]\\textdagger{} & 3 \\\\\n"
        "\\bottomrule\n"
        "\\multicolumn{4}{l}{\\footnotesize \\textdagger{} too few seeds to say anything} \\\\\n"
        "\\end{tabular}\n"
    )


def test_with_a_caption_the_latex_table_floats() -> None:
    lines = latex(SUMMARY[:1], caption="Toxic passed & 95 % intervals", label="tab:x").splitlines()
    assert lines[:4] == [
        r"\begin{table}",
        r"\centering",
        r"\caption{Toxic passed \& 95 \% intervals}",
        r"\label{tab:x}",
    ]
    assert lines[-1] == r"\end{table}"
    assert "label" not in latex(SUMMARY[:1], caption="x")


def test_columns_may_be_called_otherwise() -> None:
    found = shown(markdown(SUMMARY, {"mean": "share passed", "n": "seeds"}))
    assert found[0] == ["policy", "measure", "share passed [low, high]", "seeds"]


@pytest.mark.parametrize("statistic", ["median", "iqm"])
def test_other_statistics_share_a_cell_with_their_bounds(statistic: Any) -> None:
    table = pd.DataFrame({"a": "x", "m": np.arange(20.0)})
    found = shown(markdown(summarise(table, ["a"], ["m"], rng(), statistic)))
    name = {"iqm": "interquartile mean"}.get(statistic, statistic)
    assert found[0] == ["a", "measure", f"{name} [low, high]", "n"]
    assert re.fullmatch(r"9\.5 \[\d\.\d, 1\d\.\d\]", found[1][2])


def test_a_comparison_as_a_table() -> None:
    seeds = np.arange(8)
    table = pd.concat(
        pd.DataFrame({"policy": name, "seed": seeds, "score": gain + seeds * spread})
        for name, gain, spread in (("fixed", 0.0, 1.0), ("a|b", 5.0, 1.1), ("c", 0.0, 0.9))
    )
    given: Any = {"seed": "seed", "by": "policy", "baseline": "fixed", "values": ["score"]}
    found = shown(markdown(paired(table, rng=rng(), **given)))
    assert found == [
        ["policy", "measure", "mean [low, high]", "n", "dropped", "p", "p (Holm)", "effect",
         "improvement [low, high]"],
        ["a|b", "score", "5.35 [5.15, 5.55]", "8", "0", "0.008", "0.016", "21.84",
         "1.00 [0.68, 1.00]"],
        ["c", "score", "-0.35 [-0.55, -0.15]", "8", "0", "0.016", "0.016", "-1.429",
         "0.06 [0.01, 0.40]"],
    ]  # fmt: skip
    with pytest.warns(FewSeedsWarning):
        few = markdown(paired(table[table["seed"] < 6], rng=rng(), **given))
    assert few.count("†") == 3
    assert [row[2][-1] for row in shown(few)[1:]] == ["†", "†"]


def test_bounds_with_a_name_of_their_own() -> None:
    frame = pd.DataFrame(
        {"mean": [0.5], "low": [0.4], "high": [0.6], "control_mean": [2.0], "control_low": [1.0],
         "control_high": [3.0], "lowest": [7]}
    )  # fmt: skip
    assert shown(markdown(frame)) == [
        ["mean [low, high]", "control mean [low, high]", "lowest"],
        ["0.50 [0.40, 0.60]", "2.0 [1.0, 3.0]", "7"],
    ]


def test_plain_columns_are_written_as_they_are() -> None:
    frame = pd.DataFrame(
        {
            "share": [0.1, np.nan],
            "p": [0.5, -1.0],
            "yes": [True, False],
            "what": ["5 < 6", None],
            3: [[1, 2], 1234567],
        }
    )
    assert shown(markdown(frame)) == [
        ["share", "p", "yes", "what", "3"],
        ["0.1", "0.5", "True", "5 < 6", "[1, 2]"],
        ["n/a", "-1", "False", "n/a", "1234567"],
    ]
    assert markdown(frame).splitlines()[1] == "| ---: | ---: | --- | --- | --- |"


def test_p_values_below_a_thousandth_are_only_said_to_be() -> None:
    frame = pd.DataFrame({"p": [0.0002, 0.001, np.nan], "p_holm": [0.00099999, 1.0, 0.0499]})
    assert shown(markdown(frame))[1:] == [
        ["<0.001", "<0.001"],
        ["0.001", "1.000"],
        ["n/a", "0.050"],
    ]


def test_a_frame_without_rows_is_a_table_without_rows() -> None:
    assert len(markdown(SUMMARY[:0]).splitlines()) == 2
    assert latex(SUMMARY[:0]).splitlines()[-3:] == [r"\midrule", r"\bottomrule", r"\end{tabular}"]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.4355, 0.4350, 0.4360), "0.43550 [0.43500, 0.43600]"),
        ((123456.0, 120000.0, 130000.0), "123456 [120000, 130000]"),
        ((1.234e-12, 1.1e-12, 1.3e-12), "1.23e-12 [1.10e-12, 1.30e-12]"),
        ((1e300, 9e299, 2e300), "1.00e+300 [9.00e+299, 2.00e+300]"),
        ((-0.001, -0.2, 0.3), "0.00 [-0.20, 0.30]"),
        ((0.0, 0.0, 0.0), "0 [0, 0]"),
        ((0.25, math.nan, math.nan), "0.25"),
        ((math.nan, math.nan, math.nan), "n/a"),
    ],
)
def test_an_interval_has_the_digits_that_it_leaves(numbers: Any, text: str) -> None:
    assert cell(*numbers) == text


@given(st.tuples(numbers, numbers, numbers).map(sorted))
def test_a_cell_is_near_its_numbers(ordered: list[float]) -> None:
    low, centre, high = ordered
    told = [float(text) for text in re.findall(r"[-+.\de]+", cell(centre, low, high))]
    near = 0.03 * (high - low) if high > low else 1e-3 * abs(low)
    assert told == pytest.approx([centre, low, high], rel=1e-9, abs=near)


@given(st.lists(anything, min_size=1, max_size=3))
def test_any_text_shows_in_markdown_as_it_is(texts: list[str]) -> None:
    frame = pd.DataFrame({"a": texts, "b": "x"})
    found = shown(markdown(frame))
    kept = [" ".join(NOT_IN_XML.sub("", text).split()) for text in texts]
    assert found == [["a", "b"], *([text, "x"] for text in kept)]


@given(anything)
def test_any_text_keeps_its_place_in_latex(text: str) -> None:
    lines = latex(pd.DataFrame({"a": [text], "b": ["x"]})).splitlines()
    assert len(lines) == 7
    row = lines[4]
    assert row.endswith(r" & x \\")
    assert len(re.findall(r"(?<!\\)&", row)) == 1
    bare = re.sub(r"\\[\\{}%#$&_]", "", row)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"[%#_^~<>|`]", bare)
    assert row.count("$") % 2 == 0 or r"\$" in row


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 % of {a_b}", r"50 \% of \{a\_b\}"),
        ("\\alpha ~ x^2", r"\textbackslash{}alpha \textasciitilde{} x\textasciicircum{}2"),
        ("≥ 200 seeds", r"$\geq$ 200 seeds"),
        ("[0, 1]", "{[}0, 1]"),
        ("* note", "{*} note"),
        ("-0.5 to -.2, 1e-12, well-known", "$-$0.5 to $-$.2, 1e-12, well-known"),
        ("--seed 3", "-{}-seed 3"),
        ("two\nlines", "two lines"),
    ],
)
def test_latex_of_text(text: str, expected: str) -> None:
    assert latex_text(text) == expected


def test_each_character_of_latex_is_written_by_a_command_that_ends() -> None:
    for character, command in IN_LATEX.items():
        assert latex_text(f"a{character}b") == f"a{command}b"
        assert command[-1] in "{}$#%&_"


def test_names_stay_readable_in_markdown() -> None:
    plain = "moral/toxic_passed.rate-1 (a=0.5) 0.2 [0.1, 0.3] >= 1"
    assert markdown_text(plain) == plain
    assert markdown_text("__init__ <b> [a](b)") == r"\_\_init\_\_ \<b> [a\](b)"
