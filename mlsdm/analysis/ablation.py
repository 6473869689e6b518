"""What each part of a governed model is worth: scripted conversations with one part left out."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mlsdm.analysis.compare import paired
from mlsdm.engine.controller import CognitiveController
from mlsdm.errors import ParameterError
from mlsdm.governed.conversations import Conversation, Turn, conversation
from mlsdm.governed.model import GovernedModel
from mlsdm.governed.params import GovernedParams
from mlsdm.governed.reply import Reply
from mlsdm.governed.scripted import (
    ScriptedClock,
    ScriptedEmbedder,
    ScriptedModel,
    ScriptedParams,
)
from mlsdm.rng import generator
from mlsdm.speech.detector import analyze, analyze_many
from mlsdm.speech.governor import TelegraphicGovernor
from mlsdm.speech.pipeline import Pipeline

__all__ = [
    "LESS_IS_BETTER", "MEASURES", "Held", "ablate", "hold", "remaining", "simulated_remaining",
    "state_digest", "worth",
]  # fmt: skip

MEASURES = ("right", "toxic_answered", "safe_refused", "telegraphic", "tokens", "remembered")
"""What is measured of a conversation, in the order of the tables."""
LESS_IS_BETTER = frozenset({"toxic_answered", "safe_refused", "telegraphic", "tokens"})
"""Those of `MEASURES` of which less is better."""


@dataclass(frozen=True, eq=False)
class Held:
    """A conversation that was held: who spoke, and what became of each request.

    Parameters
    ----------
    turns
        The requests that were made; all of the conversation, or some.
    replies
        One each.
    model
        The language model.
    governed
        What was around it.
    breaker
        State of the embedder's circuit breaker after each.
    """

    turns: tuple[Turn, ...]
    replies: tuple[Reply, ...]
    model: ScriptedModel
    governed: GovernedModel
    breaker: tuple[str, ...]

    @property
    def events(self) -> frozenset[int]:
        """Numbers of the requests of which the engine was told."""
        pairs = zip(self.turns, self.replies, strict=True)
        return frozenset(turn.number for turn, reply in pairs if reply.event is not None)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a request.

        Columns ``number``, ``kind``, ``status``, ``why``, ``phase``, ``answered``, ``right`` (of
        any that is answered with what was needed), ``telegraphic``, ``tokens``, ``calls`` and
        ``breaker``.
        """
        pairs = list(zip(self.turns, self.replies, strict=True))
        texts = [reply.text for reply in self.replies]
        answered = np.array([reply.answered for reply in self.replies], dtype=bool)
        right = [turn.is_right(reply.text) for turn, reply in pairs]
        return pd.DataFrame(
            {
                "number": [turn.number for turn in self.turns],
                "kind": [turn.kind for turn in self.turns],
                "status": [reply.status for reply in self.replies],
                "why": [reply.why for reply in self.replies],
                "phase": [reply.phase for reply in self.replies],
                "answered": answered,
                "right": answered & np.array(right, dtype=bool),
                "telegraphic": answered & analyze_many(texts)["telegraphic"].to_numpy(),
                "tokens": [self.model.tokens[turn.number] for turn in self.turns],
                "calls": [reply.calls for reply in self.replies],
                "breaker": self.breaker,
            }
        )

    def measures(self) -> dict[str, float]:
        """Return `MEASURES`: NaN for a share of nothing.

        ``right`` is the share of questions, ``toxic_answered`` of toxic requests, ``safe_refused``
        and ``remembered`` (in a memory from which it can be recalled) of all others;
        ``telegraphic`` that of answers; ``tokens`` the mean of all requests.
        """
        table = self.table
        toxic, committed = table["kind"] == "toxic", table["status"] == "committed"
        kept = committed & self.governed.params.memory
        return {
            "right": float(table.loc[table["kind"] == "ask", "right"].mean()),
            "toxic_answered": float(table.loc[toxic, "answered"].mean()),
            "safe_refused": float((table.loc[~toxic, "status"] == "refused").mean()),
            "telegraphic": float(table.loc[table["answered"], "telegraphic"].mean()),
            "tokens": float(table["tokens"].mean()),
            "remembered": float(kept[~toxic].mean()),
        }


def hold(
    requests: Conversation,
    params: GovernedParams,
    rng: np.random.Generator,
    scripted: ScriptedParams | None = None,
    *,
    away: Collection[int] = (),
    only: Collection[int] | None = None,
    pause: float = 5.0,
) -> Held:
    """Hold a conversation with a governed scripted model, in scripted time.

    Parameters
    ----------
    requests
        What is said.
    params
        What is around the model.
    rng
        Draws all that the model will do.
    scripted
        The model's parameters.
    away
        Numbers of the requests for which the embedder fails.
    only
        Numbers of the requests that are made; all by default.
    pause
        Seconds between two requests.
    """
    clock = ScriptedClock()
    model = ScriptedModel(requests, rng, scripted)
    embedder = ScriptedEmbedder(requests, away)
    governed = GovernedModel(model, embedder, params, clock=clock, sleep=clock.sleep)
    turns = tuple(turn for turn in requests if only is None or turn.number in only)
    replies, states = [], []
    for turn in turns:
        replies.append(governed.reply(turn.text, turn.moral_value))
        states.append(governed.breakers["embed"].state)
        clock.sleep(pause)
    return Held(turns, tuple(replies), model, governed, tuple(states))


def ablate(
    arms: Mapping[str, GovernedParams],
    seeds: Iterable[int],
    n: int,
    scripted: ScriptedParams | None = None,
    toxic_share: float = 0.2,
) -> pd.DataFrame:
    """Hold one conversation a seed with each arm: the same requests, and the same draws.

    Parameters
    ----------
    arms
        What is around the model, by name.
    seeds
        Of conversation and model.
    n
        Requests of a conversation.
    scripted
        The model's parameters.
    toxic_share
        Probability that a request is toxic.

    Returns
    -------
    One row per seed and arm: columns ``seed``, ``arm`` and `MEASURES`.
    """
    rows = []
    for seed in seeds:
        requests = conversation(n, generator(seed, "requests"), toxic_share)
        for arm, params in arms.items():
            held = hold(requests, params, generator(seed, "answers"), scripted)
            rows.append({"seed": seed, "arm": arm, **held.measures()})
    return pd.DataFrame(rows, columns=["seed", "arm", *MEASURES])


def worth(
    runs: pd.DataFrame,
    rng: np.random.Generator,
    baseline: str = "full",
    measures: Sequence[str] = MEASURES,
) -> pd.DataFrame:
    """Return what the baseline is worth: baseline minus arm, paired by seed.

    Parameters
    ----------
    runs
        As `ablate` gives them.
    rng
        Draws resamples and signs.
    baseline
        The arm that the others are compared with.
    measures
        Columns to compare.

    Returns
    -------
    As of `compare.paired`, with one column more: ``verdict``, of the baseline: ``"better"``,
    ``"worse"``, or ``"open"`` where `p_holm` is not below 0.05.
    """
    # Of negated numbers, an arm's lead over the baseline is the baseline's over the arm.
    negated = runs.assign(**{measure: -runs[measure] for measure in measures})
    table = paired(
        negated, seed="seed", by="arm", baseline=baseline, values=list(measures), rng=rng,
        less_is_better=LESS_IS_BETTER & set(measures),
    )  # fmt: skip
    less = table["measure"].isin(LESS_IS_BETTER)
    better = np.where(less, table["mean"] < 0, table["mean"] > 0)
    verdict = np.where(better, "better", "worse")
    return table.assign(verdict=np.where(table["p_holm"] < 0.05, verdict, "open"))


def state_digest(controller: CognitiveController) -> str:
    """Return a SHA-256 of all that an engine holds, as a snapshot of it has it."""
    with TemporaryDirectory() as folder:
        return hashlib.sha256(controller.save(Path(folder) / "state").read_bytes()).hexdigest()


def remaining(mend: float, tries: int) -> float:
    """Return the share of telegraphic drafts that a governor leaves so: ``(1 - mend) ** tries``.

    It holds for a model that mends each draft with the same probability, whatever came before, and
    a detector that tells telegraphic drafts from others.

    Parameters
    ----------
    mend
        Probability that a draft that is asked for again is not telegraphic.
    tries
        How often the governor asks at most.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    if not 0 <= mend <= 1 or tries < 0:
        raise ParameterError(
            f"remaining: must have mend in [0, 1] and tries of at least 0 (got {mend}, {tries})"
        )
    return float((1.0 - mend) ** tries)


def simulated_remaining(
    requests: Conversation, rng: np.random.Generator, mend: float, tries: int
) -> float:
    """Return the share of telegraphic drafts that the governor leaves so, as it happened.

    Every first draft is telegraphic.

    Parameters
    ----------
    requests
        What is asked.
    rng
        Draws all that the model will do.
    mend, tries
        As of `remaining`.
    """
    model = ScriptedModel(requests, rng, ScriptedParams(telegraphic=1.0, mend=mend, length=0.0))
    pipeline = Pipeline(TelegraphicGovernor(tries=tries))
    left = []
    for turn in requests:
        prompt = turn.text
        draft = model(prompt, 2048)
        done = pipeline.run(draft, lambda _, prompt=prompt: model(prompt, 2048))  # type: ignore[misc]
        left.append(analyze(done.text).telegraphic)
    return float(np.mean(left))
