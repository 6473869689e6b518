from . import corpora
from .blocking import Matched, blocks, matched
from .detector import FLAGS, Flag, SpeechParams, SpeechReport, analyze, analyze_many
from .governor import Asking, Governed, Governor, TelegraphicGovernor, follow_up
from .pipeline import Governance, Pipeline, Step
from .reading import function_words
from .telegraphing import telegraph

__all__ = [
    "FLAGS",
    "Asking",
    "Flag",
    "Governance",
    "Governed",
    "Governor",
    "Matched",
    "Pipeline",
    "SpeechParams",
    "SpeechReport",
    "Step",
    "TelegraphicGovernor",
    "analyze",
    "analyze_many",
    "blocks",
    "corpora",
    "follow_up",
    "function_words",
    "matched",
    "telegraph",
]
