"""A language model inside the engine: what it may answer, what it is told, what it remembers."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
