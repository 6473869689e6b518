from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.analysis.interval import Interval
from mlsdm.errors import ParameterError, RunError
from mlsdm.evidence import judge
from mlsdm.project import artifact_root
from mlsdm.record import Record, records
from mlsdm.recordable import content
from mlsdm.streams import Stream
from mlsdm.tracking import Store, TrackedRun
from mlsdm.tracking.run import MOST_BYTES, _batches


@pytest.fixture(params=["sqlite", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        found: Store = request.getfixturevalue("sqlite_store")
        return found
    return Store.open(tmp_path, request.getfixturevalue("mlflow_server"))


def client(store: Store) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri)


def begin(store: Store, **kwargs: Any) -> TrackedRun:
    given = {"parameters": {}, "tags": {}, **kwargs}
    return store.start("tests", "a run", **given)


def read_text(store: Store, run: TrackedRun, path: str, folder: Path) -> str:
    downloaded = client(store).download_artifacts(run.id, path, str(folder))
    return Path(downloaded).read_text(encoding="utf-8")


def test_a_notebook_comes_back_from_the_store(
    store: Store, recorded: nbformat.NotebookNode, tmp_path: Path
) -> None:
    with store.start(
        "round trip é/1",
        "first",
        parameters={"n": 3, "rate": 0.1, "on": True, "name": "é", "seeds": [1, 2]},
        tags={"mlsdm.seed": "7"},
    ) as run:
        run.log(records(recorded))
        run.log([], files={"notes.md": "# notes", "notebook/out.ipynb": b"{}"})

    read = client(store).get_run(run.id)
    assert read.info.status == "FINISHED"
    assert read.info.run_name == "first"
    assert read.info.experiment_id == store.experiment("round trip é/1")
    assert read.data.params == {
        "n": "3",
        "rate": "0.1",
        "on": "True",
        "name": "é",
        "seeds": "[1, 2]",
    }
    assert read.data.tags["mlsdm.seed"] == "7"
    assert read.data.tags["mlsdm.nonfinite"] == "no number, θ/threshold, cells"
    assert "mlsdm.cause" not in read.data.tags
    metrics = read.data.metrics
    assert metrics["safety/rejection"] == 0.1 + 0.2
    assert (metrics["target/latency.p50"], metrics["stated/latency.p50"]) == (1, 10)
    assert metrics["nonfinite/count"] == 3
    assert "no number" not in metrics
    history = client(store).get_metric_history(run.id, "θ/threshold")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (9, 0.4)]
    assert read_text(store, run, "tables/cells.csv", tmp_path) == (f"n,x,who\n1,{1 / 3!r},é\n2,,\n")
    image = Path(client(store).download_artifacts(run.id, "figures/θ/course.png", str(tmp_path)))
    assert image.read_bytes() == {r.name: r.png for r in records(recorded)}["θ/course"]
    assert read_text(store, run, "notes.md", tmp_path) == "# notes"
    assert read_text(store, run, "notebook/out.ipynb", tmp_path) == "{}"


def test_of_two_under_one_name_the_last_counts(store: Store, tmp_path: Path) -> None:
    def table(cell: int) -> Record:
        return Record("table", "x", columns=("a",), rows=((cell,),))

    with begin(store) as run:
        run.log([Record("metric", "x", value=2.0), Record("metric", "x", value=1.0), table(1)])
        run.log([Record("metric", "y", value=9.0), Record("metric", "z", value=9.0)])
        run.log([Record("metric", "y", value=8.0), table(2)])
    data = client(store).get_run(run.id).data
    assert data.metrics == {"x": 1.0, "y": 8.0, "z": 9.0}
    assert data.tags["mlsdm.duplicates"] == "x, y"
    assert read_text(store, run, "tables/x.csv", tmp_path) == "a\n2\n"


def test_a_long_series_is_split_into_requests(store: Store) -> None:
    name = "θ" * 100
    values = tuple(float(i) for i in range(2500))
    with begin(store) as run:
        run.log([Record("series", name, steps=tuple(range(2500)), values=values)])
    history = client(store).get_metric_history(run.id, name)
    assert [point.value for point in history] == list(values)


def test_many_and_long_parameters(store: Store) -> None:
    parameters = {f"p{i}": "é" * 7000 if i == 77 else i for i in range(150)}
    with begin(store, parameters=parameters, tags={"long": "x" * 9000}) as run:
        pass
    data = client(store).get_run(run.id).data
    assert len(data.params) == 150
    assert data.params["p77"].endswith("… (cut: 7000 characters)")
    assert len(data.params["p77"]) == 6000
    assert len(data.tags["long"]) == 8000


def test_a_parameter_that_mlflow_cannot_hold_begins_no_run(sqlite_store: Store) -> None:
    with pytest.raises(ParameterError, match=r"^Store.start.parameters: .*\(got 'a\(b'\)"):
        sqlite_store.start("nothing", "r", parameters={"a(b": 1}, tags={})
    assert "nothing" not in sqlite_store.experiments()


def test_a_run_that_cannot_hold_its_parameters_is_failed(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlsdm.tracking.run.LONGEST_PARAMETER", 10**6)
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    with pytest.raises(RunError, match=r"store sqlite.*exceeds the maximum length"):
        sqlite_store.start("refused", "r", parameters={"a": "x" * 6001}, tags={})
    (run,) = client(sqlite_store).search_runs([sqlite_store.experiment("refused")])
    assert run.info.status == "FAILED"
    assert "exceeds" in run.data.tags["mlsdm.cause"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("no luck"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(0), "FAILED")],
)
def test_every_nested_run_ends(store: Store, error: BaseException, status: str) -> None:
    with (
        pytest.raises(type(error)),
        begin(store) as parent,
        begin(store, parent=parent.id) as child,
    ):
        raise error
    for run in (parent, child):
        read = client(store).get_run(run.id)
        assert read.info.status == status
        assert read.info.end_time is not None
        cause = {"FAILED": f"{type(error).__name__}: {error}", "KILLED": "KeyboardInterrupt"}
        assert read.data.tags["mlsdm.cause"] == cause[status]
    assert client(store).get_run(child.id).data.tags["mlflow.parentRunId"] == parent.id


def test_what_was_finished_by_hand_stays_so(sqlite_store: Store) -> None:
    with begin(sqlite_store) as run:
        run.finish("FAILED", "a cell raised")
    read = client(sqlite_store).get_run(run.id)
    assert (read.info.status, read.data.tags["mlsdm.cause"]) == ("FAILED", "a cell raised")


def test_the_first_error_stays_when_the_run_cannot_be_ended(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: object) -> None:
        raise OSError("gone")

    with begin(sqlite_store) as run:
        monkeypatch.setattr(run._client, "set_terminated", gone)
        first = ValueError("first")
        run.fail(first)
        assert first.__notes__ == [
            f"The run {run.id} could not be ended: store {sqlite_store.uri}: gone"
        ]
        monkeypatch.undo()


class _Without:
    """MLflow's client without one of its methods."""

    def __init__(self, client: Any, gone: str) -> None:
        self._client, self._gone = client, gone

    def __getattr__(self, name: str) -> Any:
        if name == self._gone:
            raise OSError("gone")
        return getattr(self._client, name)


def test_a_run_ends_even_if_its_cause_cannot_be_kept(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(sqlite_store)
    monkeypatch.setattr(run, "_client", _Without(run._client, "log_batch"))
    with pytest.raises(KeyboardInterrupt) as caught, run:
        raise KeyboardInterrupt
    assert client(sqlite_store).get_run(run.id).info.status == "KILLED"
    assert caught.value.__notes__ == [
        f"The run {run.id} does not hold its cause: store {sqlite_store.uri}: gone"
    ]


def test_ctrl_c_while_a_run_is_closed_waits_until_it_is(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = sqlite_store._client.set_terminated

    def interrupted(*args: object) -> None:
        signal.raise_signal(signal.SIGINT)
        end(*args)

    monkeypatch.setattr(sqlite_store._client, "set_terminated", interrupted)
    run = begin(sqlite_store)
    with pytest.raises(KeyboardInterrupt), run:
        pass
    assert client(sqlite_store).get_run(run.id).info.status == "FINISHED"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_breaks_off_a_store_that_hangs(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = []

    def hanging(*args: object) -> None:
        for _ in range(3):
            reached.append("on")
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sqlite_store._client, "set_terminated", hanging)
    run = begin(sqlite_store)
    with pytest.raises(KeyboardInterrupt), run:
        pass
    assert reached == ["on", "on"]
    monkeypatch.undo()
    run.finish("KILLED")


def test_a_run_is_closed_in_another_thread_too(sqlite_store: Store) -> None:
    run = begin(sqlite_store)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run.finish, "FINISHED").result()
    assert client(sqlite_store).get_run(run.id).info.status == "FINISHED"


def test_a_missing_file_is_one_sentence(store: Store) -> None:
    with begin(store) as run, pytest.raises(RunError, match=r"^store .*absent.txt") as caught:
        store.read(run.id, "absent.txt")
    assert "\n" not in str(caught.value)


def test_files_are_read_back_as_they_were(store: Store) -> None:
    content = {"a.txt": "é\r\n", "in/a folder/b.bin": bytes(range(256)), "empty": ""}
    with begin(store) as run:
        run.log([], files=content)
    for name, expected in content.items():
        raw = expected.encode() if isinstance(expected, str) else expected
        assert store.read(run.id, name) == raw


def test_runs_are_found_by_their_tags_the_newest_first(store: Store) -> None:
    for time, tags in ((1000, {"a": "1"}), (3000, {"a": "1", "b": "2"}), (2000, {"b": "2"})):
        run = store.start("found", str(time), parameters={}, tags={**tags, "empty": ""}, time=time)
        run.log([], numbers={"x": float(time)}, time=time)
        run.finish("FAILED" if time == 2000 else "FINISHED", time=time + 1)
    assert store.find("absent", {}) == []

    def names(**tags: str | None) -> list[str]:
        return [run.name for run in store.find("found", tags)]

    assert names() == ["3000", "2000", "1000"]
    assert names(a="1") == ["3000", "1000"]
    assert names(a="1", b="2") == ["3000"]
    assert names(b=None) == ["3000", "2000"]
    assert names(a="2") == names(c=None) == []
    first = store.find("found", {"a": "1"})[0]
    assert (first.status, first.experiment, first.metrics) == ("FINISHED", "found", {"x": 3000})
    assert store.get(first.id) == first
    info = client(store).get_run(first.id).info
    assert (info.start_time, info.end_time) == (3000, 3001)


def test_every_page_is_read(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlsdm.tracking.store.PAGE", 2)
    for number in range(5):
        tags = {"a": "1"}
        sqlite_store.start("pages", "r", parameters={}, tags=tags, time=number).finish("FINISHED")
    assert len(sqlite_store.find("pages", {"a": "1"})) == 5


def test_no_such_run_is_one_sentence(store: Store) -> None:
    with pytest.raises(RunError, match=r"^store .*not found") as caught:
        store.get("0" * 32)
    assert "\n" not in str(caught.value)


def test_a_run_may_be_gone_on_with(store: Store) -> None:
    run = begin(store)
    run.finish("FAILED", "the disk was full")
    run.reopen()
    read = client(store).get_run(run.id)
    assert read.info.status == "RUNNING"
    assert "mlsdm.cause" not in read.data.tags
    again = store.run(run.id)
    again.reopen()  # without a cause to forget
    again.log([], numbers={"x": 1.0}, time=5000)
    again.finish("FINISHED", time=6000)
    read = client(store).get_run(run.id)
    assert (read.info.status, read.info.end_time) == ("FINISHED", 6000)


def test_what_is_logged_again_at_the_same_time_is_kept_once(store: Store) -> None:
    records = [
        Record("metric", "x", value=1.5),
        Record("series", "s", steps=(0, 1), values=(1.0, 2.0)),
    ]
    run = begin(store)
    for _ in range(2):
        store.run(run.id).log(records, numbers={"kernel/seconds": 2.0}, time=5000)
    run.finish("FINISHED")
    for name, length in (("x", 1), ("s", 2), ("kernel/seconds", 1)):
        history = client(store).get_metric_history(run.id, name)
        assert len(history) == length
        assert {point.timestamp for point in history} == {5000}


def test_empty_texts_can_be_kept(store: Store) -> None:
    with begin(store, parameters={"data": ""}, tags={"question": ""}) as run:
        pass
    data = client(store).get_run(run.id).data
    assert data.params == {"data": ""}
    assert data.tags.get("question", "") == ""


def test_a_store_knows_where_its_notes_are_and_whether_it_is_there(
    sqlite_store: Store, tmp_path: Path
) -> None:
    assert sqlite_store.state == sqlite_store.project / ".mlsdm"
    assert Store.exists(sqlite_store.project, sqlite_store.uri)
    assert not Store.exists(tmp_path, "none.db")
    assert list(tmp_path.iterdir()) == []
    served = Store(tmp_path, "http://me:secret@localhost:1", None)
    assert (served.state, served.files) == (tmp_path / ".mlsdm", None)
    assert served.address == "http://localhost:1"


def test_two_may_make_an_experiment_at_once(store: Store, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(store.experiment, ["at once"] * 4))
    assert ids == {store.experiments()["at once"]}
    assert "0" not in ids


def test_a_race_for_an_experiment_is_lost_quietly(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = sqlite_store.experiment("lost")
    look = sqlite_store._client.get_experiment_by_name
    answers = [None]
    monkeypatch.setattr(
        sqlite_store._client,
        "get_experiment_by_name",
        lambda name: answers.pop() if answers else look(name),
    )
    assert sqlite_store.experiment("lost") == id


def test_a_deleted_experiment_is_restored(store: Store) -> None:
    id = store.experiment("deleted")
    client(store).delete_experiment(id)
    assert "deleted" not in store.experiments()
    with store.start("deleted", "r", parameters={}, tags={}):
        assert store.experiments()["deleted"] == id


def test_a_refused_experiment_is_one_sentence(sqlite_store: Store) -> None:
    with pytest.raises(RunError, match=r"^store sqlite:///.*Invalid experiment name"):
        sqlite_store.experiment("")


def test_files_lie_in_the_project_and_nothing_in_the_current_folder(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.open(sqlite_store.project, sqlite_store.uri)
    with begin(store) as run:
        run.log([], files={"a.txt": "here"})
    files = artifact_root(store.project)
    assert (files / run.id / "artifacts" / "a.txt").read_text() == "here"
    assert list(tmp_path.iterdir()) == []


def test_files_lie_beside_a_store_that_lies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "elsewhere").mkdir()
    store = Store.open(tmp_path / "project", str(tmp_path / "elsewhere" / "runs.db"))
    with begin(store) as run:
        run.log([], files={"a.txt": "here"})
    assert store.files == tmp_path / "elsewhere" / "mlartifacts"
    assert (store.files / run.id / "artifacts" / "a.txt").read_text() == "here"
    assert list((tmp_path / "project").iterdir()) == []


def test_a_fresh_store_may_be_opened_by_two_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mlsdm.tracking import Store\n"
        "store = Store.open(Path(sys.argv[1]), 'fresh.db')\n"
        "with store.start('both', sys.argv[2], parameters={'a': 1}, tags={}): pass"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name], stderr=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    assert [(process.communicate()[1], process.returncode) for process in both] == [("", 0)] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["fresh.db"]
    store = Store.open(tmp_path, "fresh.db")
    runs = client(store).search_runs([store.experiment("both")])
    assert {run.info.run_name for run in runs} == {"one", "two"}
    assert {run.info.status for run in runs} == {"FINISHED"}


@given(
    st.lists(st.builds(SimpleNamespace, key=st.text(max_size=200), value=st.text(max_size=300))),
    st.integers(1, 5),
    st.integers(300, 5000),
)
def test_batches_keep_everything_within_the_limits(
    entities: list[Any], most: int, most_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlsdm.tracking.run.MOST_BYTES", most_bytes)
        batches = list(_batches(entities, most))
    assert [entity for batch in batches for entity in batch] == entities
    for batch in batches:
        size = sum(len(json.dumps([entity.key, entity.value])) for entity in batch)
        assert 1 <= len(batch) <= most
        assert size <= most_bytes or len(batch) == 1
    assert MOST_BYTES < 1e6


def test_a_verdict_on_no_number_is_kept(sqlite_store: Store) -> None:
    verdict = judge("latency.p50", math.nan)
    with begin(sqlite_store) as run:
        run.log([Record("metric", "P50", nonfinite=1, judgement=verdict)])
    data = client(sqlite_store).get_run(run.id).data
    assert data.metrics == {
        "target/latency.p50": 0.0,
        "stated/latency.p50": 10.0,
        "nonfinite/count": 1.0,
    }
    assert data.tags["mlsdm.nonfinite"] == "P50"


def test_of_two_verdicts_on_one_target_the_last_counts(sqlite_store: Store) -> None:
    fast, slow = judge("latency.p50", 1.0), judge("latency.p50", 99.0)
    with begin(sqlite_store) as run:
        run.log(
            [
                Record("metric", "fast", value=1.0, judgement=fast),
                Record("metric", "slow", value=99.0, judgement=slow),
            ]
        )
    assert client(sqlite_store).get_run(run.id).data.metrics["target/latency.p50"] == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Interval(0.3, 0.2, 0.4, 9), {"x": 0.3, "low": 0.2, "high": 0.4, "n": 9.0}),
        (Interval(0.3, math.nan, math.nan, 1), {"x": 0.3, "n": 1.0}),
    ],
)
def test_an_interval_is_kept_beside_its_mean(
    sqlite_store: Store, value: Interval, expected: dict[str, float]
) -> None:
    name = "é" * 100  # as long as a name may be
    with begin(sqlite_store) as run:
        run.log([Record(name=name, **content(value))])
    assert client(sqlite_store).get_run(run.id).data.metrics == {
        name if part == "x" else f"interval/{part}/{name}": x for part, x in expected.items()
    }


def test_a_dataset_is_an_input_and_logged_again_still_one(store: Store) -> None:
    toxic = np.array([True, False, False, False])
    vectors = np.zeros((4, 3), np.float32)
    stream = Stream(np.linspace(0, 1, 4), vectors, toxic, source="é" * 7000, scorer="vader")
    made = Record(name="data/é comments", **content(stream))
    values = Record(name="data/é comments", **content(0.5))
    with begin(store) as run:
        for _ in range(2):
            again = store.run(run.id)
            assert again.log([made, values], time=5000) == {"data/é comments": 0.5}
    read = client(store).get_run(run.id)
    assert "mlsdm.duplicates" not in read.data.tags
    (given,) = read.inputs.dataset_inputs
    data, dataset = given.dataset, made.dataset
    assert dataset is not None
    assert (data.name, data.digest) == ("data/é comments", dataset.digest[:16])
    source = json.loads(data.source)["source"]
    assert source.endswith("… (cut: 7000 characters)")
    profile = {"num_rows": 4, "toxic_share": 0.25, "scorer": "vader", "source": source}
    assert json.loads(data.profile) == profile
    names = [column["name"] for column in json.loads(data.schema)["mlflow_colspec"]]
    assert names == ["moral_value", "vector[3]", "toxic"]


def test_points_are_kept_by_their_steps_and_once(store: Store) -> None:
    points = [("means/x", float(i), i) for i in range(1, 1300)]
    with begin(store) as run:
        run.log([], numbers={"sweep/runs": 1.0})
        for _ in range(2):
            run.log_points(points, 5000)
        run.log_points([("means/x", 7.0, 1)])
    history = client(store).get_metric_history(run.id, "means/x")
    kept = {(point.value, point.step) for point in history if point.timestamp == 5000}
    assert kept == {(value, step) for _, value, step in points}
    assert len(history) == len(points) + 1
    assert client(store).get_run(run.id).data.metrics["means/x"] == 1299


def test_a_view_is_kept_with_its_experiment(store: Store) -> None:
    store.save_view("viewed", "mine", {"orderByAsc": True})
    found = client(store).get_experiment_by_name("viewed")
    assert json.loads(found.tags["mlflow.sharedViewState.mine"]) == {"orderByAsc": True}
    assert "viewed" in store.with_view("mine")
    assert "viewed" not in store.with_view("other")
