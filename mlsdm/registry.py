"""Things that users add under a name of their own, beside those that come with the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from threading import Lock
from typing import Generic, TypeVar

from mlsdm.errors import DataError, ParameterError, nearest

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Things of one kind by name: ours, those registered in this process, and entry points.

    Parameters
    ----------
    kind
        What they are called in messages.
    group
        The group of entry points (``[project.entry-points."mlsdm.policies"]`` in a package's
        pyproject.toml) by which an installed package adds its own; each is loaded when it is first
        asked for.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind, self.group = kind, group
        self._held: dict[str, T] = {}
        self._lock = Lock()

    def add(self, name: str, thing: T) -> T:
        """Put a thing under a name; the same name again replaces it, as when a cell is run twice.

        Raises
        ------
        ParameterError
            When the name is not a text, or is that of one that comes with mlsdm.
        """
        if not isinstance(name, str) or not name.strip():
            raise ParameterError(f"{self.kind}: must have a text as its name (got {name!r})")
        with self._lock:
            if name in self._held and _ours(self._held[name]) and not _ours(thing):
                raise ParameterError(f"{self.kind}: {name!r} comes with mlsdm, choose another name")
            self._held[name] = thing
        return thing

    def named(self, name: object) -> T:
        """Return the thing of that name.

        Raises
        ------
        ParameterError
            When there is none.
        DataError
            When the package that provides it cannot be loaded.
        """
        if not isinstance(name, str) or name not in self:
            raise ParameterError(f"{self.kind}: {name!r} is not known{nearest(str(name), self)}")
        return self[name]

    def __getitem__(self, name: str) -> T:
        if name in self._held:
            return self._held[name]
        # Not under the lock: the import that this is may wait for another thread's import, which
        # waits to register.
        thing = self._loaded(self._provided()[name])
        with self._lock:
            return self._held.setdefault(name, thing)

    def __contains__(self, name: object) -> bool:
        return name in self._held or name in self._provided()

    def __iter__(self) -> Iterator[str]:
        return iter({**self._held, **self._provided()})

    def __len__(self) -> int:
        return len({**self._held, **self._provided()})

    def _provided(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}

    def _loaded(self, point: EntryPoint) -> T:
        try:
            thing: T = point.load()
        except Exception as error:  # whatever another package raises while it is imported
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise DataError(
                f"{self.kind}: {point.name!r} cannot be loaded from {point.value}: {why}"
            ) from error
        return thing

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self)})"


def _ours(thing: object) -> bool:
    return str(getattr(thing, "__module__", "")).startswith("mlsdm.")
