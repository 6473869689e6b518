from . import adversary
from .clusters import cluster_stream
from .comments import comments
from .embedding import embed
from .files import load_stream
from .matched import matched
from .published import moral_stream, rhythm_stream
from .quality import auc, auc_interval, calibration, roc
from .resample import follow, resample
from .scorers import SCORERS, scorer
from .stream import Stream
from .trained import classifier

__all__ = [
    "SCORERS",
    "Stream",
    "adversary",
    "auc",
    "auc_interval",
    "calibration",
    "classifier",
    "cluster_stream",
    "comments",
    "embed",
    "follow",
    "load_stream",
    "matched",
    "moral_stream",
    "resample",
    "rhythm_stream",
    "roc",
    "scorer",
]
