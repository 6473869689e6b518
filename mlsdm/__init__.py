"""mlsdm: the MLSDM governed cognitive memory as a simulation and experiment toolkit.

The public names load on first use, so that importing costs nothing; `__init__.pyi` lists them.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__version__ = "0.7.0"
