from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from making import make_notebook

from mlsdm.errors import DataError, MlsdmError, ParameterError
from mlsdm.sweep import yaml12
from mlsdm.sweep.plan import Plan, load_plan

CELL = """n: int = 5  # in [1, 10]
share: float = 0.5  # in [0, 1]
clock: str = "event"
names: list[str] = []
seed: int | None = None  # >= 0
"""

GOOD = """\
question: Does it hold?
notebook: 02-moral
parameters: {clock: on}
sweep:
  n: [1, 2]
  share: [1e-1, 1]
seeds: 3
thresholds:
  moral/rejected: {min: 0.9}
  drift: {min: 0, max: 1e-2}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project")
    make_notebook(project / "notebooks" / "02-moral.ipynb", CELL)
    make_notebook(project / "notebooks" / "03-unseeded.ipynb", "n: int = 5")
    make_notebook(project / "notebooks" / "06-literal.ipynb", "seed: Literal[1, 2] = 1")
    make_notebook(project / "notebooks" / "04-broken.ipynb", "n = 5")
    return project


def load(project: Path, text: str, name: str = "plan.yaml") -> Plan:
    path = project / name
    path.write_text(text, encoding="utf-8")
    return load_plan(path, project)


def test_a_plan_is_the_full_grid_times_the_seeds(project: Path) -> None:
    plan = load(project, GOOD)
    assert (plan.name, plan.notebook.stem) == ("plan", "02-moral")
    assert len(plan.runs) == 2 * 2 * 3
    assert plan.runs[0] == {"clock": "on", "n": 1, "share": 0.1, "seed": 0}
    assert plan.runs[1]["seed"] == 2**32 // 3
    assert plan.runs[-1] == {"clock": "on", "n": 2, "share": 1, "seed": 2**33 // 3}
    assert list(map(str, plan.thresholds)) == [">= 0.9", "in [0, 0.01]"]


@given(
    low=st.integers(0, 2**32 - 1),
    width=st.integers(0, 2**32),
    count=st.integers(1, 50),
)
def test_a_count_gives_seeds_in_the_range_as_far_apart_as_can_be(
    tmp_path_factory: pytest.TempPathFactory, low: int, width: int, count: int
) -> None:
    project = tmp_path_factory.getbasetemp()
    cell = f"seed: int = {low}  # in [{low}, {low + width}]"
    make_notebook(project / "notebooks" / "05-seeded.ipynb", cell)
    admitted = min(low + width, 2**32 - 1) - low + 1
    text = f"notebook: 05-seeded\nseeds: {count}"
    if count > admitted:
        with pytest.raises(ParameterError, match=rf"'seed' admits only {admitted} \(got {count}\)"):
            load(project, text)
        return
    seeds = load(project, text).seeds
    assert seeds == load(project, text).seeds
    assert len(seeds) == count
    assert low <= min(seeds) <= max(seeds) <= low + width
    assert all(b - a >= admitted // count for a, b in itertools.pairwise(seeds))


def test_a_plan_without_a_grid_is_one_run(project: Path) -> None:
    assert load(project, "notebook: 03-unseeded").runs == [{}]
    assert load(project, "notebook: notebooks/03-unseeded.ipynb").fixed == {}
    assert load(project, "notebook: 02-moral\nseeds: [7]").runs == [{"seed": 7}]


def test_the_folder_one_stands_in_does_not_matter(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = load(project, "notebook: notebooks/02-moral.ipynb")
    assert plan.notebook == (project / "notebooks" / "02-moral.ipynb").resolve()


BAD = [
    ("", "plan.yaml: must hold keys with values (got None)"),
    ("- a", "plan.yaml: must hold keys with values (got ['a'])"),
    ("notebok: 02", "plan.yaml, line 1: notebok: unknown key; did you mean 'notebook'?"),
    ("sweep: {n: [1]}", "plan.yaml: notebook: must be text (got None)"),
    ("notebook: 2", "plan.yaml, line 1: notebook: must be text (got 2)"),
    ("notebook: 02-morel", "notebook: there is no '02-morel'; did you mean '02-moral'?"),
    ("notebook: 02-moral\nquestion: []", "plan.yaml, line 2: question: must be text (got [])"),
    ("notebook: 02-moral\nnotebook: 03", "line 2: 'notebook' is given twice"),
    ("notebook: 02-moral\nsweep:\n  n: [1]\n  n: [2]", "line 4: 'n' is given twice"),
    ("notebook: [02-moral", "line 1: expected ',' or ']'"),
    ("notebook: 02-moral\nparameters: 3", "parameters: must be names with values (got 3)"),
    (
        "notebook: 02-moral\nparameters: {1: 2}",
        "parameters: must be names with values (got {1: 2})",
    ),
    (
        "notebook: 02-moral\nparameters: {sed: 1}",
        "plan.yaml, line 2: parameters.sed: 02-moral.sed: unknown parameter; did you mean 'seed'?",
    ),
    (
        "notebook: 02-moral\nparameters:\n  n: 11",
        "plan.yaml, line 3: parameters.n: 02-moral.n: must be int, in [1, 10] "
        "(got 11; line 1 of the parameters cell)",
    ),
    ("notebook: 02-moral\nsweep: {n: 3}", "sweep.n: must be a list of at least one value (got 3)"),
    ("notebook: 02-moral\nsweep: {n: []}", "sweep.n: must be a list of at least one value"),
    ("notebook: 02-moral\nsweep: {n: [1, 1]}", "sweep.n: must hold different values"),
    ("notebook: 02-moral\nsweep: {n: [1, '2']}", "sweep.n: 02-moral.n: must be int"),
    ("notebook: 02-moral\nsweep: {share: [.nan]}", "must be float, in [0, 1] (got nan"),
    ("notebook: 02-moral\nsweep: {names: [a]}", "must be list[str] (got 'a'"),
    ("notebook: 02-moral\nsweep: {n: [1]}\nparameters: {n: 1}", "sweep.n: is fixed under"),
    ("notebook: 02-moral\nseeds: 0", "seeds: must be a count >= 1 or a list (got 0)"),
    ("notebook: 02-moral\nseeds: true", "seeds: must be a count >= 1 or a list (got True)"),
    ("notebook: 02-moral\nseeds:", "seeds: must be a count >= 1 or a list (got None)"),
    ("notebook: 02-moral\nseeds: []", "seeds: must be a list of at least one value"),
    ("notebook: 02-moral\nseeds: [1, 1]", "seeds: must hold different values"),
    ("notebook: 02-moral\nseeds: [-1]", "seeds: 02-moral.seed: must be int | None, >= 0 (got -1"),
    ("notebook: 03-unseeded\nseeds: 2", "seeds: 03-unseeded.seed: unknown parameter"),
    ("notebook: 06-literal\nseeds: 2", "plan.yaml, line 2: seeds: 'seed' admits only 0 (got 2)"),
    ("notebook: 02-moral\nseeds: 2\nsweep: {seed: [1]}", "seeds: cannot be given beside"),
    ("notebook: 02-moral\nthresholds: [a]", "thresholds: must be names with values"),
    ("notebook: 02-moral\nthresholds: {a: 1}", "thresholds.a: must give min, max or both (got 1)"),
    ("notebook: 02-moral\nthresholds: {a: {}}", "thresholds.a: must give min, max or both"),
    (
        "notebook: 02-moral\nthresholds: {a: {mim: 1}}",
        "thresholds.a.mim: unknown key; did you mean",
    ),
    ("notebook: 02-moral\nthresholds: {a: {min: x}}", "must be given as finite numbers (got 'x')"),
    (
        "notebook: 02-moral\nthresholds: {a: {min: .inf}}",
        "must be given as finite numbers (got inf)",
    ),
    ("notebook: 02-moral\nthresholds: {a: {min: 2, max: 1}}", "min must not be above max"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_a_malformed_plan_is_refused_in_one_sentence(
    project: Path, text: str, sentence: str
) -> None:
    with pytest.raises(MlsdmError) as caught:
        load(project, text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "plan.yaml" in str(caught.value)


def test_a_notebook_that_declares_its_parameters_wrongly_is_refused(project: Path) -> None:
    with pytest.raises(DataError, match=r"04-broken.ipynb: line 1 of the parameters cell"):
        load(project, "notebook: 04-broken")


def test_a_file_that_is_not_there_is_refused(project: Path) -> None:
    with pytest.raises(DataError, match=r"absent.yaml: cannot be read: No such file"):
        load_plan(project / "absent.yaml", project)


def test_a_project_without_notebooks_says_so(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="notebooks holds none"):
        load(tmp_path, "notebook: '02'")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("1e-3", 0.001),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("+3", 3),
        ("True", True),
        ("~", None),
        ("", None),
        ("'1'", "1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read = yaml12.parse(text)
    assert read == value
    assert type(read) is type(value)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc on1.e-:"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=8,
)


@given(value=plain)
def test_whatever_pyyaml_writes_reads_back(value: object) -> None:
    assert yaml12.parse(yaml.safe_dump(value, default_style='"')) == value
