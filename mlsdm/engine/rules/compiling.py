"""How the rules are compiled: once, cached on disk, without the GIL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.extending import intrinsic

__all__ = ["allocating", "compiled", "emitted"]

_OPTIONS = {"nogil": True, "error_model": "numpy"}

F = TypeVar("F", bound=Callable[..., Any])

# Numba's cache looks at the file of the compiled function only. A rule that is called from another
# file could change without its callers being compiled anew: so all files of this folder count too.
_STAMP = hashlib.sha256(
    b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
).digest()


def _compiled(function: F, **options: Any) -> F:
    try:
        made = njit(cache=True, **options)(function)
        own = Path(function.__code__.co_filename).read_bytes()
        made._cache._cache_file._source_stamp = hashlib.sha256(_STAMP + own).digest()
    # No folder can be written, there is no file, or Numba is told not to.
    except (RuntimeError, AttributeError, OSError):
        made = njit(**options)(function)
    return cast(F, made)


def compiled(function: F) -> F:
    """Compile a rule: cached where there is room for it; no fastmath, so no sum is reordered.

    It cannot make arrays, and so its views of arrays need no counting of references.
    """
    return _compiled(function, **_OPTIONS, _nrt=False)


def allocating(function: F) -> F:
    """Compile a rule that returns or holds arrays of its own making."""
    return _compiled(function, **_OPTIONS)


def emitted(function: Callable[..., Any]) -> Any:
    """Make a function that emits its own LLVM code, for what Numba has no words for."""
    return intrinsic(function)
