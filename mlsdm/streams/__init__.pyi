from .comments import comments
from .embedding import embed
from .files import load_stream
from .published import moral_stream, rhythm_stream
from .quality import auc, auc_interval, calibration, roc
from .resample import resample
from .scorers import SCORERS, classifier
from .stream import Stream

__all__ = [
    "SCORERS",
    "Stream",
    "auc",
    "auc_interval",
    "calibration",
    "classifier",
    "comments",
    "embed",
    "load_stream",
    "moral_stream",
    "resample",
    "rhythm_stream",
    "roc",
]
