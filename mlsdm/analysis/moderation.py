"""Policies side by side: the errors of each on the same streams, and what they add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlsdm.analysis.statistics import as_level
from mlsdm.checks import as_generator, as_whole
from mlsdm.engine.fleet import simulate_many
from mlsdm.engine.inputs import as_fraction, as_params, as_values
from mlsdm.engine.params import EngineParams
from mlsdm.engine.policies import ContextualParams, MoralPolicy
from mlsdm.engine.result import Result
from mlsdm.engine.rules.layout import UNKNOWN
from mlsdm.errors import DataError, ParameterError
from mlsdm.streams.stream import Stream

__all__ = ["decisions", "errors", "errors_at_thresholds", "pareto", "regret"]


def decisions(
    policy: MoralPolicy,
    streams: Sequence[Stream],
    rng: np.random.Generator,
    *,
    labelled: float = 1.0,
    delay: int = 0,
) -> Result:
    """Return a fleet: the same policy on each of these streams, by the filter alone.

    Parameters
    ----------
    policy
        The policy, with its parameters.
    streams
        Labelled streams of one length.
    rng
        Draws which events are labelled.
    labelled
        Share of the events in [0, 1] whose label the policy is ever told.
    delay
        Events until it is told.

    Raises
    ------
    ParameterError
        When an argument is not allowed, or the streams differ in length or in having contexts.
    DataError
        When a stream has no labels.
    """
    owner = "decisions"
    rng, labelled = as_generator(f"{owner}.rng", rng), as_fraction(f"{owner}.labelled", labelled)
    toxic = _labels(owner, streams)
    told = np.where(rng.random(toxic.shape) < labelled, toxic, UNKNOWN).astype(np.int8)
    return simulate_many(
        EngineParams(moral=policy),
        None,
        np.stack([stream.moral_values for stream in streams]),
        context=_contexts(streams),
        labels=told,
        delay=as_whole(f"{owner}.delay", delay, 0),
    )


def _labels(owner: str, streams: Sequence[Stream]) -> NDArray[np.bool_]:
    """Return (streams, events) labels of streams that go together, or refuse them."""
    if not len(streams) or not all(isinstance(stream, Stream) for stream in streams):
        raise ParameterError(f"{owner}.streams: must be Streams, at least one (got {streams!r})")
    lengths = {len(stream) for stream in streams}
    if len(lengths) != 1 or len({stream.context is None for stream in streams}) != 1:
        raise ParameterError(
            f"{owner}.streams: must be of one length, all with contexts or none "
            f"(got lengths {sorted(lengths)})"
        )
    return np.stack([stream.need_toxic() for stream in streams])


def _contexts(streams: Sequence[Stream]) -> NDArray[np.float64] | None:
    contexts = [stream.context for stream in streams if stream.context is not None]
    return np.stack(contexts) if contexts else None


def errors(
    policies: Mapping[str, MoralPolicy],
    streams: Sequence[Stream],
    rng: np.random.Generator,
    *,
    labelled: float = 1.0,
    delay: int = 0,
) -> pd.DataFrame:
    """Return both errors of each policy on each stream.

    Parameters
    ----------
    policies
        By the names that the table is to have.
    streams, rng, labelled, delay
        As `decisions` takes them; all policies are told the same labels.

    Returns
    -------
    pandas.DataFrame
        One row a policy and stream: ``policy``, ``seed`` (number of the stream), and the shares
        ``toxic_passed`` (of toxic events), ``safe_refused`` (of safe ones), NaN where there are
        none, and ``accepted`` (of all).

    Raises
    ------
    ParameterError
        When an argument is not allowed, there is no policy, or the streams do not go together.
    DataError
        When a stream has no labels.
    """
    if not isinstance(policies, Mapping) or not policies:
        raise ParameterError(f"errors.policies: must map names to policies (got {policies!r})")
    toxic = _labels("errors", streams)
    told = as_generator("errors.rng", rng).bit_generator.state
    rows = []
    for name, policy in policies.items():
        rng.bit_generator.state = told
        accepted = decisions(policy, streams, rng, labelled=labelled, delay=delay).accepted
        rows.append(
            pd.DataFrame(
                {
                    "policy": name,
                    "seed": range(len(streams)),
                    "toxic_passed": _share(accepted, toxic),
                    "safe_refused": _share(~accepted, ~toxic),
                    "accepted": _share(accepted, np.ones_like(accepted)),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def _share(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray((hits & among).sum(1) / among.sum(1))


def errors_at_thresholds(
    policy: ContextualParams, stream: Stream, thresholds: ArrayLike, level: float = 0.95
) -> pd.DataFrame:
    """Return both errors at fixed thresholds, of the moral value alone and of the pooled one.

    Where the pooled value is better at each threshold that the homeostatic filter can have, the
    contextual policy is better at every toxic share, see `ContextualParams`.

    Parameters
    ----------
    policy
        What pools.
    stream
        A labelled stream with contexts.
    thresholds
        (k,) thresholds.
    level
        Level of the intervals of the difference, which are over the events, paired.

    Returns
    -------
    pandas.DataFrame
        One row a threshold and measure: ``threshold``, ``measure``, ``alone``, ``pooled``, and
        their difference, ``mean``, ``low`` and ``high``; below 0 the pooled value is better. NaN
        where the stream has no event of the class.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    DataError
        When the stream has no labels or no contexts.
    """
    owner = "errors_at_thresholds"
    as_params(owner, policy, ContextualParams)
    if stream.context is None:
        raise DataError(f"{owner}.stream: needs contexts (got {stream!r})")
    toxic = stream.need_toxic()
    level = as_level(f"{owner}.level", level)
    both = stream.moral_values, policy.pooled(stream.moral_values, stream.context)
    reach = NormalDist().inv_cdf(0.5 + level / 2)
    rows = []
    for threshold in as_values(owner, thresholds, field="thresholds").astype(float):
        for measure, among in (("toxic_passed", toxic), ("safe_refused", ~toxic)):
            alone, pooled = (
                (values[among] >= threshold) == (measure == "toxic_passed") for values in both
            )
            before, after = (float(one.mean()) if len(one) else math.nan for one in (alone, pooled))
            change = pooled.astype(float) - alone
            half = reach * float(change.std()) / math.sqrt(len(change)) if len(change) else math.nan
            centre = float(change.mean()) if len(change) else math.nan
            rows.append(
                {
                    "threshold": threshold,
                    "measure": measure,
                    "alone": before,
                    "pooled": after,
                    "mean": centre,
                    "low": centre - half,
                    "high": centre + half,
                }
            )
    return pd.DataFrame(rows)


def regret(result: Result, toxic: NDArray[np.bool_], toxic_costs: float = 1.0) -> pd.Series:
    """Return by how much the cost so far exceeds that of the best threshold in hindsight.

    A safe event refused costs 1, a toxic one passed `toxic_costs`. The best threshold is the one
    fixed threshold on the moral values of the least cost over the whole stream; its cost so far is
    taken off after each event.

    Parameters
    ----------
    result
        A run, or a fleet, of which the mean over runs is returned.
    toxic
        (n,) or (runs, n) bool: what the events are.

    Raises
    ------
    ParameterError
        When the labels are of another shape than the decisions.
    """
    accepted, values = np.atleast_2d(result.accepted), np.atleast_2d(result.moral_values)
    labels = np.atleast_2d(np.asarray(toxic, bool))
    if labels.shape != accepted.shape:
        raise ParameterError(
            f"regret.toxic: must be of the shape of the decisions, {accepted.shape} "
            f"(got {labels.shape})"
        )
    best = np.array([_best(*one, toxic_costs) for one in zip(values, labels, strict=True)])
    excess = _cost(accepted, labels, toxic_costs) - _cost(
        values >= best[:, None], labels, toxic_costs
    )
    return pd.Series(np.cumsum(excess, axis=1).mean(0), name="regret")


def _cost(
    accepted: NDArray[np.bool_], toxic: NDArray[np.bool_], toxic_costs: float
) -> NDArray[np.float64]:
    return np.where(toxic, toxic_costs * accepted, ~accepted)


def _best(values: NDArray[np.float64], toxic: NDArray[np.bool_], toxic_costs: float) -> float:
    """Return the threshold of the least cost; events from it on pass."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    # Refusing the k lowest: what their refusal costs, less what it saves.
    change = np.where(toxic[order], -toxic_costs, 1.0)
    costs = np.insert(np.cumsum(change), 0, 0.0)
    possible = np.append(np.insert(ordered[1:] > ordered[:-1], 0, True), True)
    k = int(np.argmin(np.where(possible, costs, np.inf)))
    return float(ordered[k]) if k < len(ordered) else 2.0


def pareto(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows no other row is better than, in both ``toxic_passed`` and ``safe_refused``.

    A row that equals another in one and is worse in the other is not on the front.
    """
    for name in ("toxic_passed", "safe_refused"):
        if name not in table:
            raise ParameterError(f"pareto.table: has no column {name!r}")
    points = table[["toxic_passed", "safe_refused"]].to_numpy(float)
    no_worse = (points[:, None] <= points[None]).all(2)
    better = (points[:, None] < points[None]).any(2)
    return np.asarray(~(no_worse & better).any(0))
