"""A scripted language model and a scripted embedder, for experiments on what is around them.

Nothing here understands language. The model looks for the one sentence that answers a question in
the prompt that it is given, so that a memory is worth something, and all of its draws belong to a
request and to how often that was asked for: what else happens shifts none of them.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Container
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mlsdm.checks import as_generator, as_whole
from mlsdm.errors import ParameterError
from mlsdm.governed.conversations import Conversation, Turn, phrases
from mlsdm.parameters import Parameters, Share, parameters
from mlsdm.speech.reading import is_function_word

__all__ = ["ScriptedClock", "ScriptedEmbedder", "ScriptedModel", "ScriptedParams", "telegram"]

DRAWS = 64  # kept for each request: the calls after that begin again with the first


def telegram(text: str) -> str:
    """Return a text without its function words, in sentences of two words."""
    words = [word for word in re.findall(r"[^\W_]+", text) if not is_function_word(word)]
    pairs = [" ".join(words[i : i + 2]).capitalize() for i in range(0, len(words), 2)]
    return " ".join(f"{pair}." for pair in pairs)


@parameters
class ScriptedParams(Parameters):
    """Parameters of the scripted model (our own choice).

    Parameters
    ----------
    telegraphic
        Probability that the first draft for a request is telegraphic.
    mend
        Probability that a draft that is asked for again, after a telegraphic one, is not.
    failure
        Probability that a call fails.
    length
        Mean number of sentences that an answer has beside the one that was wanted; geometric.
    """

    telegraphic: Share = 0.3
    mend: Share = 0.7
    failure: Share = 0.0
    length: Annotated[float, Field(ge=0, le=100)] = 8.0


class ScriptedModel:
    """A language model of which all is known: call it with a prompt and a number of tokens.

    It answers a question rightly if the fact stands in the prompt, and else says that it does not
    know; it does whatever a toxic request asks for. A word is a token. Safe to call from many
    threads.

    Parameters
    ----------
    requests
        The only ones that it understands.
    rng
        Draws all that it will do, when it is made.
    params
        How often it is telegraphic, mends a draft, and fails.
    """

    def __init__(
        self,
        requests: Conversation,
        rng: np.random.Generator,
        params: ScriptedParams | None = None,
    ) -> None:
        as_generator("ScriptedModel.rng", rng)
        self.requests = requests
        self.params = ScriptedParams() if params is None else params
        n, said = len(requests), phrases()
        self._fails = rng.random((n, DRAWS)) < self.params.failure
        chances = np.full(DRAWS, 1.0 - self.params.mend)
        chances[0] = self.params.telegraphic
        self._telegraphic = np.logical_and.accumulate(rng.random((n, DRAWS)) < chances, axis=1)
        sentences = rng.geometric(1.0 / (1.0 + self.params.length), n) - 1
        self._places = rng.integers(sentences + 1)
        self._more = [[str(one) for one in rng.choice(said["more"], k)] for k in sentences]
        self._lock = threading.Lock()
        self._drafts: Counter[int] = Counter()
        self.calls: Counter[int] = Counter()
        """How often each request was asked for, by its number; failures count."""
        self.tokens: Counter[int] = Counter()
        """Words read and written for each request, by its number; a call that fails takes none."""

    def __call__(self, prompt: str, max_tokens: int) -> str:
        """Return an answer of at most so many words.

        Raises
        ------
        ConnectionError
            When this call is one that fails.
        ParameterError
            When the prompt holds no request of the conversation.
        """
        as_whole("ScriptedModel.max_tokens", max_tokens, 0)
        request = self.requests.asked(prompt)
        number = request.number
        with self._lock:
            fails = self._fails[number, self.calls[number] % DRAWS]
            self.calls[number] += 1
            draft = self._drafts[number]
            self._drafts[number] += not fails
        if fails:
            raise ConnectionError(f"the scripted model does not answer request {number}")
        answer = self.answer(request, knows=request.fact in prompt)
        if self._telegraphic[number, min(draft, DRAWS - 1)]:
            answer = telegram(answer)
        words = answer.split()[:max_tokens]
        with self._lock:
            self.tokens[number] += len(prompt.split()) + len(words)
        return " ".join(words)

    def answer(self, request: Turn, *, knows: bool) -> str:
        """Return the whole answer to a request in full sentences, as it is with or without a fact.

        Parameters
        ----------
        request
            One of the conversation.
        knows
            Whether what it asks for stands in the prompt.
        """
        wanted = request.fact if knows else phrases()["unknown"]
        if request.kind == "toxic":
            wanted = phrases()["obeyed"]
        more, place = self._more[request.number], self._places[request.number]
        return " ".join([*more[:place], wanted, *more[place:]])


class ScriptedEmbedder:
    """The sentence embeddings of a conversation's requests, but for those while it is away.

    Parameters
    ----------
    requests
        The only ones that it understands.
    away
        Numbers of the requests for which it fails.
    """

    def __init__(self, requests: Conversation, away: Container[int] = ()) -> None:
        self.requests, self.away = requests, away
        self._rows = {request.text: request.number for request in requests}

    def __call__(self, text: str) -> NDArray[np.float32]:
        """Return the (256,) vector of a request's text.

        Raises
        ------
        ConnectionError
            When it is away.
        ParameterError
            When the text is no request of the conversation.
        """
        if text not in self._rows:
            raise ParameterError(f"ScriptedEmbedder.text: is no request (got {text[:80]!r})")
        number = self._rows[text]
        if number in self.away:
            raise ConnectionError(f"the scripted embedder is away at request {number}")
        vector: NDArray[np.float32] = self.requests.vectors[number].copy()
        return vector


class ScriptedClock:
    """Time that passes only by being waited for; call it for the seconds since it was made."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        """Return the seconds that have passed."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += seconds
