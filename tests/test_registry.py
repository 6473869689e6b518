from __future__ import annotations

import sys
import threading
from collections.abc import Mapping

import pytest

from mlsdm.errors import DataError, ParameterError
from mlsdm.registry import Registry

GROUP = "mlsdm.test_things"


@pytest.fixture
def registry():
    """A registry with one thing of ours."""
    things = Registry("thing", GROUP)
    things.add("round", "a ball")
    return things


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return what puts a package with entry points on the path, as its installation would."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, code, points):
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *points, ""]))
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(tmp_path)  # the finders forget what they have seen

    yield install
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_it_reads_as_a_mapping_in_the_order_of_adding(registry):
    assert registry.add("square", "a box") == "a box"
    assert isinstance(registry, Mapping)
    assert list(registry.items()) == [("round", "a ball"), ("square", "a box")]
    assert len(registry) == 2
    assert registry.named("square") == registry["square"] == "a box"
    assert "square" in registry
    assert "flat" not in registry
    assert repr(registry) == "Registry('thing': round, square)"


def test_the_same_name_again_replaces(registry):
    registry.add("round", "a wheel")
    assert dict(registry) == {"round": "a wheel"}


@pytest.mark.parametrize("name", ["", "  ", None, 7, ("round",)])
def test_what_is_no_name_is_refused_and_nothing_changes(registry, name):
    with pytest.raises(ParameterError, match="thing: must have a text as its name"):
        registry.add(name, "a ball")
    assert dict(registry) == {"round": "a ball"}


def test_an_unknown_name_is_refused_with_the_nearest(registry, install):
    install("shapes", "flat = 'a sheet'", ["flat = shapes:flat"])
    for name, tail in {"rond": "did you mean 'round'?", "flatt": "did you mean 'flat'?"}.items():
        with pytest.raises(ParameterError) as refused:
            registry.named(name)
        assert str(refused.value) == f"thing: '{name}' is not known; {tail}"
    for name in ("xyzzy", 7, None, [7]):
        with pytest.raises(ParameterError, match=r"is not known; known are flat, round$"):
            registry.named(name)
    with pytest.raises(KeyError):
        registry["rond"]
    assert registry.get("rond") is None


def test_an_entry_point_is_loaded_once_and_only_when_asked_for(registry, install):
    install("shapes", "flat = ['a sheet']", ["flat = shapes:flat", "edgy = shapes:missing"])
    assert set(registry) == {"round", "flat", "edgy"}
    assert len(registry) == 3
    assert "flat" in registry
    assert "shapes" not in sys.modules
    assert registry["flat"] == ["a sheet"]
    assert registry.named("flat") is registry["flat"]
    assert registry["flat"] is sys.modules["shapes"].flat


def test_what_is_added_here_comes_before_an_entry_point_of_that_name(registry, install):
    install("shapes", "raise SystemError('must not be loaded')", ["round = shapes:round"])
    assert registry["round"] == "a ball"
    assert len(registry) == 1


@pytest.mark.parametrize(
    ("code", "point", "said"),
    [
        ("flat = 1", "shapes:flatt", "has no attribute 'flatt'"),
        ("import no_such_package", "shapes:flat", "No module named 'no_such_package'"),
        ("1 / 0", "shapes:flat", "division by zero"),
        ("flat =", "shapes:flat", "invalid syntax"),
        ("flat = 1", "shapez:flat", "No module named 'shapez'"),
    ],
)
def test_one_that_cannot_be_loaded_is_named_in_a_sentence(registry, install, code, point, said):
    install("shapes", code, [f"flat = {point}"])
    with pytest.raises(DataError) as refused:
        registry.named("flat")
    sentence = str(refused.value)
    assert sentence.startswith(f"thing: 'flat' cannot be loaded from {point}: ")
    assert said in sentence
    assert "\n" not in sentence
    assert registry["round"] == "a ball"  # the others are still there


def test_what_an_entry_point_loads_may_register_itself(registry, install, monkeypatch):
    monkeypatch.setattr(sys, "test_registry", registry, raising=False)
    code = "import sys\nflat = sys.test_registry.add('flat', 'a sheet')"
    install("shapes", code, ["flat = shapes:flat"])
    assert registry["flat"] == "a sheet"
    assert list(registry) == ["round", "flat"]


def test_two_threads_that_load_and_register_do_not_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A package registers while it is imported; who asks for its entry point waits for that."""
    registry: Registry[int] = Registry("thing", "mlsdm.things")
    importing, asked = threading.Event(), threading.Event()

    class Point:
        name, value = "late", "late:thing"

        def load(self) -> int:
            asked.set()
            assert importing.wait(10)
            return 3

    monkeypatch.setattr(registry, "_provided", lambda: {"late": Point()})
    loader = threading.Thread(target=lambda: registry["late"])
    loader.start()
    assert asked.wait(10)
    registry.add("early", 2)  # as the import does, that the loader waits for
    importing.set()
    loader.join(10)
    assert not loader.is_alive()
    assert (registry["late"], registry["early"]) == (3, 2)
