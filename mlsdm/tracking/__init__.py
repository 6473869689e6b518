"""Runs in MLflow: the only part of the package that imports it."""

from mlsdm.tracking.connection import impatient
from mlsdm.tracking.found import Found
from mlsdm.tracking.run import CAUSE, TrackedRun
from mlsdm.tracking.store import Store

__all__ = ["CAUSE", "Found", "Store", "TrackedRun", "impatient"]
