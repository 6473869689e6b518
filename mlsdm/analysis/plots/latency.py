"""Pictures of how long calls take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlsdm.analysis.plots.style import CYCLE, STYLE, new_axes

__all__ = ["latency_distribution"]


@mpl.rc_context(STYLE)
def latency_distribution(
    latencies: Mapping[str, NDArray[np.float64]], targets: Sequence[tuple[str, float, float]]
) -> Figure:
    """Draw the distribution of latencies against the targets, both axes logarithmic.

    Parameters
    ----------
    latencies
        (calls,) milliseconds by name.
    targets
        (label, share of calls slower than it at most, limit in milliseconds).
    """
    figure, axis = new_axes()
    for colour, (name, values) in zip(cycle(CYCLE), latencies.items(), strict=False):
        slower = 1.0 - np.arange(values.size) / values.size
        axis.plot(np.sort(values), slower, color=colour, label=name)
    for label, share, limit in targets:
        axis.plot(limit, share, "v", color="black", clip_on=False)
        axis.annotate(label, (limit, share), xytext=(5, 3), textcoords="offset points")
    axis.set(xscale="log", yscale="log", xlabel="latency of one call, ms")
    axis.set(ylabel="share of calls at least as slow")
    # Above, as targets may stand anywhere beside the curves.
    figure.legend(loc="outside upper center", ncols=2)
    return figure
