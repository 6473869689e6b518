"""Kernels that start with their libraries imported: forked, not started from nothing."""
