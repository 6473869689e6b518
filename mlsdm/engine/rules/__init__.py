"""Every rule of the engine, once, as small compiled functions."""
