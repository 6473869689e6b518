"""Runs in MLflow: the only part of the package that imports it."""

from mlsdm.tracking.run import TrackedRun
from mlsdm.tracking.store import Store

__all__ = ["Store", "TrackedRun"]
