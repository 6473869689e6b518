"""How fast the engine is: each figure a ratio to a named yardstick, measured in one run."""
