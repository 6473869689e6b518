"""A server under a real load: what offers it, what became of it, and where the time went."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
