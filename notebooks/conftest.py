"""What nbval is told about these notebooks."""

from __future__ import annotations

import pytest

from mlsdm.record import MIME

# It loads a server for minutes, and all that it shows is of one machine: the tests run it small.
collect_ignore = ["13-service-load.ipynb"]


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Compare what a record shows, which is rounded, and not the last bits that it carries."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += (MIME,)
