"""Telegraphic speech: its detector, governors that ask for better drafts, texts to judge it on."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
