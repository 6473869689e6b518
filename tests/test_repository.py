"""What the project's files say of each other: README, set-up, workflows, notebooks."""

import ast
import graphlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import rattler
import typer
import yaml
from serving import process

import mlsdm
from mlsdm.cli import app
from mlsdm.plan.plan import load_plan
from mlsdm.plan.schema import read_schema
from mlsdm.record import records

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODULES = sorted((ROOT / "mlsdm").rglob("*.py"))


def names(path):
    return path.stem


def readme_command(name):
    block = re.search(rf"<!-- {name} command -->\n```sh\n(.*)\n```\n<!-- end -->", README)
    assert block, f"README.md holds no {name} command"
    return block.group(1)


@pytest.mark.parametrize("name", ["reproduce", "test"])
def test_each_readme_command_does_its_own_set_up(name):
    command = readme_command(name)
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    (extra,) = re.findall(r"--editable '\.\[(\w+)\]'", command)
    assert extra in PYPROJECT["project"]["optional-dependencies"]


def test_the_gate_runs_the_readmes_test_command():
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "<!-- test command -->" in gate
    assert "pytest" not in gate.replace("PYTEST_ADDOPTS", "")


def test_the_readmes_table_of_presets_is_what_the_presets_differ_in():
    row = re.compile(r"^\| `([\w.]+)` \| `(\w+)` \| `(\w+)` \|", re.MULTILINE)
    rows = {field: values for field, *values in row.findall(README)}
    default = mlsdm.EngineParams()
    published = mlsdm.EngineParams.published()
    assert {k: v[0] for k, v in rows.items()} == published.differing(default)
    assert {k: v[1] for k, v in rows.items()} == default.differing(published)


def test_the_readmes_python_examples_run(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {}
    with process(tmp_path_factory.mktemp("service")) as (url, _):
        for example in re.findall(r"```python\n(.*?)```", README, re.S):
            exec(example.replace('Client("http://127.0.0.1:8000"', f'Client("{url}"'), scope)
    assert scope["outcome"].reason in ("committed", "moral")
    assert len(scope["result"].to_frame()) == 1000
    assert scope["long"].summary()["events"] == 10**7
    assert scope["fleet"].threshold.shape == (50, 1000)
    assert {file.name for file in tmp_path.iterdir()} == {"trace.parquet", "fetched.snapshot"}
    assert mlsdm.CognitiveController.load("fetched.snapshot").events == 1001


def test_the_readmes_picture_is_the_one_its_notebook_stores():
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "notebooks" / "refresh.py")
    refresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(refresh)
    assert refresh.PICTURE.read_bytes() == refresh.readme_picture()
    assert f"(reports/{refresh.PICTURE.name})" in README


def test_every_place_that_the_readme_links_to_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_version_is_the_same_everywhere():
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "mlsdm/__init__.py"
    assert f"## {mlsdm.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_conda_and_pip_make_the_same_environment():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *specs, pip = environment["dependencies"]
    parsed = {rattler.MatchSpec(spec).name.normalized: spec for spec in specs}
    assert set(parsed) == {"python", "pip"}, "what pyproject.toml lists is not listed twice"
    assert parsed["python"] == f"python {PYPROJECT['project']['requires-python']}"
    assert pip == {"pip": ["-e .[all]"]}


def test_all_holds_every_extra_but_lab():
    extras = dict(PYPROJECT["project"]["optional-dependencies"])
    (everything,) = extras.pop("all")
    extras.pop("lab")
    assert everything == f"mlsdm[{','.join(extras)}]"


def test_no_dependency_is_listed_twice():
    groups = [
        PYPROJECT["project"]["dependencies"],
        *PYPROJECT["project"]["optional-dependencies"].values(),
    ]
    listed = [re.match(r"[\w-]+", spec).group().lower() for group in groups for spec in group]
    assert len(listed) == len(set(listed))


def imports(path):
    """Return the modules that a file imports, wherever in it; of ours also the parts they name."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if name in OURS else node.module or "" for name in named]
    return found


OURS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in MODULES
}


def unlisted(paths, ours, groups):
    """Return what files import that is neither the standard library's, nor ours, nor listed."""
    listed = {re.match(r"[\w-]+", spec).group().lower() for group in groups for spec in group}
    # FAISS need not be installed, and its package is not called what is imported.
    known = {"faiss": ["faiss-cpu"], **importlib.metadata.packages_distributions()}
    imported = {name.split(".")[0] for path in paths for name in imports(path)}
    return {
        name
        for name in imported - sys.stdlib_module_names - ours
        if not listed & {owner.lower().replace("_", "-") for owner in known.get(name, ())}
    }


def test_what_is_imported_is_listed():
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    needed = [
        project["dependencies"],
        *(extras[name] for name in ("text", "openai", "dask", "bench", "service", "load")),
    ]
    assert unlisted(MODULES, {"mlsdm"}, needed) == set()
    tests = sorted((ROOT / "tests").glob("*.py"))
    ours = {"mlsdm", *(path.stem for path in tests)}
    assert unlisted(tests, ours, [project["dependencies"], *extras.values()]) == set()


def test_what_takes_minutes_runs_only_when_it_is_asked_for(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.long\ndef test_slow(): pass\n\ndef test_quick(): pass\n"
    )
    options = ["--collect-only", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    # The gate's options would have it erase the coverage data of the tests that go on here.
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert re.findall(r"::(\w+)", done.stdout) == ["test_quick"], done.stdout + done.stderr
    assert "1 deselected" in done.stdout


def package(module):
    """Return the part of mlsdm that a module belongs to."""
    return module.split(".")[1] if "." in module else module


def test_no_two_modules_import_one_another():
    graph = {module: OURS.keys() & set(imports(path)) - {module} for module, path in OURS.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # else CycleError names them
    assert set(order) == set(OURS)


def test_packages_import_one_way():
    graph = {}
    for module, path in OURS.items():
        others = {package(name) for name in OURS.keys() & set(imports(path))}
        graph.setdefault(package(module), set()).update(others - {package(module)})
    graphlib.TopologicalSorter(graph).prepare()
    layers = ["plan", "execution", "sweep", "report", "cli"]
    for level, layer in enumerate(layers):
        assert not graph[layer] & set(layers[level + 1 :]), layer
    assert not [name for name in graph if "cli" in graph[name]]


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*")), ids=names)
def test_the_workflows_are_valid_and_call_what_exists(path):
    workflow = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert "on" in workflow
    runs = [step["run"] for step in steps if "run" in step]
    ours = [shlex.split(run)[1:] for run in runs if run.startswith("mlsdm ")]
    commands = typer.main.get_command(app).commands
    for name, *arguments in ours:
        commands[name].make_context(name, arguments)  # refuses what it does not know
    assert ours or ".ci/run" in runs


def test_the_sweep_workflow_shows_and_keeps_what_the_check_writes_also_when_it_fails():
    workflow = (ROOT / ".github" / "workflows" / "sweep.yml").read_text(encoding="utf-8")
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    (check,) = [i for i, s in enumerate(job["steps"]) if "mlsdm check" in s.get("run", "")]
    command = shlex.split(job["steps"][check]["run"])
    junit, markdown = (command[command.index(o) + 1] for o in ("--junit", "--markdown"))
    show, upload = job["steps"][check + 1 :]
    assert show["if"] == upload["if"] == "always()"
    assert f'cat {markdown} >> "$GITHUB_STEP_SUMMARY"' in show["run"]
    assert {junit, "mlflow.db", "mlartifacts"} <= set(upload["with"]["path"].split())


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=names)
def test_every_sweep_file_is_valid_and_asks_a_question(path):
    plan = load_plan(path, ROOT)
    assert plan.question.endswith("?") or "?" in plan.question
    assert plan.thresholds
    assert 1 <= len(plan.runs) <= 30


def test_one_package_talks_to_mlflow_and_one_to_papermill():
    for library, owner in (("mlflow", "tracking"), ("papermill", "execution")):
        importing = {
            path.relative_to(ROOT / "mlsdm").parts[0].removesuffix(".py")
            for path in MODULES
            if any(module.split(".")[0] == library for module in imports(path))
        }
        assert importing == {owner}


def test_no_module_imports_the_root_package():
    for path in MODULES:
        assert "mlsdm" not in imports(path), path


def test_importing_the_package_loads_nothing_heavy():
    heavy = "{'numpy', 'numba', 'pandas', 'mlflow', 'matplotlib'}"
    code = f"import sys, mlsdm; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names)
def test_a_notebook_is_tidy(path):
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 800_000
    assert "papermill" not in notebook.metadata
    assert notebook.cells[0].source.startswith(f"# {path.stem[:2]} · ")
    assert "**Question.**" in notebook.cells[0].source
    assert "**Answer.**" in notebook.cells[0].source
    assert "## What it means" in [cell.source.split("\n")[0] for cell in notebook.cells]
    assert not re.search(r"/(root|home|work|tmp)/", path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not any(output.output_type in ("error", "stream") for c in code for output in c.outputs)
    assert not any("mlflow" in cell.source for cell in code)
    kinds = {record.kind for record in records(notebook)}  # nbval does not look into these
    assert {"metric", "table", "figure"} <= kinds


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names)
def test_every_notebook_parameter_has_a_type_and_a_comment(path):
    schema = read_schema(path)
    assert schema.parameters
    for parameter in schema.parameters.values():
        assert parameter.comment, f"{path.name}: {parameter.name}"


def test_the_readmes_sweep_file_is_a_valid_one(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.S)
    path = tmp_path / "example.yaml"
    path.write_text(example, encoding="utf-8")
    plan = load_plan(path, ROOT)
    assert len(plan.runs) == 3
    assert plan.memory_limit == 2 * 2**30


def test_what_is_committed_names_no_place_on_a_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        assert not re.search(rb"file:///(root|home|work)/", content), name


def test_the_readme_tells_of_the_load_what_the_notebook_measured():
    notebook = nbformat.read(ROOT / "notebooks" / "13-service-load.ipynb", as_version=4)
    found = {record.name: record for record in records(notebook)}
    load = dict(zip(found["load/table"].columns, found["load/table"].rows[0], strict=True))
    measured = {name: record.value for name, record in found.items() if record.kind == "metric"}
    carried, engine = measured["rate/highest_carried"], 100 * measured["time/share/engine"]
    said = " ".join(README.split())
    for text in (
        f"P50 {load['P50']:.1f}, P95 {load['P95']:.1f}, "
        f"P99 {load['P99']:.1f} [{load['P99 low']:.1f}, {load['P99 high']:.1f}] ms",
        f"{carried:,.0f} requests/s is the highest rate tried that is carried",
        f"{measured['batch/events_carried']:,.0f} events/s in binary",
        f"The engine has {engine:.0f} % of the server's processor time",
    ):
        assert text in said
    assert measured["load/errors"] == 0
