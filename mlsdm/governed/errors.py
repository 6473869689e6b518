"""What a call that brought no answer raises."""

from __future__ import annotations

from mlsdm.checks import as_seconds
from mlsdm.errors import RunError

__all__ = ["CallError", "CircuitOpen", "DeadlineExceeded"]


class CallError(RunError):
    """A call brought no answer; what the function raised is the `__cause__`.

    Parameters
    ----------
    message
        One sentence.
    permanent
        Whether the same call, made again, would fail again: the other side has answered, and
        refuses. Such a call is not repeated.
    retry_after
        Seconds that the other side asks to be left alone for, or None.
    attempts
        How often the function was called.

    Raises
    ------
    ParameterError
        When `retry_after` is not a finite number of at least 0.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        attempts: int = 0,
    ) -> None:
        if retry_after is not None:
            as_seconds("CallError.retry_after", retry_after)
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
        self.attempts = attempts


class CircuitOpen(CallError):
    """The circuit breaker let no call through; `retry_after` is when it will, where it knows."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, attempts: int = 0
    ) -> None:
        super().__init__(message, permanent=True, retry_after=retry_after, attempts=attempts)


class DeadlineExceeded(CallError):
    """There was no answer by the deadline, or the next attempt would have begun after it."""

    def __init__(self, message: str, *, attempts: int = 0) -> None:
        super().__init__(message, permanent=True, attempts=attempts)
