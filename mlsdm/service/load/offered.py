"""What became of an offered load, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.analysis.interval import Interval
from mlsdm.citing import cites

__all__ = ["LEVELS", "Offered", "table"]

LEVELS = (50.0, 95.0, 99.0, 99.9)
PARTS, RESAMPLES = 30, 500
MOST_LATE = 0.2  # seconds at P99, for a load to count as carried; the stated target
LEAST_ANSWERED = 0.99  # of what is offered


@dataclass(frozen=True)
class Offered:
    """A load that was offered, and what became of every request.

    Parameters
    ----------
    kind, rate, connections, seconds
        What was asked for: requests a second over all connections, for so many seconds.
    began
        When the warm-up was over, by `time.monotonic`.
    requests
        One row a request, columns as `plan.REQUEST`, in seconds since the warm-up's end; requests
        of the warm-up are there, and were due before 0. Never sent or answered: NaN.
    usage
        Columns ``t``, ``server_seconds``, ``generator_seconds``, ``others_seconds`` (of processor
        time, in all; others are all other processes of the machine) and ``server_bytes``.
    """

    kind: str
    rate: float
    connections: int
    seconds: float
    began: float
    requests: pd.DataFrame
    usage: pd.DataFrame

    @property
    def counted(self) -> pd.DataFrame:
        """The requests that were due after the warm-up."""
        return self.requests[self.requests["due"] >= 0]

    @property
    def latency(self) -> NDArray[np.float64]:
        """Milliseconds from when each counted request was due to when its answer was there.

        One that was never answered counts with the time until nobody waited any more.
        """
        counted = self.counted
        end = max(self.seconds, float(self.requests[["due", "done"]].max().max()))
        waited = counted["done"].where(counted["status"] > 0, end) - counted["due"]
        return 1e3 * waited.to_numpy()

    @property
    def errors(self) -> int:
        """How many counted requests had another answer than 200, or none."""
        return int((self.counted["status"] != 200).sum())

    @property
    def offered(self) -> float:
        """Requests that were due a second."""
        return len(self.counted) / self.seconds

    @property
    def achieved(self) -> float:
        """Requests that were answered with 200 a second, while requests were due."""
        done = self.requests["done"].between(0, self.seconds)
        return float((done & (self.requests["status"] == 200)).sum() / self.seconds)

    @property
    def served(self) -> int:
        """Connections all of whose counted requests were answered with 200."""
        return int((self.counted["status"] == 200).groupby(self.counted["user"]).all().sum())

    @property
    def generator_late(self) -> float:
        """P99 of how late the generator itself was, in ms: connection free, and nothing sent."""
        requests = self.requests.sort_values(["user", "due"])
        free = requests.groupby("user")["done"].shift().fillna(-np.inf)
        late = requests["sent"] - np.maximum(requests["due"], free)
        return float(1e3 * late[requests["due"] >= 0].quantile(0.99))

    @property
    def carried(self) -> bool:
        """Whether the server kept up: 99 % answered in time, and P99 below 200 ms."""
        enough = self.achieved >= LEAST_ANSWERED * self.offered
        return bool(enough and np.percentile(self.latency, 99) < 1e3 * MOST_LATE)

    def cpu(self, who: str) -> float:
        """Return how many cores ``"server"``, ``"generator"`` or ``"others"`` used."""
        during = self.usage[self.usage["t"].between(0, self.seconds)]
        ends = during[["t", f"{who}_seconds"]].iloc[[0, -1]].diff().iloc[-1]
        return float(ends.iloc[1] / ends.iloc[0])

    @cites("kunsch1989")
    def percentile(self, level: float) -> Interval:
        """Return a percentile of the latency in ms, with its 95 % interval.

        Latencies near in time are alike, so parts of the time are drawn anew, not requests: a
        bootstrap of 30 blocks (Künsch 1989).
        """
        latency = self.latency
        order = np.argsort(latency)
        ordered = latency[order]
        part = (PARTS * self.counted["due"].to_numpy() / self.seconds).astype(int)[order]
        weights = np.random.default_rng(0).multinomial(PARTS, [1 / PARTS] * PARTS, RESAMPLES)
        drawn = np.empty(RESAMPLES)
        for i, weight in enumerate(weights):
            below = np.cumsum(weight[part])
            place = np.searchsorted(below, level / 100 * below[-1])
            drawn[i] = ordered[min(place, ordered.size - 1)]
        low, high = np.percentile(drawn, [2.5, 97.5])
        return Interval(float(np.percentile(latency, level)), low, high, ordered.size)

    @cites("sen1968")
    def growth(self) -> Interval:
        """Return by how many MB a minute the server's memory grew, with its 95 % interval.

        Theil's slope over the medians of 30 parts of the time (Sen 1968): a snapshot's brief peak
        does not count.
        """
        from scipy import stats

        usage = self.usage[self.usage["t"].between(0, self.seconds)]
        part = (PARTS * usage["t"] / self.seconds).astype(int)
        medians = usage.groupby(part)[["t", "server_bytes"]].median()
        found = stats.theilslopes(medians["server_bytes"] / 1e6, medians["t"] / 60)
        return Interval(
            float(found.slope), float(found.low_slope), float(found.high_slope), len(medians)
        )

    def answers(self) -> pd.DataFrame:
        """Return how many requests had which status (0: no answer), and what Retry-After said."""
        by_status = self.counted.groupby("status")
        found = by_status["retry_after"].agg(["size", "min", "max"]).reset_index()
        found.columns = pd.Index(["status", "requests", "retry after, least", "most"])
        found.insert(2, "a second", found["requests"] / self.seconds)
        found.insert(3, "share", found["requests"] / len(self.counted))
        return found

    def row(self) -> dict[str, Any]:
        """Return all of it as one row of a table."""
        found = {
            "kind": self.kind,
            "rate": self.rate,
            "connections": self.connections,
            "offered": self.offered,
            "achieved": self.achieved,
            "errors": self.errors,
        }
        for level in LEVELS:
            name = f"P{level:g}"
            found |= dict(
                zip((name, f"{name} low", f"{name} high"), self.percentile(level)[:3], strict=True)
            )
        return found | {
            "carried": self.carried,
            "server CPU": self.cpu("server"),
            "server MB": float(self.usage["server_bytes"].max() / 1e6),
            "generator CPU": self.cpu("generator"),
            "others CPU": self.cpu("others"),
            "generator late": self.generator_late,
        }


def table(loads: Sequence[Offered]) -> pd.DataFrame:
    """Return one row a load: requests a second, latencies in ms, shares of a core."""
    return pd.DataFrame([load.row() for load in loads])
