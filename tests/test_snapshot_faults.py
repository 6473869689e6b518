"""Files that are no snapshots, and saves that go wrong."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snapshots import SMALL, held, in_folder, lived

from mlsdm import CognitiveController, DataError, EngineParams, LatticeParams
from mlsdm.engine.rules import layout

ONE_SENTENCE = r"\ACognitiveController\.(load|save): '[^\n]+' [^\n]+[^.\n]\Z"


def refusal(path: Path) -> str:
    """Return the one sentence in which a file is refused; it names the file."""
    with pytest.raises(DataError, match=ONE_SENTENCE) as caught:
        CognitiveController.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_cut_at_any_length_is_refused(tmp_path: Path) -> None:
    whole = lived(SMALL, 20).save(tmp_path / "it").read_bytes()
    path = tmp_path / "cut"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        why = "is cut short" if length >= 15 else "is not a snapshot of an engine"
        assert why in refusal(path)
    path.write_bytes(whole + b"\0")
    assert "altered" in refusal(path)


def test_a_change_of_any_byte_is_refused(tmp_path: Path) -> None:
    whole = lived(SMALL, 20).save(tmp_path / "it").read_bytes()
    path = tmp_path / "altered"
    for place in range(len(whole)):
        for change in (255, 1 << place % 8):
            altered = bytearray(whole)
            altered[place] ^= change
            path.write_bytes(altered)
            why = "altered" if place >= 15 else "is not a snapshot of an engine"
            assert why in refusal(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "it"
    assert "is not a file that exists" in refusal(path)
    assert "is not a file that exists" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is not a file that exists" in refusal(tmp_path / "pipe")
    archive = tmp_path / "arrays.npz"
    np.savez(archive, vectors=np.zeros((3, 2), np.float32))
    for content in (
        b"",
        b"just a text\n",
        bytes(5000),
        pickle.dumps({"params": 1}),
        archive.read_bytes(),
    ):
        path.write_bytes(content)
        assert "is not a snapshot of an engine" in refusal(path)
        path.write_bytes(b"mlsdm snapshot 2\n" + content)
        assert "is cut short or altered" in refusal(path)


def signed(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


def parts(whole: bytes) -> tuple[dict[str, Any], bytes]:
    _, header, arrays = whole[:-32].split(b"\n", 2)
    return json.loads(header), arrays


def joined(header: dict[str, Any], arrays: bytes, version: str = "2") -> bytes:
    return signed(f"mlsdm snapshot {version}\n{json.dumps(header)}\n".encode() + arrays)


HUGE = {"dim": 32_767, "lattice": {"capacity": 10**6}, "max_memory_bytes": 2**62}
FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown parameter": ({"params": {"dims": 2}}, "EngineParams.dims: unknown parameter"),
    "over its bound": ({"params": {"dim": 30_000}}, "over max_memory_bytes"),
    "a wrong dimension": ({"params": {"dim": 3}}, "arrays that do not fit its parameters"),
    "a huge one": ({"params": HUGE}, "arrays that do not fit its parameters"),
    "no parameters": ({"params": None}, "EngineParams: must be made from a mapping"),
    "more rows than room": ({"rows": 2**40}, "rows: must be a whole number in [0, 20000]"),
    "too many dimensions": ({"params": {"dim": 2**40}}, "EngineParams.dim: should be less than"),
    "fewer rows": ({"rows": 2}, "arrays that do not fit its parameters"),
    "rows of another kind": ({"rows": "3"}, "rows: must be a whole number"),
    "a negative count": ({"restored": -1}, "restored: must be a whole number"),
    "a reason of another kind": ({"emergency": 5}, "a header that is not of this format"),
    "other arrays": ({"arrays": []}, "arrays that do not fit its parameters"),
}


@pytest.mark.parametrize("case", FORGED)
def test_what_cannot_be_is_refused_though_the_digest_fits(case: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    header, arrays = parts(lived(EngineParams(dim=2), 20).save(path).read_bytes())
    changes, why = FORGED[case]
    path.write_bytes(joined(header | changes, arrays))
    tracemalloc.start()
    assert why in refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_other_formats_are_refused_though_the_digest_fits(tmp_path: Path) -> None:
    path = tmp_path / "it"
    header, arrays = parts(lived(SMALL, 20).save(path).read_bytes())
    for version in ("1", "0", "2.5", ""):
        path.write_bytes(joined(header, arrays, version))
        assert f"has version {version!r} of the format, and this mlsdm reads version 2" in refusal(
            path
        )
    for line in (b"", b"{", b"[]", b"{}", b"\xff", b"[" * 10**5, b"9" * 5000):
        path.write_bytes(signed(b"mlsdm snapshot 2\n" + line + b"\n" + arrays))
        assert "has a header that is not of this format" in refusal(path)
    for changed in (arrays[:-1], arrays + b"\0", b""):
        path.write_bytes(joined(header, changed))
        assert "holds arrays that do not fit its parameters" in refusal(path)


@pytest.mark.parametrize("field", ["next", "size", "phase", "wake", "scrubbed", "events"])
def test_a_state_that_would_leave_its_arrays_is_refused(field: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    header, arrays = parts(lived(SMALL, 20).save(path).read_bytes())
    states = np.frombuffer(bytearray(arrays), layout.STATE, layout.COPIES)
    states[field] = -1
    forged = states.tobytes() + arrays[states.nbytes :]
    path.write_bytes(joined(header, forged))
    assert "holds a state that does not fit its parameters" in refusal(path)


@contextmanager
def no_file_over(length: int) -> Iterator[None]:
    """Make the system refuse to write a file beyond this length, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_the_file_finds_no_room_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "it"
    old = lived(SMALL, 3).save(path).read_bytes()
    controller = lived(SMALL, 20)
    length = controller.save(tmp_path / "other").stat().st_size
    for room in range(length):
        with no_file_over(room), pytest.raises(DataError, match=ONE_SENTENCE) as caught:
            controller.save(path)
        assert "cannot be written: File too large" in str(caught.value)
        assert path.read_bytes() == old
        assert in_folder(tmp_path) == ["it", "other"]
    with no_file_over(length):
        controller.save(path)
    assert held(CognitiveController.load(path)) == held(controller)


def test_a_large_file_that_finds_no_room_leaves_the_engine_usable(tmp_path: Path) -> None:
    controller = lived(EngineParams(dim=384, lattice=LatticeParams(capacity=3000)), 5000)
    for room in (0, 10**6, 4 * 10**6):
        with no_file_over(room), pytest.raises(DataError, match="cannot be written"):
            controller.save(tmp_path / "it")
        assert in_folder(tmp_path) == []
        assert controller.process_event(np.ones(384), 0.0).reason != "emergency"


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_whatever_stops_a_save_the_old_file_stays(
    call: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it"
    old = lived(SMALL, 3).save(path).read_bytes()

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fails)
        with pytest.raises((DataError, KeyboardInterrupt)) as caught:
            lived(SMALL, 20).save(path)
    assert isinstance(caught.value, KeyboardInterrupt) == isinstance(error, KeyboardInterrupt)
    assert path.read_bytes() == old
    assert in_folder(tmp_path) == ["it"]


def test_where_no_file_can_be_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "it", tmp_path / "folder", Path("/"), tmp_path / ("x" * 256)):
        with pytest.raises(DataError, match=ONE_SENTENCE):
            lived(SMALL, 3).save(path)
    assert in_folder(tmp_path) == ["folder"]
    assert lived(SMALL, 3).save(tmp_path / ("x" * 255)).is_file()


def test_the_file_is_on_disk_before_it_takes_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            place = os.fstat(args[0]).st_ino if name == "fsync" else 0
            made.append(f"{name} of the folder" if place == tmp_path.stat().st_ino else name)
            return call(*args)

        return run

    controller = lived(SMALL, 3)
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    controller.save(tmp_path / "it")
    assert made == ["fsync", "replace", "fsync of the folder"]


# A child saves two engines in turn under one name, until it is killed at a random moment.
KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from mlsdm import CognitiveController, EngineParams, LatticeParams, simulate

path, kills = Path(sys.argv[1]), int(sys.argv[2])
params = EngineParams(dim=384, lattice=LatticeParams(capacity=2000))
def made(n):
    rng = np.random.default_rng(n)
    return simulate(params, rng.standard_normal((n, 384)), rng.random(n)).controller
one, other = made(600), made(3000)
wholes = {engine.save(path).read_bytes(): engine.events for engine in (other, one)}
begun = time.perf_counter()
other.save(path), one.save(path)
both = time.perf_counter() - begun
rng = random.Random(kills)
for _ in range(kills):
    child = os.fork()
    if child == 0:
        while True:
            other.save(path), one.save(path)
    time.sleep(rng.uniform(0, 3 * both))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    events = CognitiveController.load(path).events
    assert wholes[path.read_bytes()] == events
    asides = [file for file in path.parent.iterdir() if file != path]
    assert len(asides) <= 1
    for aside in asides:
        aside.unlink()
    print(events, len(asides))
"""


def killed(path: Path, kills: int) -> list[list[int]]:
    """Return, for each kill, the events of the snapshot that is there, and the files left over."""
    command = [sys.executable, "-W", "ignore", "-c", KILLS, str(path), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [[int(number) for number in line.split()] for line in done.stdout.splitlines()]


def test_a_killed_save_leaves_a_whole_snapshot(tmp_path: Path) -> None:
    assert len(killed(tmp_path / "it", 8)) == 8


@pytest.mark.long
def test_a_save_killed_at_a_hundred_moments_leaves_a_whole_snapshot(tmp_path: Path) -> None:
    ends = killed(tmp_path / "it", 100)
    assert {events for events, _ in ends} == {600, 3000}
    assert {asides for _, asides in ends} == {0, 1}  # some kills fell into the writing
