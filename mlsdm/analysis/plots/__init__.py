"""The pictures of the notebooks and reports, one consistent and colour-blind safe style.

Every function returns a matplotlib Figure that belongs to nobody else: no pyplot, no global state.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
