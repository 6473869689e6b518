"""The engine behind HTTP: a server, its settings, and a client (the extra `service`)."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
