"""Streams that make it hard for a policy: their mixture changes, or somebody chooses the events.

The names and shapes of the attacks are our own choice; the two classes are the published ones
unless others are given.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
