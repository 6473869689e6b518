from .comparing import advantage, beside_stated, beyond_length, function_words_alone, swept
from .dosing import dose_response, falls
from .judging import (
    CHILD,
    PRESETS,
    Texts,
    curves,
    discrimination,
    judged,
    real_texts,
    reliability,
    shares,
)

__all__ = [
    "CHILD",
    "PRESETS",
    "Texts",
    "advantage",
    "beside_stated",
    "beyond_length",
    "curves",
    "discrimination",
    "dose_response",
    "falls",
    "function_words_alone",
    "judged",
    "real_texts",
    "reliability",
    "shares",
    "swept",
]
