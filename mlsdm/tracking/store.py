"""Where runs are kept: the project's own SQLite file, another one, or an MLflow server."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from mlsdm.project import artifact_root
from mlsdm.record import check_name
from mlsdm.tracking.connection import (
    connect,
    is_server,
    one_sentence,
    public,
    sqlite_file,
    store_uri,
)
from mlsdm.tracking.found import Found, Tags, conditions, found_run
from mlsdm.tracking.run import TrackedRun, shortened

__all__ = ["Store"]

PAGE, FEW = 1000, 20  # runs a request
VIEW_TAG = "mlflow.sharedViewState."  # with the key of a view


class Store:
    """A store of runs: `uri` is absolute, so that it means the same in every folder."""

    def __init__(self, project: Path, uri: str, client: Any) -> None:
        self.project = project
        self.uri = uri
        self._client = client

    @classmethod
    def open(cls, project: Path, uri: str | None = None) -> Self:
        """Open the store at `uri`, else at MLFLOW_TRACKING_URI, else the project's own.

        Relative paths begin at the project; a fresh SQLite file is made first.

        Raises
        ------
        ParameterError
            When the address is neither one of an SQLite file nor of an HTTP server.
        RunError
            When the file is no SQLite database, or the server does not answer.
        """
        absolute = store_uri(project, uri)
        return cls(project, absolute, connect(absolute))

    @property
    def is_server(self) -> bool:
        """Whether the store is an MLflow server, with an interface of its own."""
        return is_server(self.uri)

    @classmethod
    def exists(cls, project: Path, uri: str | None = None) -> bool:
        """Whether there is a store at `uri`: a server, or an SQLite file that was made already.

        Raises
        ------
        ParameterError
            When the address is neither one of an SQLite file nor of an HTTP server.
        """
        absolute = store_uri(project, uri)
        return is_server(absolute) or sqlite_file(absolute).exists()

    @property
    def state(self) -> Path:
        """The folder of the driver's own notes: beside the SQLite file, else in the project."""
        beside = self.project if self.is_server else sqlite_file(self.uri).parent
        return beside / ".mlsdm"

    @property
    def files(self) -> Path | None:
        """The folder of the runs' files, beside the SQLite file; None for a server's own."""
        return None if self.is_server else artifact_root(sqlite_file(self.uri).parent)

    @property
    def address(self) -> str:
        """The URI without a user name and password in it, fit to be shown."""
        return public(self.uri)

    def experiment(self, name: str) -> str:
        """Return the id of the experiment `name`: found, restored or made.

        Raises
        ------
        RunError
            When the store refuses.
        """
        with one_sentence(self.uri):
            known = self._client.get_experiment_by_name(name) or self._make_experiment(name)
            if known.lifecycle_stage == "deleted":
                self._client.restore_experiment(known.experiment_id)
            return str(known.experiment_id)

    def _make_experiment(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        own = None if self.files is None else self.files.as_uri()
        try:
            self._client.create_experiment(name, artifact_location=own)
        except MlflowException as error:  # another process may have made it since we looked
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self._client.get_experiment_by_name(name)

    def experiments(self) -> dict[str, str]:
        """Return the ids of the first 1000 experiments by name, without MLflow's own Default.

        Raises
        ------
        RunError
            When the store refuses.
        """
        return {e.name: str(e.experiment_id) for e in self._experiments()}

    def _experiments(self) -> list[Any]:
        with one_sentence(self.uri):
            found = self._client.search_experiments(max_results=1000)
        return [experiment for experiment in found if experiment.experiment_id != "0"]

    def save_view(self, experiment: str, key: str, view: Mapping[str, object]) -> None:
        """Keep a view of an experiment's runs, which MLflow's pages open by its key.

        Raises
        ------
        RunError
            When the store refuses.
        """
        id = self.experiment(experiment)
        with one_sentence(self.uri):
            self._client.set_experiment_tag(id, f"{VIEW_TAG}{key}", json.dumps(view))

    def view(self, experiment: str, key: str) -> dict[str, Any]:
        """Return the view of that key that an experiment has; {} if there is none.

        Raises
        ------
        RunError
            When the store refuses, or holds something else there.
        """
        with one_sentence(self.uri):
            known = self._client.get_experiment_by_name(experiment)
            text = known.tags.get(f"{VIEW_TAG}{key}") if known else None
            return dict(json.loads(text)) if text else {}

    def with_view(self, key: str) -> set[str]:
        """Return the names of the experiments that have a view of that key.

        Raises
        ------
        RunError
            When the store refuses.
        """
        return {e.name for e in self._experiments() if f"{VIEW_TAG}{key}" in e.tags}

    def start(
        self,
        experiment: str,
        name: str,
        *,
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
        parent: str | None = None,
        time: int | None = None,
    ) -> TrackedRun:
        """Start a run called `name` in the experiment called `experiment`.

        Parameters longer than MLflow takes are cut. It starts now, or at `time` in milliseconds
        since 1970.

        Raises
        ------
        ParameterError
            When MLflow cannot hold a parameter's name.
        RunError
            When the store refuses; if the run was begun, it is FAILED.
        """
        for key in parameters:
            check_name("Store.start.parameters", key)
        family = {} if parent is None else {"mlflow.parentRunId": parent}
        experiment_id = self.experiment(experiment)
        with one_sentence(self.uri):
            made = self._client.create_run(
                experiment_id, time, run_name=name, tags=shortened({**tags, **family})
            )
        run = TrackedRun(self._client, self.uri, made.info.run_id)
        try:
            run.log_parameters(parameters)
        except BaseException as error:
            run.fail(error)
            raise
        return run

    def run(self, run_id: str) -> TrackedRun:
        """Return a run of the store, to go on with it or to end it."""
        return TrackedRun(self._client, self.uri, run_id)

    def find(self, experiment: str, tags: Mapping[str, str | None]) -> list[Found]:
        """Return the runs of an experiment that carry all these tags, the newest first.

        A tag of None may have any value.

        Raises
        ------
        ParameterError
            When MLflow can search for no such value.
        RunError
            When the store refuses.
        """
        with one_sentence(self.uri):
            known = self._client.get_experiment_by_name(experiment)
        if known is None:
            return []
        return list(self._search({known.experiment_id: experiment}, conditions(tags), PAGE))

    def finished(self, tags: Tags, experiment: str | None = None) -> Iterator[Found]:
        """Yield the finished runs that are tagged so, the newest first, asking for few at a time.

        Parameters
        ----------
        tags
            By name the value; None for any; or a collection, for any but these.
        experiment
            The one to look in, by default in each.

        Raises
        ------
        ParameterError
            When MLflow can search for no such value.
        RunError
            When the store refuses.
        """
        names = {id: name for name, id in self.experiments().items()}
        if experiment is not None:
            names = {id: name for id, name in names.items() if name == experiment}
        if names:
            wanted = ["attributes.status = 'FINISHED'", *conditions(tags)]
            yield from self._search(names, wanted, FEW)

    def _search(
        self, experiments: Mapping[str, str], wanted: list[str], page: int
    ) -> Iterator[Found]:
        """Yield the newest runs first; the experiments are names by id."""
        token = None
        while True:
            with one_sentence(self.uri):
                found = self._client.search_runs(
                    list(experiments),
                    " and ".join(wanted),
                    max_results=page,
                    order_by=["attributes.start_time DESC"],
                    page_token=token,
                )
            yield from (found_run(run, experiments[run.info.experiment_id]) for run in found)
            token = found.token
            if not token:
                return

    def get(self, run_id: str) -> Found:
        """Return one run by its id.

        Raises
        ------
        RunError
            When there is none, or the store refuses.
        """
        with one_sentence(self.uri):
            run = self._client.get_run(run_id)
            experiment = self._client.get_experiment(run.info.experiment_id)
            return found_run(run, experiment.name)

    def read(self, run_id: str, name: str) -> bytes:
        """Return the content of a file that is kept with a run.

        Raises
        ------
        RunError
            When there is none, or the store refuses.
        """
        with one_sentence(self.uri), tempfile.TemporaryDirectory() as folder:
            return Path(self._client.download_artifacts(run_id, name, folder)).read_bytes()

    def listed(self, run_id: str, folder: str = "") -> list[str]:
        """Return the names in a folder of a run's files, by default the topmost; [] if absent.

        Raises
        ------
        RunError
            When the store refuses.
        """
        with one_sentence(self.uri):
            found = self._client.list_artifacts(run_id, folder)
        return [Path(file.path).name for file in found]
