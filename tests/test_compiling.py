"""The rules are compiled once: cached for the next process, never older than any of their files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import mlsdm

PACKAGE = Path(mlsdm.__file__).parent

# A rule of `events` that calls one of `rhythm`, which reads a constant of `layout`.
CALLER = """
    import json
    from mlsdm.engine.rules import events, layout
    rule = layout.new_constants(sleep_duration=3)[0]
    phase, _ = events.tick(layout.AWAKE, 1, layout.COMMITTED, rule)
    stats = events.tick.stats
    hits, misses = sum(stats.cache_hits.values()), sum(stats.cache_misses.values())
    print(json.dumps([phase, hits, misses]))
"""

# All that an engine does, then what of it was in the cache.
ENGINE = """
    import importlib, json, pkgutil
    import numpy as np
    from mlsdm import CognitiveController, EngineParams, simulate, simulate_many
    import mlsdm.engine.rules as rules

    params, vectors, values = EngineParams(dim=4), np.ones((20, 4)), np.full(20, 0.9)
    engine = CognitiveController(params)
    engine.process_event(vectors[0], 0.9)
    engine.retrieve_context(vectors[0])
    engine.lattice.retrieve_many(vectors, 0.1)
    engine.lattice.entangle(vectors[0], 0.5)
    engine._memory.vectors[0] += 1
    engine.verify(), engine.repair()
    engine.moral.accept(0.5), engine.moral.adapt(True)
    engine.rhythm.step(), engine.synapse.update(vectors[0])
    simulate(params, vectors, values), simulate(params, None, values)
    simulate_many(params, None, [values, values])
    counted = {}
    for module in pkgutil.iter_modules(rules.__path__):
        found = vars(importlib.import_module(f"mlsdm.engine.rules.{module.name}"))
        for name, rule in found.items():
            if hasattr(rule, "stats") and rule.signatures:
                hits, misses = rule.stats.cache_hits, rule.stats.cache_misses
                counted[name] = [sum(hits.values()), sum(misses.values()), len(rule.signatures)]
    print(json.dumps(counted))
"""


def answered(code: str, folder: Path | None = None, **environment: str) -> Any:
    """Run code in a process of its own, with the package of that folder; return what it prints."""
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    found = {} if folder is None else {"PYTHONPATH": str(folder)}
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**kept, **found, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with a copy of the engine, without anything compiled."""
    (tmp_path / "mlsdm").mkdir()
    for file in (*PACKAGE.glob("*.py"), *PACKAGE.glob("*.pyi"), *PACKAGE.glob("*.toml")):
        shutil.copy(file, tmp_path / "mlsdm")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE / "engine", tmp_path / "mlsdm" / "engine", ignore=ignored)
    return tmp_path


def altered(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(re.findall(re.escape(old), text)) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_change_in_another_file_compiles_its_callers_anew(copied: Path) -> None:
    """By what the files hold, not by when they were written: those of what is called count too."""
    cache = {"NUMBA_CACHE_DIR": str(copied / "cache")}
    rules = copied / "mlsdm" / "engine" / "rules"
    assert answered(CALLER, copied, **cache) == [1, 0, 1]
    for name in ("events", "rhythm", "layout"):
        (rules / f"{name}.py").touch()
    assert answered(CALLER, copied, **cache) == [1, 1, 0]
    altered(rules / "layout.py", "AWAKE, ASLEEP = 0, 1", "AWAKE, ASLEEP = 0, 5")
    assert answered(CALLER, copied, **cache) == [5, 0, 1]
    altered(rules / "rhythm.py", "counter -= 1", "counter -= 0")
    assert answered(CALLER, copied, **cache) == [0, 0, 1]


def test_where_no_folder_can_be_written_the_rules_are_compiled_all_the_same(copied: Path) -> None:
    """Not beside the files, and not where a user's caches are; a file stands where each would be.

    So it is for any user, also one whom no permission stops.
    """
    (copied / "mlsdm" / "engine" / "rules" / "__pycache__").write_text("no folder")
    nowhere = copied / "no folder"
    nowhere.write_text("")
    homes = {name: str(nowhere / "home") for name in ("HOME", "XDG_CACHE_HOME")}
    code = """
        import json
        from mlsdm import MoralFilter
        from mlsdm.engine.rules import moral
        filter = MoralFilter()
        filter.adapt(filter.accept(0.7))
        cached = type(moral.accept._cache).__name__
        print(json.dumps([filter.threshold, len(moral.accept.signatures), cached]))
    """
    assert answered(code, copied, **homes) == [0.55, 1, "NullCache"]
    assert not list(copied.rglob("*.nbc"))


def test_the_cache_is_beside_the_files_unless_told_otherwise(copied: Path) -> None:
    assert answered(CALLER, copied) == [1, 0, 1]
    assert {file.parent.name for file in copied.rglob("*.nbc")} == {"__pycache__"}
    assert answered(CALLER, copied) == [1, 1, 0]


def test_the_next_process_compiles_nothing() -> None:
    """Whatever an engine does, in the package as it is installed."""
    answered(ENGINE)  # compiles what no test before has
    counted = answered(ENGINE)
    assert {"process", "run", "run_filter", "scan", "sift", "damaged", "mend"} <= counted.keys()
    assert {name: counts for name, counts in counted.items() if counts[1] or not counts[0]} == {}
    # One signature each, but for what compares copies: of the state, and of the constants.
    several = {name: counts[2] for name, counts in counted.items() if counts[2] != 1}
    assert several == {"agree": 2, "vote": 2}
