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
    plain = []
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{owner}: must be text (got {text!r} at row {row}, counted from 0)")
        plain.append(str(text))
    return plain


@contextmanager
def text_extra(package: str) -> Iterator[None]:
    """Turn a failed import of `package` into the sentence that says how to install it.

    Raises
    ------
    DataError
        When the package is not installed.
    """
    try:
        yield
    except ImportError:
        raise DataError(f"{package}: is not installed; pip install mlsdm[text]") from None
