"""Notebooks as experiments: typed parameters, plans, execution, tracked runs, checks."""
