"""Single runs of notebooks, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlsdm.errors import ParameterError
from mlsdm.sweep.driver import Settings, drive, journaled
from mlsdm.sweep.job import Job, read_source
from mlsdm.sweep.outcome import RunOutcome
from mlsdm.sweep.recorder import recover
from mlsdm.sweep.view import save_view

if TYPE_CHECKING:
    from mlsdm.tracking import Store

__all__ = ["run_notebooks"]


def run_notebooks(
    store: Store,
    project: Path,
    notebooks: Sequence[tuple[Path, Mapping[str, object]]],
    settings: Settings | None = None,
) -> list[RunOutcome]:
    """Run notebooks with the given parameters, each as a run of the experiment of its name.

    One that fails does not stop the others.

    Parameters
    ----------
    notebooks
        Each with those of its parameters that are not to have the notebook's own value.

    Raises
    ------
    ParameterError, DataError
        For a parameter that a notebook does not take, an ``engine`` that holds no engine
        parameters, or a ``data`` that names no file; for two notebooks of one name, and for one
        run that is asked for twice. Nothing has run then.
    """
    recover(store)
    paths = {path.name: path for path, _ in notebooks}
    sources = {name: read_source(path, project) for name, path in paths.items()}
    known: dict[str, Job] = {}
    for path, values in notebooks:
        job = sources[path.name].job(values)
        if job.key in known or paths[path.name] != path:
            raise ParameterError(
                f"notebook: two that are called {path.name!r}, or one with the same parameters "
                "twice, cannot be run at once"
            )
        known[job.key] = job
    jobs = list(known.values())
    with journaled(store) as journal:
        settings = settings or Settings()
        made = drive(store, journal, jobs, sources, settings, keep_records=True)
        for outcome in made:
            job, datasets = known[outcome.key], any(r.dataset for r in outcome.records)
            save_view(store, job.experiment, job.differing, datasets=datasets)
        return made
