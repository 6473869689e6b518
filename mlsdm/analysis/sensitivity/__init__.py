"""Which parameters decide what comes out: Sobol' indices of any function, and of the engine."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
