"""Scorers: from texts to moral values, 1 for harmless and 0 for toxic."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.errors import ParameterError, nearest
from mlsdm.streams.corpus import SPLIT, Comments, corpus, corpus_path
from mlsdm.streams.quality import ScorerReport, scorer_report
from mlsdm.streams.texts import as_texts, text_extra

__all__ = ["SCORERS", "Classifier", "Scorer", "classifier", "scorer_label", "scorer_named"]

Scorer = Callable[[Sequence[str]], NDArray[np.float64]]

# Chosen within the training part, so that the held-out part stays unseen.
VECTORIZER = {"n_features": 2**18}
# Plain loops in a fixed order: unlike scikit-learn's other solvers, this one hardly calls the BLAS,
# whose sums depend on the kind of CPU.
REGRESSION = {"loss": "log_loss", "alpha": 1e-6, "max_iter": 50, "tol": None, "random_state": 0}
DECIMALS = 6  # of weights and moral values: CPUs still differ in the last bits
MAX_REPORTED = 30_000  # held-out comments behind the report: an AUC to about 0.003

_log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def _vectorizer() -> Any:
    with text_extra("scikit-learn", "sklearn"):
        from sklearn.feature_extraction.text import HashingVectorizer
    return HashingVectorizer(**VECTORIZER)


@dataclass(frozen=True, eq=False)
class Classifier:
    """Logistic regression on hashed words, trained on the corpus's training part.

    Training differs between kinds of CPU by about 1e-14, and weights and moral values are rounded
    to six decimals: with the same releases of the packages all machines have the same weights and
    values, save where a number lies that close to a rounding boundary.

    Parameters
    ----------
    weights
        (2**18,) float64, one a hashed word.
    intercept
        Log odds of a text without any word.
    report
        What it is worth on held-out comments.
    """

    weights: NDArray[np.float64]
    intercept: float
    report: ScorerReport

    @property
    def fingerprint(self) -> str:
        """The first 8 hexadecimal digits of the sha256 of weights and intercept."""
        parts = np.append(self.weights, self.intercept).astype("<f8")
        return hashlib.sha256(parts.tobytes()).hexdigest()[:8]

    def moral_values(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return 1 - P(toxic) of each text, to six decimals.

        Raises
        ------
        DataError
            When `texts` is not a sequence of strings.
        """
        return _moral_values(self.weights, self.intercept, as_texts(texts))


def _moral_values(
    weights: NDArray[np.float64], intercept: float, texts: Sequence[str]
) -> NDArray[np.float64]:
    if len(texts) == 0:
        return np.empty(0)
    logit = _vectorizer().transform(texts) @ weights + intercept
    # 1 - sigmoid, without overflow
    return np.asarray(np.round(0.5 * (1.0 - np.tanh(0.5 * logit)), DECIMALS))


def _train(train: Comments, held_out: Comments) -> dict[str, Any]:
    """Return what the cache keeps: the model, and its values on held-out comments."""
    with text_extra("scikit-learn", "sklearn"):
        from sklearn.linear_model import SGDClassifier
    model = SGDClassifier(**REGRESSION)
    model.fit(_vectorizer().transform(train.texts), train.toxic)
    weights = np.round(model.coef_[0], DECIMALS)
    intercept = np.round(model.intercept_[0], DECIMALS)
    return {
        "weights": weights,
        "intercept": intercept,
        "n_train": len(train),
        "toxic": held_out.toxic[:MAX_REPORTED],
        "moral_values": _moral_values(weights, intercept, held_out.texts[:MAX_REPORTED].tolist()),
    }


def _classifier(parts: dict[str, Any]) -> Classifier:
    if parts["weights"].shape != (VECTORIZER["n_features"],):
        raise ValueError("weights of another model")
    return Classifier(
        weights=parts["weights"],
        intercept=float(parts["intercept"]),
        report=scorer_report(parts["toxic"], parts["moral_values"], int(parts["n_train"])),
    )


def _cache_file(data: Path) -> Path:
    with text_extra("scikit-learn", "sklearn"):
        import sklearn
    import platformdirs

    with data.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    made_of = [digest, SPLIT, VECTORIZER, REGRESSION, DECIMALS, MAX_REPORTED, sklearn.__version__]
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
    folder = os.environ.get("MLSDM_CACHE_DIR") or platformdirs.user_cache_dir("mlsdm")
    return Path(folder).expanduser() / f"classifier-{key}.npz"


def _load_or_train(data: Path, read: Callable[[], tuple[Comments, Comments]]) -> Classifier:
    cache = _cache_file(data)
    try:
        # numpy leaves a file that it opened itself open where the archive is damaged.
        with cache.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            return _classifier(dict(stored))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        _log.warning("%s: is damaged, the classifier is trained again", cache)
    parts = _train(*read())
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as aside:
            np.savez(Path(aside) / cache.name, **parts)
            os.replace(Path(aside) / cache.name, cache)
    except OSError as error:
        _log.warning("%s: cannot be written, so the next process trains again: %s", cache, error)
    return _classifier(parts)


@lru_cache(maxsize=1)
def classifier() -> Classifier:
    """Return the trained classifier: from the cache, else trained once in a few seconds.

    The cache lies under ``MLSDM_CACHE_DIR``, else in the user's cache folder.

    Raises
    ------
    DataError
        When the corpus or scikit-learn is not installed.
    """
    return _load_or_train(corpus_path(), corpus)


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    with text_extra("vaderSentiment"):
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    return SentimentIntensityAnalyzer()


def _vader(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return (compound + 1) / 2 of VADER, Hutto & Gilbert 2014 (10.1609/icwsm.v8i1.14550)."""
    compound = [_analyzer().polarity_scores(text)["compound"] for text in as_texts(texts)]
    return (np.array(compound, dtype=np.float64) + 1.0) / 2.0


def _classify(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return 1 - P(toxic) of the trained classifier."""
    return classifier().moral_values(texts)


SCORERS: dict[str, Scorer] = {"classifier": _classify, "vader": _vader}


def scorer_named(name: str) -> Scorer:
    """Return the scorer of that name.

    Raises
    ------
    ParameterError
        When there is none.
    """
    if name not in SCORERS:
        raise ParameterError(f"scorer: {name!r} is not known{nearest(str(name), SCORERS)}")
    return SCORERS[name]


def scorer_label(name: str) -> str:
    """Return a scorer's name as a record has it: the classifier with its fingerprint."""
    return f"{name} {classifier().fingerprint}" if name == "classifier" else name
