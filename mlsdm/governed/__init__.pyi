from .breaker import Breaker
from .calling import Called, CallParams, Guarded
from .conversations import Conversation, Turn, conversation
from .endpoint import OpenAIEndpoint
from .errors import CallError, CircuitOpen, DeadlineExceeded
from .flow import compose
from .model import GovernedModel
from .params import GovernedParams
from .reply import Remembered, Reply, Status, Why
from .scripted import ScriptedClock, ScriptedEmbedder, ScriptedModel, ScriptedParams

__all__ = [
    "Breaker",
    "CallError",
    "CallParams",
    "Called",
    "CircuitOpen",
    "Conversation",
    "DeadlineExceeded",
    "GovernedModel",
    "GovernedParams",
    "Guarded",
    "OpenAIEndpoint",
    "Remembered",
    "Reply",
    "ScriptedClock",
    "ScriptedEmbedder",
    "ScriptedModel",
    "ScriptedParams",
    "Status",
    "Turn",
    "Why",
    "compose",
    "conversation",
]
