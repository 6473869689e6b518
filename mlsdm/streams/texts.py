"""What every reader of texts needs: the check of its input, and the hint at the extra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mlsdm.errors import DataError

__all__ = ["as_texts", "text_extra"]


def as_texts(texts: Iterable[object], owner: str = "texts") -> list[str]:
    """Return `texts` as a list of plain strings.

    Raises
    ------
    DataError
        When it is one string instead of several, or holds anything that is not a string.
    """
    if isinstance(texts, str):
        raise DataError(f"{owner}: must be a sequence of texts (got the one text {texts[:40]!r})")
    if not isinstance(texts, Iterable):
        raise DataError(f"{owner}: must be a sequence of texts (got {texts!r})")
    plain = []
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{owner}: must be text (got {text!r} at row {row}, counted from 0)")
        plain.append(str(text))
    return plain


@contextmanager
def text_extra(package: str, module: str | None = None) -> Iterator[None]:
    """Turn a failed import of `package` into the sentence that says what to do.

    Parameters
    ----------
    package
        The name that it is installed by.
    module
        The name that it is imported by, where that is another.

    Raises
    ------
    DataError
        When the package is not installed, or is but cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        root = (error.name or "").partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and root == (module or package):
            raise DataError(f"{package}: is not installed; pip install mlsdm[text]") from None
        raise DataError(f"{package}: cannot be imported: {error}") from error
