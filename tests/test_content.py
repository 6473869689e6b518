from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from mlsdm.plan import yaml12
from mlsdm.plan.content import SweepFile, sweep_schema, write_schema

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


def test_the_schema_for_editors_is_current(tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(sweep_schema())
    stored = (EXPERIMENTS / "sweep.schema.json").read_text(encoding="utf-8")
    assert write_schema(tmp_path).read_text(encoding="utf-8") == stored, (
        "python -m mlsdm.plan.content writes it anew"
    )


def test_the_schema_describes_every_key() -> None:
    schema = sweep_schema()
    for model in (schema, *schema["$defs"].values()):
        assert model["additionalProperties"] is False
        for name, key in model["properties"].items():
            assert key["description"], name
            assert '"null"' not in json.dumps(key)


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_editors_find_nothing_wrong_with_the_sweeps_here(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=./sweep.schema.json\n")
    jsonschema.Draft202012Validator(sweep_schema()).validate(yaml12.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "seeds: 3\nsweep: {n: [1, 2], design: [a, b]}",
        "seeds: [1, 2]\nsweep: [{n: 1}, {n: 2}]\nmemory_limit: 5",
        "sweep: {design: {method: halton, points: 3, seed: 0, ranges: {n: [1, 9]}}}",
        "sweep: {design: {method: sobol, points: 4, seed: 0, ranges: {n: {low: 1, high: 9}}}}",
        "timeouts: {cell: 5}\nmemory_limit: 1.5 GiB\nworkers: 2\nthresholds: {a: {min: 0}}",
        "question: Why?\nparameters: {engine.moral.step: 0.1, data: null}",
    ],
)
def test_editors_and_the_models_take_every_form(text: str) -> None:
    content = yaml12.parse(f"notebook: '02'\n{text}")
    jsonschema.Draft202012Validator(sweep_schema()).validate(content)
    assert SweepFile.model_validate(content).notebook == "02"
