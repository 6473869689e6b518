"""No bad sweep file passes: each is refused in the one sentence that stands beside it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import make_notebook

from mlsdm.errors import DataError, MlsdmError, ParameterError
from mlsdm.plan import yaml12
from mlsdm.plan.content import SweepFile
from mlsdm.plan.plan import load_plan

ROOT = Path(__file__).parent.parent
CELL = """n: int = 5  # in [1, 10]
share: float = 0.5  # in [0, 1]
clock: Literal["event", "commit"] = "event"
names: list[str] = []
engine: dict = {}
data: str = ""
seed: int | None = None  # in [0, 99]
"""
NOTEBOOKS = {
    "02-moral": CELL,
    "03-unseeded": "n: int = 5",
    "04-fleet": "seeds: list[int] = [1]  # each in [0, 9]",
    "05-counted": "n_seeds: int = 5  # in [1, 50]\nseed: int = 1",
    "06-literal": "seed: Literal[1, 2] = 1",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project")
    for name, cell in NOTEBOOKS.items():
        make_notebook(project / "notebooks" / f"{name}.ipynb", cell)
    return project


def moral(*lines: str) -> str:
    return "\n".join(["notebook: 02-moral", *lines])


def designed(limits: str, method: str = "halton", points: object = 4, seed: object = 1) -> str:
    keys = f"method: {method}\n    points: {points}\n    seed: {seed}\n    ranges:\n      {limits}"
    return moral("sweep:", "  design:", f"    {keys}")


BYTES = "must be bytes as a whole number above 0, or text such as '500 MB' or '2 GiB'"
CLOCK = "must be Literal['event', 'commit']"
FORMS = "must be a grid (name: list of values), a list of points, or a design"
IN_CELL = "line 1 of the parameters cell"
KNOWN = "memory_limit, notebook, parameters, question, seeds, sweep, thresholds, timeouts, workers"
METRIC = (
    "the name: must be letters, digits, '_', '-', '.' and spaces, grouped by '/', each group "
    "beginning and ending with a letter, digit or '_', at most 200 bytes"
)
N = "02-moral.n: must be int, in [1, 10]"
PAIR = "must be [low, high] or {low: …, high: …, log: true}"
SECONDS = "must be a number of seconds, above 0 and at most a year"
SEEDS = "must be a count of at least 1, or a list of whole numbers"
VALUELESS = "has no value; give one, or leave the key out"

# What the JSON schema refuses too, without the notebook.
IN_FORM = [
    ("empty", "", ": must be names with values (got None)"),
    ("a list", "- a", ": must be names with values (got ['a'])"),
    ("a text", "sweep", ": must be names with values (got 'sweep')"),
    ("unknown key", "notebok: 02", ", line 1: notebok: unknown key; did you mean 'notebook'?"),
    ("far from known", moral("zzz: 1"), f", line 2: zzz: unknown key; known are {KNOWN}"),
    (
        "key of two lines",
        moral('"a\\nb": 1'),
        f", line 2: 'a\\nb': unknown key; known are {KNOWN}",
    ),
    ("no notebook", "question: Why?", ": notebook: is missing"),
    ("notebook is a number", "notebook: 2", ", line 1: notebook: must be text (got 2)"),
    ("notebook without a value", "notebook:", f", line 1: notebook: {VALUELESS}"),
    ("question is a list", moral("question: []"), ", line 2: question: must be text (got [])"),
    ("question is blank", moral("question: ' '"), ", line 2: question: must be text (got ' ')"),
    (
        "parameters is a number",
        moral("parameters: 3"),
        ", line 2: parameters: must be names with values (got 3)",
    ),
    (
        "parameters is a list",
        moral("parameters: [n]"),
        ", line 2: parameters: must be names with values (got ['n'])",
    ),
    ("parameters without a value", moral("parameters:"), f", line 2: parameters: {VALUELESS}"),
    ("sweep is a number", moral("sweep: 3"), f", line 2: sweep: {FORMS} (got 3)"),
    ("sweep without a value", moral("sweep:"), f", line 2: sweep: {VALUELESS}"),
    (
        "grid of nothing",
        moral("sweep: {}"),
        ", line 2: sweep: must be names with lists of values, at least one (got {})",
    ),
    (
        "axis is no list",
        moral("sweep:", "  n: 3"),
        ", line 3: sweep.n: must be a list of at least one value (got 3)",
    ),
    (
        "axis is empty",
        moral("sweep:", "  n: []"),
        ", line 3: sweep.n: must be a list of at least one value (got [])",
    ),
    (
        "axis repeats",
        moral("sweep:", "  n: [1, 2, 1.0]"),
        ", line 3: sweep.n: must hold different values (got [1, 2, 1.0])",
    ),
    (
        "axis called design is a number",
        moral("sweep: {design: 3}"),
        ", line 2: sweep.design: must be a list of at least one value (got 3)",
    ),
    (
        "no points",
        moral("sweep: []"),
        ", line 2: sweep: must be a list of at least one point (got [])",
    ),
    (
        "point is a number",
        moral("sweep:", "- n: 1", "- 2"),
        ", line 4: sweep: must be names with values, at least one (got 2)",
    ),
    (
        "point is empty",
        moral("sweep:", "- {}"),
        ", line 3: sweep: must be names with values, at least one (got {})",
    ),
    (
        "points are the same",
        moral("sweep:", "- {n: 1, share: 0}", "- {share: 0.0, n: 1}"),
        ", line 4: sweep: the points must differ (got {'n': 1, 'share': 0.0} twice)",
    ),
    (
        "design beside an axis",
        moral("sweep:", "  design: {method: halton, points: 2, seed: 1, ranges: {n: [1, 2]}}")
        + "\n  n: [1]",
        ", line 4: sweep.n: unknown key; known are design",
    ),
    (
        "design without all keys",
        moral("sweep:", "  design:", "    points: 2"),
        ", line 3: sweep.design.method: is missing",
    ),
    (
        "design with an unknown key",
        moral("sweep:", "  design:", "    metod: halton"),
        ", line 4: sweep.design.metod: unknown key; did you mean 'method'?",
    ),
    (
        "unknown design",
        designed("n: [1, 2]", method="sobel"),
        ", line 4: sweep.design.method: must be 'sobol', 'halton' or 'latin-hypercube' "
        "(got 'sobel')",
    ),
    (
        "design of no points",
        designed("n: [1, 2]", points=0),
        ", line 5: sweep.design.points: must be a whole number from 1 to 10000 (got 0)",
    ),
    (
        "design of too many points",
        designed("n: [1, 2]", points=10_001),
        ", line 5: sweep.design.points: must be a whole number from 1 to 10000 (got 10001)",
    ),
    (
        "seed of a design is negative",
        designed("n: [1, 2]", seed=-1),
        ", line 6: sweep.design.seed: must be a whole number from 0 to 2**32 - 1 (got -1)",
    ),
    (
        "seed of a design is true",
        designed("n: [1, 2]", seed="true"),
        ", line 6: sweep.design.seed: must be a whole number from 0 to 2**32 - 1 (got True)",
    ),
    (
        "design without ranges",
        designed("{}"),
        ", line 7: sweep.design.ranges: must be names with ranges (got {})",
    ),
    (
        "range is a number",
        designed("n: 3"),
        f", line 8: sweep.design.ranges.n: {PAIR} (got 3)",
    ),
    (
        "range of three",
        designed("n: [1, 2, 3]"),
        f", line 8: sweep.design.ranges.n: {PAIR} (got [1, 2, 3])",
    ),
    (
        "limit is text",
        designed("n: [1, x]"),
        ", line 8: sweep.design.ranges.n.high: must be a finite number (got 'x')",
    ),
    (
        "range with an unknown key",
        designed("n: {low: 1, hihg: 2}"),
        ", line 8: sweep.design.ranges.n.hihg: unknown key; did you mean 'high'?",
    ),
    (
        "range without an end",
        designed("n: {low: 1}"),
        ", line 8: sweep.design.ranges.n.high: is missing",
    ),
    (
        "log is a number",
        designed("n: {low: 1, high: 2, log: 1}"),
        ", line 8: sweep.design.ranges.n.log: must be true or false (got 1)",
    ),
    ("count of 0", moral("seeds: 0"), f", line 2: seeds: {SEEDS} (got 0)"),
    ("count is true", moral("seeds: true"), f", line 2: seeds: {SEEDS} (got True)"),
    ("count is text", moral("seeds: three"), f", line 2: seeds: {SEEDS} (got 'three')"),
    ("no seeds", moral("seeds: []"), f", line 2: seeds: {SEEDS} (got [])"),
    ("seed is a fraction", moral("seeds: [1, 2.5]"), f", line 2: seeds: {SEEDS} (got [1, 2.5])"),
    ("seeds without a value", moral("seeds:"), f", line 2: seeds: {VALUELESS}"),
    (
        "seeds repeat",
        moral("seeds: [1, 1]"),
        ", line 2: seeds: must hold different values (got [1, 1])",
    ),
    (
        "timeouts is a number",
        moral("timeouts: 3"),
        ", line 2: timeouts: must be names with values (got 3)",
    ),
    (
        "no timeouts",
        moral("timeouts: {}"),
        ", line 2: timeouts: must give cell, notebook or both (got {})",
    ),
    (
        "unknown timeout",
        moral("timeouts:", "  cell: 5", "  notebok: 5"),
        ", line 4: timeouts.notebok: unknown key; did you mean 'notebook'?",
    ),
    (
        "timeout of 0",
        moral("timeouts:", "  cell: 0"),
        f", line 3: timeouts.cell: {SECONDS} (got 0)",
    ),
    (
        "timeout is text",
        moral("timeouts: {cell: 5 s}"),
        f", line 2: timeouts.cell: {SECONDS} (got '5 s')",
    ),
    (
        "timeout without end",
        moral("timeouts: {notebook: .inf}"),
        f", line 2: timeouts.notebook: {SECONDS} (got inf)",
    ),
    ("no memory", moral("memory_limit: 0"), f", line 2: memory_limit: {BYTES} (got 0)"),
    (
        "memory is a fraction",
        moral("memory_limit: 1.5"),
        f", line 2: memory_limit: {BYTES} (got 1.5)",
    ),
    (
        "unit of memory",
        moral("memory_limit: 500 Mb"),
        f", line 2: memory_limit: {BYTES} (got '500 Mb')",
    ),
    (
        "no workers",
        moral("workers: 0"),
        ", line 2: workers: must be a whole number of at least 1 (got 0)",
    ),
    (
        "workers is text",
        moral("workers: many"),
        ", line 2: workers: must be a whole number of at least 1 (got 'many')",
    ),
    (
        "thresholds is a list",
        moral("thresholds: [a]"),
        ", line 2: thresholds: must be metrics with limits (got ['a'])",
    ),
    (
        "threshold is a number",
        moral("thresholds: {a: 1}"),
        ", line 2: thresholds.a: must be names with values (got 1)",
    ),
    (
        "threshold of nothing",
        moral("thresholds: {a: {}}"),
        ", line 2: thresholds.a: must give min, max or both (got {})",
    ),
    (
        "unknown limit",
        moral("thresholds:", "  a:", "    mim: 1"),
        ", line 4: thresholds.a.mim: unknown key; did you mean 'min'?",
    ),
    (
        "limit of a threshold is text",
        moral("thresholds: {a: {min: x}}"),
        ", line 2: thresholds.a.min: must be a finite number (got 'x')",
    ),
]

# What takes the notebook, or a look at two values at once.
IN_MEANING = [
    (
        "no such notebook",
        "notebook: 02-morel",
        ", line 1: notebook: there is no '02-morel'; did you mean '02-moral'?",
    ),
    (
        "name of a notebook without end",
        f"notebook: {'x' * 5000}.ipynb",
        ", line 1: notebook: File name too long",
    ),
    (
        "unknown parameter",
        moral("parameters:", "  sed: 1"),
        ", line 3: parameters.sed: 02-moral.sed: unknown parameter; did you mean 'seed'?",
    ),
    (
        "value of a parameter",
        moral("parameters:", "  share: 0.5", "  n: 11"),
        f", line 4: parameters.n: {N} (got 11; {IN_CELL})",
    ),
    (
        "number as text",
        moral("parameters: {n: '3'}"),
        f", line 2: parameters.n: {N} (got '3'; {IN_CELL})",
    ),
    (
        "choice",
        moral("parameters: {clock: evnt}"),
        f", line 2: parameters.clock: 02-moral.clock: {CLOCK} (got 'evnt'; line 3 of the "
        "parameters cell); did you mean 'event'?",
    ),
    (
        "not a number",
        moral("sweep: {share: [.nan]}"),
        ", line 2: sweep.share: 02-moral.share: must be float, in [0, 1] (got nan; line 2 of the "
        "parameters cell)",
    ),
    (
        "data is no file",
        moral("parameters: {data: own.csv}"),
        ", line 2: parameters.data: 02-moral.data: there is no file PROJECT/own.csv "
        "(got 'own.csv')",
    ),
    (
        "name of data without end",
        moral(f"parameters: {{data: {'x' * 5000}}}"),
        f", line 2: parameters.data: 02-moral.data: there is no file PROJECT/{'x' * 5000} "
        f"(got {'x' * 5000!r})",
    ),
    (
        "value of an axis",
        moral("sweep:", "  n:", "  - 1", "  - 12"),
        f", line 5: sweep.n: {N} (got 12; {IN_CELL})",
    ),
    (
        "value of a point",
        moral("sweep:", "- {n: 1}", "- n: 12"),
        f", line 4: sweep.n: {N} (got 12; {IN_CELL})",
    ),
    (
        "points name others",
        moral("sweep:", "- {n: 1}", "- {share: 1}"),
        ", line 4: sweep: each point must name n (got share)",
    ),
    (
        "unknown name in points",
        moral("sweep:", "- {m: 1}"),
        ", line 3: sweep.m: 02-moral.m: unknown parameter; known are clock, data, engine, n, "
        "names, seed, share",
    ),
    (
        "fixed and swept",
        moral("parameters: {n: 1}", "sweep: {n: [1]}"),
        ", line 3: sweep.n: is fixed under parameters already",
    ),
    (
        "limit without end",
        designed("share: [0, .inf]"),
        ", line 8: sweep.design.ranges.share.high: must be a finite number (got inf)",
    ),
    (
        "limits the wrong way",
        designed("n: [2, 1]"),
        ", line 8: sweep.design.ranges.n: low must be below high (got 2 and 1)",
    ),
    (
        "limits too far apart",
        designed("share: [-1.7e308, 1.7e308]"),
        ", line 8: sweep.design.ranges.share: low and high are too far apart "
        "(got -1.7e+308 and 1.7e+308)",
    ),
    (
        "logarithm of 0",
        designed("share: {low: 0, high: 1, log: true}"),
        ", line 8: sweep.design.ranges.share: low must be above 0 on a logarithmic scale "
        "(got 0 and 1)",
    ),
    (
        "sobol out of balance",
        designed("share: [0, 1]", method="sobol", points=20),
        ", line 5: sweep.design.points: must be a power of two for sobol, such as 16 or 32 "
        "(got 20)",
    ),
    (
        "range beyond the notebook's",
        designed("n: [1, 11]"),
        f", line 8: sweep.design.ranges.n: {N} (got 11; {IN_CELL})",
    ),
    (
        "range of an int with a fraction",
        designed("n: [1, 2.5]"),
        ", line 8: sweep.design.ranges.n: must have whole limits, as it is int (got 1 and 2.5)",
    ),
    (
        "range of a text",
        designed("clock: [1, 2]"),
        ", line 8: sweep.design.ranges.clock: only int and float can be drawn "
        "(got Literal['event', 'commit'])",
    ),
    (
        "range of what is unknown",
        designed("engine.moral.stp: [0, 1]"),
        ", line 8: sweep.design.ranges.engine.moral.stp: 02-moral.engine: MoralParams.stp: "
        "unknown parameter; did you mean 'step'?",
    ),
    (
        "more points than values",
        designed("n: [1, 3]"),
        ", line 5: sweep.design.points: are more than the ranges hold different points for (got 4)",
    ),
    (
        "dotted name that is unknown",
        moral("sweep:", "  engine.moral.stp: [0.1]"),
        ", line 3: sweep.engine.moral.stp: 02-moral.engine: MoralParams.stp: unknown parameter; "
        "did you mean 'step'?",
    ),
    (
        "value of a dotted name",
        moral("sweep:", "  engine.moral.step:", "  - 0.1", "  - 2"),
        ", line 5: sweep.engine.moral.step: 02-moral.engine: MoralParams.step: should be less "
        "than or equal to 1 (got 2)",
    ),
    (
        "one of two dotted names",
        moral("parameters:", "  engine.moral.step: 2", "  engine.dim: 8"),
        ", line 3: parameters.engine.moral.step: 02-moral.engine: MoralParams.step: should be "
        "less than or equal to 1 (got 2)",
    ),
    (
        "dotted name of an int",
        moral("sweep: {n.a: [1]}"),
        ", line 2: sweep.n.a: 'n' is int, which holds no names",
    ),
    (
        "dotted name of what is unknown",
        moral("sweep: {engin.moral.step: [1]}"),
        ", line 2: sweep.engin.moral.step: 02-moral.engin: unknown parameter; "
        "did you mean 'engine'?",
    ),
    (
        "two dots",
        moral("sweep: {engine..step: [1]}"),
        ", line 2: sweep.engine..step: must be names with single dots between them",
    ),
    (
        "whole and part swept",
        moral("sweep:", "  engine.moral.step: [0.1]", "  engine: [{dim: 4}]"),
        ", line 3: sweep.engine.moral.step: sets a part of 'engine', which is given too",
    ),
    (
        "whole and part fixed",
        moral("parameters:", "  engine.moral: {}", "  engine.moral.step: 0.1"),
        ", line 4: parameters.engine.moral.step: sets a part of 'engine.moral', which is given too",
    ),
    (
        "whole swept and part fixed",
        moral("parameters: {engine.dim: 4}", "sweep:", "  engine: [{dim: 8}]"),
        ", line 4: sweep.engine: would replace 'engine.dim', which is fixed under parameters",
    ),
    (
        "dotted name inside a number",
        moral("parameters: {engine: {dim: 4}}", "sweep:", "  engine.dim.x: [1]"),
        ", line 4: sweep.engine.dim.x: 'x' cannot be set inside 4",
    ),
    (
        "seed out of range",
        moral("seeds:", "- 1", "- 100"),
        ", line 4: seeds: 02-moral.seed: must be int | None, in [0, 99] (got 100; line 7 of the "
        "parameters cell)",
    ),
    (
        "more seeds than there are",
        moral("seeds: 101"),
        ", line 2: seeds: 'seed' admits only 100 (got 101)",
    ),
    (
        "more seeds of a fleet than there are",
        "notebook: 04-fleet\nseeds: 11",
        ", line 2: seeds: 'seeds' admits only 10 (got 11)",
    ),
    (
        "no seed at all",
        "notebook: 06-literal\nseeds: 2",
        ", line 2: seeds: 'seed' admits only 0 (got 2)",
    ),
    (
        "seeds without end",
        "notebook: 05-counted\nseeds: 1000000000",
        f", line 2: seeds: 05-counted.n_seeds: must be int, in [1, 50] (got 1000000000; {IN_CELL})",
    ),
    (
        "seed of a fleet out of range",
        "notebook: 04-fleet\nseeds: [3, 10]",
        ", line 2: seeds: 04-fleet.seeds: must be list[int], each in [0, 9] (got [3, 10]; "
        f"{IN_CELL})",
    ),
    (
        "notebook without a seed",
        "notebook: 03-unseeded\nseeds: 2",
        ", line 2: seeds: 03-unseeded.seed: unknown parameter; known are n",
    ),
    (
        "seeds beside a seed",
        moral("seeds: 2", "sweep: {seed: [1]}"),
        ", line 2: seeds: cannot be given beside a parameter 'seed'",
    ),
    (
        "seeds beside their number",
        "notebook: 05-counted\nparameters: {n_seeds: 3}\nseeds: 2",
        ", line 3: seeds: cannot be given beside a parameter 'n_seeds'",
    ),
    (
        "seeds of a fleet beside seeds",
        "notebook: 04-fleet\nparameters: {seeds: [3]}\nseeds: [2]",
        ", line 3: seeds: cannot be given beside a parameter 'seeds'",
    ),
    (
        "too many runs",
        moral(f"sweep: {{share: [{', '.join(f'0.{i:03}' for i in range(101))}]}}", "seeds: 100"),
        ", line 2: sweep: must make at most 10000 runs (got 10100)",
    ),
    (
        "threshold without end",
        moral("thresholds: {a: {min: .inf}}"),
        ", line 2: thresholds.a.min: must be a finite number (got inf)",
    ),
    (
        "thresholds the wrong way",
        moral("thresholds:", "  a: {min: 2, max: 1}"),
        ", line 3: thresholds.a: min must not be above max (got 2 and 1)",
    ),
    (
        "name of a metric",
        moral("thresholds:", "  a//b: {min: 2}"),
        f", line 3: thresholds.a//b: {METRIC} (got 'a//b')",
    ),
]

ANCHORS = "anchors (&) and aliases (*) are not allowed"
LAUGHS = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))

# What is no YAML, or not plain.
UNREADABLE = [
    ("key twice", moral("notebook: 03"), ", line 2: 'notebook' is given twice"),
    ("key twice below", moral("sweep:", "  n: [1]", "  n: [2]"), ", line 4: 'n' is given twice"),
    (
        "key is a number",
        moral("parameters:", "  1: 2"),
        ", line 3: a key must be text, in quotes if need be (got 1)",
    ),
    (
        "key is a list",
        moral("? [a]", ": 1"),
        ", line 2: a key must be text, in quotes if need be (got a sequence)",
    ),
    (
        "key is nothing",
        moral("parameters: {~: 2}"),
        ", line 2: a key must be text, in quotes if need be (got ~)",
    ),
    (
        "brackets",
        moral("seeds: [1"),
        ", line 2: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'",
    ),
    (
        "tab",
        moral("sweep:", "\tn: [1]"),
        ", line 3: while scanning for the next token, found character '\\t' that cannot start any "
        "token",
    ),
    ("colons", "notebook: a: b", ", line 1: mapping values are not allowed here"),
    (
        "two documents",
        moral("---", "seeds: 2"),
        ", line 2: expected a single document in the stream, but found another document",
    ),
    (
        "python object",
        moral("question: !!python/object/apply:os.system [ls]"),
        ", line 2: tags are not allowed (got 'tag:yaml.org,2002:python/object/apply:os.system')",
    ),
    (
        "tag",
        moral("seeds: !!str 1"),
        ", line 2: tags are not allowed (got 'tag:yaml.org,2002:str')",
    ),
    ("anchor", moral("seeds: &s [1]"), f", line 2: {ANCHORS}"),
    ("alias", moral("seeds: *s"), f", line 2: {ANCHORS}"),
    ("merge", moral("parameters: {<<: *all}"), f", line 2: {ANCHORS}"),
    ("billion laughs", f"a0: &a0 [lol]\n{LAUGHS}", f", line 1: {ANCHORS}"),
    (
        "nested without end",
        moral(f"seeds: {'[' * 5000}"),
        ", line 2: values may be nested in 50 levels at most",
    ),
    (
        "digits without end",
        moral(f"seeds: {'9' * 5000}"),
        ", line 2: the number has too many digits (got '999999999999...9999999999999')",
    ),
    ("null character", "notebook: 02\nseeds: \0", ", line 2: the character '\\x00' is not allowed"),
    (
        "half a character",
        moral('question: "\\ud800"'),
        ", line 2: surrogates are no text (got '\\ud800')",
    ),
]


def params(cases: list[tuple[str, str, str]]) -> list[object]:
    return [pytest.param(text, sentence, id=name) for name, text, sentence in cases]


def refused(project: Path, text: str) -> MlsdmError:
    path = project / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MlsdmError) as caught:
        load_plan(path, project)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("text", "sentence"), params(IN_FORM + IN_MEANING))
def test_a_malformed_sweep_is_refused_in_one_sentence(
    project: Path, text: str, sentence: str
) -> None:
    error = refused(project, text)
    assert str(error) == f"plan.yaml{sentence.replace('PROJECT', str(project))}"
    assert type(error) is ParameterError


@pytest.mark.parametrize(("text", "sentence"), params(UNREADABLE))
def test_what_is_not_plain_yaml_is_refused_in_one_sentence(
    project: Path, text: str, sentence: str
) -> None:
    before = time.perf_counter()
    error = refused(project, text)
    assert str(error) == f"plan.yaml{sentence}"
    assert type(error) is DataError
    assert time.perf_counter() - before < 2


@pytest.mark.parametrize(("text", "sentence"), params(IN_FORM))
def test_an_editor_refuses_what_is_malformed_without_the_notebook(text: str, sentence: str) -> None:
    schema = json.loads((ROOT / "experiments" / "sweep.schema.json").read_text())
    found = list(jsonschema.Draft202012Validator(schema).iter_errors(yaml12.parse(text)))
    assert found, sentence


WORDS = [
    "n",
    "share",
    "engine",
    "engine.moral.step",
    "design",
    "method",
    "points",
    "seed",
    "ranges",
]
WORDS += ["low", "high", "cell", "min", "a\nb", ""]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(content=st.fixed_dictionaries({}, optional=dict.fromkeys(SweepFile.model_fields, anything)))
def test_whatever_a_file_holds_it_is_a_plan_or_refused_in_one_sentence(
    project: Path, content: dict[str, object]
) -> None:
    path = project / "any.yaml"
    path.write_text(json.dumps({"notebook": "02-moral", **content}).replace("Infinity", ".inf"))
    try:
        assert load_plan(path, project).runs
    except MlsdmError as error:
        assert re.match(r"any\.yaml, line 1: [^\n]+$", str(error))  # noqa: PT017


def test_every_case_has_a_name_of_its_own() -> None:
    cases = [name for name, _, _ in IN_FORM + IN_MEANING + UNREADABLE]
    assert len(set(cases)) == len(cases) >= 45


def test_files_that_cannot_be_read_are_refused(project: Path) -> None:
    path = project / "latin.yaml"
    path.write_bytes("question: é".encode("latin-1"))
    with pytest.raises(DataError, match=r"^latin\.yaml: cannot be read: it is not UTF-8 text$"):
        load_plan(path, project)
    with pytest.raises(DataError, match=r"absent\.yaml: cannot be read: No such file"):
        load_plan(project / "absent.yaml", project)
    with pytest.raises(DataError, match=r"project.*: cannot be read: Is a directory$"):
        load_plan(project, project)
