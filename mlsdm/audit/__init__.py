"""The audit: every stated figure measured over seeds, with the control that it needs."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
