"""Scorers that are trained once on the corpus: logistic regression on hashed pieces of a text."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlsdm.errors import ParameterError, nearest
from mlsdm.streams.corpus import SPLIT, Comments, corpus, corpus_path
from mlsdm.streams.quality import ScorerReport, scorer_report
from mlsdm.streams.texts import as_texts, text_extra

__all__ = ["TRAINED", "Classifier", "TrainedScorer", "classifier"]

N_FEATURES = 2**18
# Plain loops in a fixed order: unlike scikit-learn's other solvers, this one hardly calls the BLAS,
# whose sums depend on the kind of CPU.
REGRESSION = {"loss": "log_loss", "alpha": 1e-6, "tol": None, "random_state": 0}
DECIMALS = 6  # of weights and moral values: CPUs still differ in the last bits
MAX_REPORTED = 30_000  # held-out comments behind the report: an AUC to about 0.003
BATCH = 10_000  # texts that are scored at once: the pieces of a million fill the memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedScorer:
    """A scorer whose classifier is trained, or loaded, when it is first asked.

    Parameters
    ----------
    name
        Its name in `SCORERS`, and what its cache file begins with.
    analyzer
        Whether the pieces of a text are words, or characters within words.
    ngrams
        Shortest and longest run of them that is one piece.
    epochs
        Passes over the training part.
    max_chars
        Length that a text is cut to; None keeps it whole.
    """

    name: str
    analyzer: Literal["word", "char_wb"]
    ngrams: tuple[int, int]
    epochs: int
    max_chars: int | None = None

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return 1 - P(toxic) of each text, to six decimals."""
        return self.classifier.moral_values(texts)

    @cached_property
    def classifier(self) -> Classifier:
        """The trained classifier: from the cache, else trained now."""
        return _load_or_train(self, corpus_path(), corpus)

    def features(self, texts: Sequence[str]) -> Any:
        """Return a sparse (len(texts), 2**18) matrix: the hashed pieces, each row of length 1."""
        with text_extra("scikit-learn", "sklearn"):
            from sklearn.feature_extraction.text import HashingVectorizer
        vectorizer = HashingVectorizer(
            analyzer=self.analyzer, ngram_range=self.ngrams, n_features=N_FEATURES
        )
        # Half of a surrogate pair, which a cut or a broken source leaves, cannot be hashed.
        return vectorizer.transform(
            [text[: self.max_chars].encode(errors="replace").decode() for text in texts]
        )


@dataclass(frozen=True, eq=False)
class Classifier:
    """Logistic regression on hashed pieces of a text, trained on the corpus's training part.

    Training differs between kinds of CPU by about 1e-14, and weights and moral values are rounded
    to six decimals: with the same releases of the packages all machines have the same weights and
    values, save where a number lies that close to a rounding boundary.

    Parameters
    ----------
    scorer
        What it belongs to, and how a text is taken apart.
    weights
        (2**18,) float64, one a hashed piece.
    intercept
        Log odds of a text without any piece.
    report
        What it is worth on held-out comments.
    """

    scorer: TrainedScorer
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
        return _moral_values(self.scorer, self.weights, self.intercept, as_texts(texts))


def _moral_values(
    scorer: TrainedScorer, weights: NDArray[np.float64], intercept: float, texts: Sequence[str]
) -> NDArray[np.float64]:
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    sums = [scorer.features(batch) @ weights for batch in batches]
    logit = np.concatenate([np.empty(0), *sums]) + intercept
    # 1 - sigmoid, without overflow
    return np.asarray(np.round(0.5 * (1.0 - np.tanh(0.5 * logit)), DECIMALS))


def _train(scorer: TrainedScorer, train: Comments, held_out: Comments) -> dict[str, Any]:
    """Return what the cache keeps: the model, and its values on held-out comments."""
    with text_extra("scikit-learn", "sklearn"):
        from sklearn.linear_model import SGDClassifier
    model = SGDClassifier(**REGRESSION, max_iter=scorer.epochs)
    model.fit(scorer.features(train.texts.tolist()), train.toxic)
    weights = np.round(model.coef_[0], DECIMALS)
    intercept = np.round(model.intercept_[0], DECIMALS)
    texts = held_out.texts[:MAX_REPORTED].tolist()
    return {
        "weights": weights,
        "intercept": intercept,
        "n_train": len(train),
        "toxic": held_out.toxic[:MAX_REPORTED],
        "moral_values": _moral_values(scorer, weights, intercept, texts),
    }


def _classifier(scorer: TrainedScorer, parts: dict[str, Any]) -> Classifier:
    if parts["weights"].shape != (N_FEATURES,):
        raise ValueError("weights of another model")
    return Classifier(
        scorer=scorer,
        weights=parts["weights"],
        intercept=float(parts["intercept"]),
        report=scorer_report(parts["toxic"], parts["moral_values"], int(parts["n_train"])),
    )


def _cache_file(scorer: TrainedScorer, data: Path) -> Path:
    with text_extra("scikit-learn", "sklearn"):
        import sklearn
    import platformdirs

    with data.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    rules = [SPLIT, N_FEATURES, REGRESSION, DECIMALS, MAX_REPORTED, sklearn.__version__]
    made_of = json.dumps([digest, asdict(scorer), *rules], sort_keys=True)
    key = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    folder = os.environ.get("MLSDM_CACHE_DIR") or platformdirs.user_cache_dir("mlsdm")
    return Path(folder).expanduser() / f"{scorer.name}-{key}.npz"


def _load_or_train(
    scorer: TrainedScorer, data: Path, read: Callable[[], tuple[Comments, Comments]]
) -> Classifier:
    cache = _cache_file(scorer, data)
    try:
        # numpy leaves a file that it opened itself open where the archive is damaged.
        with cache.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            return _classifier(scorer, dict(stored))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        _log.warning("%s: is damaged, the classifier is trained again", cache)
    parts = _train(scorer, *read())
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as aside:
            np.savez(Path(aside) / cache.name, **parts)
            os.replace(Path(aside) / cache.name, cache)
    except OSError as error:
        _log.warning("%s: cannot be written, so the next process trains again: %s", cache, error)
    return _classifier(scorer, parts)


# Words: chosen within the training part, so that the held-out part stays unseen. Characters: other
# lengths of runs and penalties near these change the AUC there by about 0.001.
_WORDS = TrainedScorer("classifier", "word", (1, 1), epochs=50)
_CHARACTERS = TrainedScorer("characters", "char_wb", (3, 4), epochs=10, max_chars=1000)

TRAINED = {scorer.name: scorer for scorer in (_WORDS, _CHARACTERS)}


def classifier(name: str = "classifier") -> Classifier:
    """Return the classifier behind a trained scorer: from the cache, else trained once.

    The cache lies under ``MLSDM_CACHE_DIR``, else in the user's cache folder.

    Parameters
    ----------
    name
        ``"classifier"``, on words (trained in seconds), or ``"characters"``, on runs of three and
        four characters (in about half a minute).

    Raises
    ------
    ParameterError
        When no trained scorer has that name.
    DataError
        When the corpus or scikit-learn is not installed.
    """
    if name not in TRAINED:
        raise ParameterError(f"classifier.name: {name!r} is not known{nearest(str(name), TRAINED)}")
    return TRAINED[name].classifier
