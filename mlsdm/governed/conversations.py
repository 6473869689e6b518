"""Conversations whose right answers are known: facts told and asked for, and toxic requests."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_generator, as_whole
from mlsdm.errors import ParameterError

__all__ = ["Conversation", "Turn", "conversation", "phrases"]

MOST_TURNS = 400
SPREAD = 0.15  # of the moral values about the centre of their class
CENTRES = {"toxic": 0.25, "safe": 0.75}


@cache
def phrases() -> dict[str, Any]:
    """Return all that is said in the scripted world."""
    content = files("mlsdm.governed").joinpath("conversations.toml").read_text(encoding="utf-8")
    return tomllib.loads(content)


@dataclass(frozen=True)
class Turn:
    """One request, and what is true of it.

    Parameters
    ----------
    number
        Its place in the conversation, from 0.
    kind
        ``"tell"`` tells a fact, ``"ask"`` asks for one that was told, ``"toxic"`` should be
        refused.
    text
        What is said: no two requests of a conversation have the same.
    moral_value
        What a scorer gives it, in [0, 1].
    fact
        The sentence that is told or asked for; empty for a toxic request.
    needed
        The word that a right answer has in it; empty for a toxic request.
    """

    number: int
    kind: Literal["tell", "ask", "toxic"]
    text: str
    moral_value: float
    fact: str = ""
    needed: str = ""

    def is_right(self, answer: str) -> bool:
        """Return whether an answer has the word in it that was needed."""
        found = re.search(rf"\b{re.escape(self.needed)}\b", answer, re.IGNORECASE)
        return bool(self.needed) and found is not None


@dataclass(frozen=True)
class Conversation:
    """Requests in their order: something to iterate over."""

    turns: tuple[Turn, ...]

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The sentence embeddings of the requests: (requests, 256)."""
        from mlsdm.streams.embedding import embed

        return embed([turn.text for turn in self.turns])

    def asked(self, prompt: str) -> Turn:
        """Return the request that a prompt ends with; what was recalled stands before it.

        Raises
        ------
        ParameterError
            When no request of this conversation is in the prompt.
        """
        ends = [(prompt.rfind(one.text) + len(one.text), one) for one in self.turns]
        there = [(end, len(one.text), one) for end, one in ends if end >= len(one.text)]
        if not there:
            raise ParameterError(
                f"Conversation.asked.prompt: has no request (got {prompt[-80:]!r})"
            )
        return max(there, key=lambda found: found[:2])[-1]

    def __len__(self) -> int:
        return len(self.turns)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)


def conversation(
    n: int, rng: np.random.Generator, toxic_share: float = 0.2, tell_share: float = 0.5
) -> Conversation:
    """Return requests that tell facts, ask for facts told before, and should be refused.

    Facts are of 8 people and 14 topics, each told once; any may be asked for, in another wording,
    up to six times. When all toxic requests were made, they come again with another opening. Moral
    values are normal about 0.25 (toxic) and 0.75 (safe) with a standard deviation of 0.15, clipped
    to [0, 1]: they overlap.

    Parameters
    ----------
    n
        Requests, 1 to 400.
    rng
        Draws all of it.
    toxic_share
        Probability that a request is toxic.
    tell_share
        Probability that one of the others tells a fact, while there is one left to tell, and one to
        ask for.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    as_whole("conversation.n", n, 1, MOST_TURNS)
    as_generator("conversation.rng", rng)
    for name, share in (("toxic_share", toxic_share), ("tell_share", tell_share)):
        if not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ParameterError(f"conversation.{name}: must lie in [0, 1] (got {share!r})")
    said = phrases()
    topics = said["topics"]
    facts = _shuffled(rng, said["names"], topics)
    urges = iter(said["urge"])
    threats = _shuffled(rng, said["names"], said["toxic"])
    urge = next(urges)
    told: list[tuple[str, str, str, list[str]]] = []  # question, fact, needed, openings left
    turns: list[Turn] = []
    for number in range(n):
        toxic, tells, value = rng.random() < toxic_share, rng.random() < tell_share, rng.normal()
        centre = CENTRES["toxic" if toxic else "safe"]
        moral_value = float(np.clip(centre + SPREAD * value, 0.0, 1.0))
        if toxic:
            if not threats:
                urge, threats = next(urges), _shuffled(rng, said["names"], said["toxic"])
            name, threat = threats.pop()
            turns.append(Turn(number, "toxic", urge + threat.format(name), moral_value))
        elif facts and (tells or not any(one[-1] for one in told)):
            name, topic = facts.pop()
            needed = str(rng.choice(topic["values"]))
            fact = topic["fact"].format(name, needed)
            text = str(rng.choice(said["tell"])) + fact
            openings = [str(opening) for opening in rng.permutation(said["ask"])]
            told.append((topic["question"].format(name), fact, needed, openings))
            turns.append(Turn(number, "tell", text, moral_value, fact, needed))
        else:
            left = [one for one in told if one[-1]]
            question, fact, needed, openings = left[rng.integers(len(left))]
            text = openings.pop() + question
            turns.append(Turn(number, "ask", text, moral_value, fact, needed))
    return Conversation(tuple(turns))


def _shuffled(rng: np.random.Generator, names: list[str], others: list[Any]) -> list[Any]:
    """Return all pairs in random order."""
    pairs = [(name, other) for name in names for other in others]
    return [pairs[i] for i in rng.permutation(len(pairs))]
