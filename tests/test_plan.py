from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import make_notebook

from mlsdm.errors import DataError, ParameterError
from mlsdm.plan.plan import Plan, PlannedRun, load_plan

CELL = """n: int = 5  # in [1, 10]
share: float = 0.5  # in [0, 1]
clock: str = "event"
design: str = "plain"
engine: dict = {}
extra: dict = {"a": 1, "b": {"c": 2}}
maybe: dict | None = None
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
timeouts: {cell: 5, notebook: 2.5}
memory_limit: 1.5 GiB
workers: 1
thresholds:
  moral/rejected: {min: 0.9}
  drift: {min: 0, max: 1e-2}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project")
    make_notebook(project / "notebooks" / "02-moral.ipynb", CELL)
    make_notebook(project / "notebooks" / "03-unseeded.ipynb", "n: int = 5")
    make_notebook(project / "notebooks" / "04-broken.ipynb", "n = 5")
    fleet = "seeds: list[int] | None = None  # each in [0, 9]\nseed: int = 1\nn_seeds: int = 1"
    make_notebook(project / "notebooks" / "07-fleet.ipynb", fleet)
    make_notebook(project / "notebooks" / "08-counted.ipynb", "n_seeds: int = 5\nseed: int = 1")
    return project


def load(project: Path, text: str, name: str = "plan.yaml") -> Plan:
    path = project / name
    path.write_text(text, encoding="utf-8")
    return load_plan(path, project)


def values(plan: Plan) -> list[dict[str, Any]]:
    return [run.values for run in plan.runs]


def test_a_plan_is_the_full_grid_times_the_seeds(project: Path) -> None:
    plan = load(project, GOOD)
    assert (plan.name, plan.notebook.stem) == ("plan", "02-moral")
    assert len(plan.runs) == 2 * 2 * 3
    first = {"clock": "on", "n": 1, "share": 0.1, "seed": 0}
    assert plan.runs[0] == PlannedRun(first, {"n": 1, "share": 0.1}, 0)
    assert plan.runs[1].values["seed"] == plan.runs[1].seed == 2**31
    last = {"clock": "on", "n": 2, "share": 1, "seed": 2**30}
    assert plan.runs[-1] == PlannedRun(last, {"n": 2, "share": 1}, 2**30)
    assert list(map(str, plan.thresholds)) == [">= 0.9", "in [0, 0.01]"]


def test_limits_are_numbers_of_one_unit(project: Path) -> None:
    plan = load(project, GOOD)
    assert (plan.cell_timeout, plan.timeout) == (5, 2.5)
    assert (plan.memory_limit, plan.workers) == (1.5 * 2**30, 1)
    plan = load(project, "notebook: 02-moral\ntimeouts: {notebook: 7}")
    assert (plan.cell_timeout, plan.timeout) == (None, 7)
    assert (plan.memory_limit, plan.workers, plan.question) == (None, None, "")


@pytest.mark.parametrize(
    ("size", "number"),
    [
        ("12", 12),
        ("12 B", 12),
        ("500 MB", 500 * 10**6),
        ("500MB", 500 * 10**6),
        ("3 kB", 3000),
        ("3 KB", 3000),
        ("3 KiB", 3072),
        ("0.5 MiB", 2**19),
        ("2 GiB", 2**31),
        ("1 TB", 10**12),
    ],
)
def test_memory_is_read_in_decimal_and_binary_units(project: Path, size: str, number: int) -> None:
    assert load(project, f"notebook: 02-moral\nmemory_limit: {size}").memory_limit == number


def test_a_list_of_points_is_taken_as_it_is(project: Path) -> None:
    text = "notebook: 02-moral\nsweep:\n- {n: 1, share: 0.1}\n- {share: 0.2, n: 3}\nseeds: [4, 7]"
    plan = load(project, text)
    assert [(run.point["n"], run.point["share"], run.seed) for run in plan.runs] == [
        (1, 0.1, 4),
        (1, 0.1, 7),
        (3, 0.2, 4),
        (3, 0.2, 7),
    ]


def test_a_list_under_design_is_a_parameter_of_that_name(project: Path) -> None:
    plan = load(project, "notebook: 02-moral\nsweep: {design: [plain, fancy]}")
    assert values(plan) == [{"design": "plain"}, {"design": "fancy"}]


def test_a_design_draws_the_type_that_is_declared(project: Path) -> None:
    limits = "{n: [1, 10], share: [0, 1], engine.moral.target_rate: [0, 1], extra.b.c: [0, 3]}"
    sweep = f"{{design: {{method: sobol, points: 16, seed: 3, ranges: {limits}}}}}"
    plan = load(project, f"notebook: 02-moral\nparameters: {{extra.a: 5}}\nsweep: {sweep}")
    assert len(plan.runs) == 16
    assert plan.runs == load(project, plan.path.read_text(encoding="utf-8")).runs
    for run in plan.runs:
        assert [type(value) for value in run.point.values()] == [int, float, float, int]
        assert run.values["extra"] == {"a": 5, "b": {"c": run.point["extra.b.c"]}}
        rate = run.point["engine.moral.target_rate"]
        assert run.values["engine"] == {"moral": {"target_rate": rate}}


def test_a_dotted_name_leaves_the_rest_as_it_is(project: Path) -> None:
    swept = "sweep:\n  extra.b.c: [7, 8]\n  maybe.x: [1]"
    plan = load(project, f"notebook: 02-moral\n{swept}")
    assert values(plan)[0] == {"extra": {"a": 1, "b": {"c": 7}}, "maybe": {"x": 1}}
    assert plan.runs[0].point == {"extra.b.c": 7, "maybe.x": 1}
    fixed = "parameters: {extra: {z: 0, b: {c: 1, d: 2}}, engine.moral.step: 0.1}"
    plan = load(project, f"notebook: 02-moral\n{fixed}\n{swept}")
    assert values(plan)[1]["extra"] == {"z": 0, "b": {"c": 8, "d": 2}}
    assert values(plan)[1]["engine"] == {"moral": {"step": 0.1}}
    assert plan.fixed == {"extra": {"z": 0, "b": {"c": 1, "d": 2}}, "engine.moral.step": 0.1}
    plan = load(project, "notebook: 02-moral\nparameters: {maybe.x: 3}")
    assert values(plan) == [{"maybe": {"x": 3}}]


leaf = st.integers(-5, 5)
nested = st.recursive(
    leaf,
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3),
    max_leaves=8,
)


def dotted(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        return {name: value}
    return {k: v for key, inner in value.items() for k, v in dotted(inner, f"{name}.{key}").items()}


@settings(deadline=None)
@given(engine=st.dictionaries(st.sampled_from("abcd"), nested, min_size=1), data=st.data())
def test_dotted_names_make_what_nested_ones_would(
    project: Path, engine: dict[str, object], data: st.DataObject
) -> None:
    names = dotted(engine, "maybe")
    swept = data.draw(st.sets(st.sampled_from(sorted(names))))
    fixed = {name: value for name, value in names.items() if name not in swept}
    sweep = {"sweep": {name: [names[name]] for name in sorted(swept)}} if swept else {}
    content = {"notebook": "02-moral", "parameters": fixed, **sweep}
    (run,) = load(project, json.dumps(content), "nested.yaml").runs
    assert run.values == {"maybe": engine}


@settings(deadline=None)
@given(
    axes=st.fixed_dictionaries(
        {},
        optional={
            "n": st.lists(st.integers(1, 10), min_size=1, max_size=4, unique=True),
            "share": st.lists(st.floats(0, 1), min_size=1, max_size=4, unique=True),
            "clock": st.lists(st.text("ab", max_size=3), min_size=1, max_size=3, unique=True),
        },
    ).filter(bool),
    seeds=st.lists(st.integers(0, 99), max_size=3, unique=True),
)
def test_a_grid_is_exactly_the_product(
    project: Path, axes: dict[str, list[Any]], seeds: list[int]
) -> None:
    content = {"notebook": "02-moral", "sweep": axes, **({"seeds": seeds} if seeds else {})}
    plan = load(project, json.dumps(content), "grid.yaml")
    wanted = [
        (*point, seed) for point in itertools.product(*axes.values()) for seed in (seeds or [None])
    ]
    assert [(*run.point.values(), run.seed) for run in plan.runs] == wanted
    assert all(list(run.point) == list(axes) for run in plan.runs)
    assert len({repr(run.values) for run in plan.runs}) == len(plan.runs)


def test_seeds_are_one_fleet_where_the_notebook_takes_a_list(project: Path) -> None:
    assert values(load(project, "notebook: 07-fleet\nseeds: [3, 1]")) == [{"seeds": [3, 1]}]
    plan = load(project, "notebook: 07-fleet\nseeds: 5\nsweep: {seed: [1, 2]}")
    fleet = [0, 5, 2, 7, 1]
    assert values(plan) == [{"seeds": fleet, "seed": 1}, {"seeds": fleet, "seed": 2}]
    assert plan.fixed == {"seeds": fleet}
    assert {run.seed for run in plan.runs} == {None}


def test_a_count_is_one_fleet_where_the_notebook_takes_a_number(project: Path) -> None:
    plan = load(project, "notebook: 08-counted\nseeds: 200")
    assert plan.runs == [PlannedRun({"n_seeds": 200}, {}, None)]
    assert plan.fixed == {"n_seeds": 200}
    plan = load(project, "notebook: 08-counted\nseeds: [5, 6]")
    assert plan.runs == [PlannedRun({"seed": 5}, {}, 5), PlannedRun({"seed": 6}, {}, 6)]


def test_ten_thousand_runs_are_planned_quickly(project: Path) -> None:
    steps = [i / 5000 for i in range(5000)]
    sweep = {"engine.moral.target_rate": [0.4, 0.6], "share": steps}
    before = time.perf_counter()
    plan = load(project, json.dumps({"notebook": "02-moral", "sweep": sweep}))
    assert len(plan.runs) == 10_000
    assert time.perf_counter() - before < 5


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
    plan = load(project, text)
    assert plan.runs == load(project, text).runs
    seeds = [run.seed for run in plan.runs if run.seed is not None]
    assert len(seeds) == count
    assert low <= min(seeds) <= max(seeds) <= low + width
    seeds = sorted(seeds)
    assert all(b - a >= admitted // (2 * count) for a, b in itertools.pairwise(seeds))


def test_a_plan_without_a_grid_is_one_run(project: Path) -> None:
    assert load(project, "notebook: 03-unseeded").runs == [PlannedRun({}, {})]
    assert load(project, "notebook: notebooks/03-unseeded.ipynb").fixed == {}
    assert load(project, "notebook: 02-moral\nseeds: [7]").runs == [PlannedRun({"seed": 7}, {}, 7)]


def test_the_folder_one_stands_in_does_not_matter(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = load(project, "notebook: notebooks/02-moral.ipynb")
    assert plan.notebook == (project / "notebooks" / "02-moral.ipynb").resolve()


def test_a_notebook_that_declares_its_parameters_wrongly_is_refused(project: Path) -> None:
    with pytest.raises(DataError, match=r"04-broken.ipynb: line 1 of the parameters cell"):
        load(project, "notebook: 04-broken")


def test_a_project_without_notebooks_says_so(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="notebooks holds none"):
        load(tmp_path, "notebook: '02'")
