"""The load measurement: what is counted, and that a real server and generator are driven by it."""

import os
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import CognitiveController, EngineParams, ParameterError
from mlsdm.errors import RunError
from mlsdm.service import load
from mlsdm.service.load import sampling
from mlsdm.service.load.plan import REQUEST, Plan, schedule


def plan(rate, connections, seconds, seed=0):
    return Plan(["0" * 32], [], rate, connections, seconds, 1.0, seed, "out")


def offered(requests, seconds=10.0, usage=()):
    """Return a load of which this became: (user, due, sent, done, status)."""
    table = pd.DataFrame(requests, columns=["user", "due", "sent", "done", "status"])
    table = table.assign(bytes=0, retry_after=np.nan)
    columns = ["t", "server_seconds", "server_bytes", "generator_seconds", "others_seconds"]
    used = pd.DataFrame(usage, columns=columns, dtype=float)
    return load.Offered("event", len(table) / seconds, 2, seconds, 0.0, table, used)


@given(
    rate=st.floats(1, 500), connections=st.integers(1, 50), seconds=st.floats(0.1, 5),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_each_user_has_a_request_in_each_of_its_slots(rate, connections, seconds, seed):
    users = schedule(plan(rate, connections, seconds, seed))
    slot = connections / rate
    assert len(users) == connections
    for user, requests in enumerate(users):
        assert requests.dtype == REQUEST
        assert (requests["user"] == user).all()
        due = requests["due"]
        assert ((due >= 0) & (due < seconds)).all()
        gaps = np.diff(due)
        assert (gaps >= 0).all()
        assert (gaps <= 2 * slot * (1 + 1e-9)).all()
        assert abs(due.size - seconds / slot) <= 2


def test_users_are_independent_and_all_offer_the_rate_together():
    users = schedule(plan(1000, 1000, 10))
    due = np.sort(np.concatenate(users)["due"])
    assert due.size == pytest.approx(10_000, abs=100)
    # Of independent users: as many requests in a hundredth of a second as Poisson's law has.
    counts = np.bincount((100 * due).astype(int))
    assert counts.var() == pytest.approx(counts.mean(), rel=0.15)
    assert not np.array_equal(users[0]["due"], users[1]["due"])
    again = np.concatenate(schedule(plan(1000, 1000, 10)))
    assert np.array_equal(np.sort(again["due"]), due)


def test_a_latency_counts_from_when_the_request_was_due():
    found = offered(
        [
            (0, -1.0, -1.0, 5.0, 200),  # of the warm-up
            (0, 1.0, 5.0, 5.5, 200),  # sent late, as the connection was not free
            (1, 2.0, 2.0, 2.5, 200),
            (1, 3.0, 3.25, 4.0, 503),
            (1, 9.0, 9.0, np.nan, 0),  # never answered: the last answer came at 5.5
        ]
    )
    assert found.latency == pytest.approx([4500, 500, 1000, 1000])
    assert (found.errors, found.served) == (2, 1)
    assert found.offered == pytest.approx(0.4)
    assert found.achieved == pytest.approx(0.3)  # what the warm-up left is answered as well
    assert not found.carried
    assert found.generator_late == pytest.approx(250, rel=0.05)


def test_percentiles_are_those_of_every_request_and_lie_in_their_intervals():
    rng = np.random.default_rng(1)
    due = np.sort(10 * rng.random(3000))
    waits = rng.exponential(0.01, 3000)
    found = offered([(0, at, at, at + wait, 200) for at, wait in zip(due, waits, strict=True)])
    for level in (50, 95, 99):
        percentile = found.percentile(level)
        assert percentile.mean == pytest.approx(1e3 * np.percentile(waits, level))
        assert percentile.low < percentile.mean < percentile.high
    assert found.percentile(50).low == pytest.approx(1e3 * np.log(2) * 0.01, rel=0.15)
    assert found.carried


def test_a_pause_that_delays_many_at_once_makes_the_interval_wide():
    due = np.linspace(0, 10, 3000, endpoint=False)
    paused = np.where((due > 5) & (due < 5.3), 0.1, 0.001)  # 3 % of all, in one place
    scattered = np.random.default_rng(0).permutation(paused)
    one, many = (
        offered([(0, at, at, at + wait, 200) for at, wait in zip(due, waits, strict=True)])
        for waits in (paused, scattered)
    )
    assert one.percentile(95).high > many.percentile(95).high
    assert one.percentile(99).low < many.percentile(99).low


def test_growth_and_processor_time_are_those_while_requests_were_due():
    usage = [(t, 0.5 * t, 1e9 + 1e6 * t / 60, 0.25 * t, t) for t in np.arange(-2, 12, 0.1)]
    usage[5] = (*usage[5][:2], 5e9, 0, 0)
    found = offered([(0, 1.0, 1.0, 1.1, 200)], usage=usage)
    assert found.growth().mean == pytest.approx(1)
    used = [found.cpu(who) for who in ("server", "generator", "others")]
    assert used == pytest.approx([0.5, 0.25, 1])


def test_answers_are_counted_with_what_retry_after_said():
    found = offered([(0, i, i, i + 0.1, 200 if i < 2 else 429) for i in range(10)])
    found.requests.loc[2:, "retry_after"] = [1.0, 2.0] * 4
    table = found.answers().set_index("status")
    assert table["requests"].to_dict() == {200: 2, 429: 8}
    assert table["share"].to_dict() == {200: 0.2, 429: 0.8}
    assert tuple(table.loc[429, ["retry after, least", "most"]]) == (1.0, 2.0)


@contextmanager
def answering(answer):
    """Run a server in this process that connects all, and answers a POST as it is told to."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer

        def do_GET(self):
            self.reply(200)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(answer())

        def reply(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.send_header("Retry-After", "3")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield load.Server(url, psutil.Process(), None, ["0" * 32])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_requests_that_a_late_answer_holds_up_are_late_too():
    """No coordinated omission: one pause of half a second is many latencies, not one."""
    count = iter(range(10_000))

    def answer():
        time.sleep(0.5 if (number := next(count)) == 30 else 0)
        return 429 if number == 31 else 200

    with answering(answer) as server:
        found = load.offer(server, rate=40, connections=1, seconds=1.5, warm_up=0.1)
    assert (found.latency > 100).sum() >= 10
    assert (found.latency.max()) == pytest.approx(500, abs=150)
    answers = found.answers().set_index("status")
    assert answers.loc[429, "requests"] == 1
    assert answers.loc[429, "most"] == 3
    assert not found.carried


def test_only_a_load_that_is_known_is_sent_and_only_to_this_machine():
    elsewhere = load.Server("http://192.0.2.1:80", psutil.Process(), None)
    with pytest.raises(ParameterError, match=r"must be on 127\.0\.0\.1"):
        load.offer(elsewhere)
    here = load.Server("http://127.0.0.1:1", psutil.Process(), None)
    with pytest.raises(ParameterError, match="'events' is unknown; did you mean 'event'"):
        load.offer(here, kind="events")


@pytest.fixture
def uncovered(monkeypatch):
    """Processes that coverage stays out of: what is measured here is what they do."""
    for name in list(os.environ):
        if name.startswith("COVERAGE_"):
            monkeypatch.delenv(name)


def test_a_real_server_takes_a_real_load_and_tells_where_its_time_goes(uncovered):
    with load.serving({"rate": {"per_second": 0}}, sampled=True) as server:
        load.fill(server, sessions=2, dim=8, capacity=50)
        loads = load.climb(server, [100], connections=10, seconds=1, warm_up=0.2, kind="mix")
    (found,) = loads
    assert not server.process.is_running()
    assert found.errors == 0
    assert found.served == 10
    assert len(found.counted) == pytest.approx(100, abs=15)
    row = load.table(loads).iloc[0]
    assert 0 < row["P50"] <= row["P95"] <= row["P99"] <= row["P99.9"]
    assert row["server MB"] > 10
    shares = load.shares(server.samples, found)
    assert shares["share"].sum() == pytest.approx(1)
    assert set(sampling.PARTS) < set(shares["part"])


def test_a_server_that_refuses_its_settings_is_an_error_that_says_why(uncovered):
    with (
        pytest.raises(RunError, match=r"did not start: .*per_secnd"),
        load.serving({"rate": {"per_secnd": 1}}),
    ):
        pass


def test_a_frame_belongs_to_the_part_of_its_module():
    assert sampling.part_of("mlsdm.engine.controller") == "engine"
    assert sampling.part_of("mlsdm.service.messages") == "JSON"
    assert sampling.part_of("mlsdm.service.edge") == "middlewares"
    assert sampling.part_of("mlsdm.serviceability") is None


def test_what_a_process_does_is_noted_while_it_works(tmp_path, monkeypatch):
    monkeypatch.setenv("MLSDM_LOAD_SAMPLES", str(tmp_path / "samples.csv"))
    controller = CognitiveController(EngineParams(dim=2))
    vector = np.ones(2, np.float32)
    controller.process_event(vector, 0.5)  # compiles
    sampling.start()
    end = time.process_time() + 0.4
    while time.process_time() < end:
        for _ in range(100):
            controller.process_event(vector, 0.5)
    sampling.stop()
    samples = pd.read_csv(tmp_path / "samples.csv")
    assert len(samples) > 20
    assert (samples["part"] == "engine").mean() > 0.5
    assert samples["t"].is_monotonic_increasing
