"""The end of a server under load: no accepted event is lost, or what is lost is told."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time

import httpx
import pytest
from serving import DIM, process, rows, stream

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals to send")

VECTORS, VALUES = stream(1)


class Callers:
    """Threads that send events, one after another, until the server is gone."""

    def __init__(self, url: str, paths: list[str], each: int) -> None:
        self.accepted = dict.fromkeys(paths, 0)
        self.refused: list[int] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._call, args=(url, path))
            for path in paths
            for _ in range(each)
        ]
        for thread in self._threads:
            thread.start()

    def _call(self, url: str, path: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while True:
                try:
                    answer = client.post(f"{path}/events", **rows(VECTORS, VALUES))
                except httpx.TransportError:
                    return
                with self._lock:
                    if answer.status_code == 200:
                        self.accepted[path] += 1
                    else:
                        self.refused.append(answer.status_code)

    def wait_for(self, n: int) -> None:
        """Wait until that many events have been accepted."""
        for _ in range(3000):
            if sum(self.accepted.values()) >= n:
                return
            time.sleep(0.01)
        raise AssertionError(f"only {self.accepted} in 30 s")

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


def begin(url: str, n: int) -> list[str]:
    answers = [httpx.post(f"{url}/v1/sessions", json={"params": {"dim": DIM}}) for _ in range(n)]
    return [answer.headers["location"] for answer in answers]


def test_sigterm_under_load_loses_no_accepted_event(tmp_path):
    with process(tmp_path) as (url, child):
        callers = Callers(url, begin(url, 3), each=4)
        callers.wait_for(500)
        began = time.monotonic()
        for _ in range(2):  # as `timeout` does, which tells the group too
            child.send_signal(signal.SIGTERM)
            time.sleep(0.005)
        assert child.wait(30) == 0
        assert time.monotonic() - began < 30
        callers.join()
    assert callers.refused == []
    with process(tmp_path) as (url, _):
        found = {path: httpx.get(f"{url}{path}").json() for path in callers.accepted}
    assert {path: info["events"] for path, info in found.items()} == callers.accepted
    assert all(info["gaps"] == [] for info in found.values())


def test_sigkill_under_load_comes_back_from_the_snapshots_and_tells_of_the_gap(tmp_path):
    with process(tmp_path, sessions={"snapshot_seconds": 0.2}) as (url, child):
        callers = Callers(url, begin(url, 2), each=3)
        callers.wait_for(600)
        child.kill()
        child.wait()
        callers.join()
    with process(tmp_path, sessions={"snapshot_seconds": 0}) as (url, _):
        lost = 0
        for path, accepted in callers.accepted.items():
            info = httpx.get(f"{url}{path}").json()
            gap = sum(one["lost"] for one in info["gaps"])
            assert all(one["first"] == info["events"] for one in info["gaps"])
            # Each of three callers may have had an event taken whose answer it never got.
            assert accepted <= info["events"] + gap <= accepted + 3
            assert info["events"] > 0  # there were snapshots by the clock
            lost += gap
        assert lost > 0
        assert f"mlsdm_events_lost_total {lost}.0" in httpx.get(f"{url}/health/metrics").text
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sum(line["lost"] for line in lines if line["event"] == "events lost") == lost
