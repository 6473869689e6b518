"""What the rules do, worked out: exact chains and closed forms beside simulation."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
