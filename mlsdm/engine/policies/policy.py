"""The one interface of all policies, and how one is made."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self, TypeVar, dataclass_transform

from mlsdm.citing import Reference, note
from mlsdm.engine.inputs import as_fraction
from mlsdm.engine.policies.compiling import addresses
from mlsdm.engine.rules.layout import MEMORY, SETTINGS
from mlsdm.errors import ParameterError, nearest
from mlsdm.parameters import Parameters, parameters
from mlsdm.registry import Registry

__all__ = ["POLICIES", "MoralPolicy", "moral_policy"]


class MoralPolicy(Parameters):
    """Base of all policies: parameters, and three functions of numbers that Numba compiles.

    A policy of your own is a class of parameters with at most 12 numbers::

        @mlsdm.moral_policy("cautious")
        class Cautious(mlsdm.MoralPolicy):
            gain: float = 0.01
            memory = ("refused",)

            @staticmethod
            def adapt(value, context, accepted, state, rule):
                state.refused += not accepted
                state.threshold += rule.gain * (0.5 - accepted)

    and is then used like ours: ``EngineParams(moral=Cautious())``, or by its name in a sweep,
    ``engine.moral.policy: [homeostatic, cautious]``.

    In the functions `value` and `context` are the moral value of the event and whatever else is
    known of it, both in [0, 1]; `state` has `threshold`, `acceptance_rate` (kept by the engine) and
    the names in `memory`; `rule` has the policy's parameters; all of them float64. What one of them
    raises is printed, not raised: `accept` then refuses.

    Parameters
    ----------
    policy
        The name; a parameter, so that a sweep can set it and a record keeps it.
    """

    policy: str
    memory: ClassVar[tuple[str, ...]] = ()
    """Names of up to six numbers of its own in the state; 0 at first."""
    papers: ClassVar[tuple[str | Reference, ...]] = ()
    """The papers behind it, for `mlsdm.citations`: keys of ours, or each a `citing.Reference`."""
    smoothing: Any = 0.1
    """Weight of the newest decision in the acceptance average that is reported."""

    def __new__(cls, *args: Any, **values: Any) -> Self:
        """Refuse to be made before there is a name."""
        if "policy" not in vars(cls):
            raise ParameterError(f"{cls.__name__}: must be given a name by moral_policy first")
        return super().__new__(cls)

    @staticmethod
    def accept(value: float, context: float, state: Any, rule: Any) -> bool:
        """Return whether an event passes, changing nothing; by default from the threshold on."""
        return bool(value >= state.threshold)

    @staticmethod
    def adapt(value: float, context: float, accepted: bool, state: Any, rule: Any) -> None:
        """Change the state after a decision. By default: not at all."""

    @staticmethod
    def learn(
        value: float, context: float, accepted: bool, toxic: bool, state: Any, rule: Any
    ) -> None:
        """Change the state when it is told what an event truly was. By default: not at all."""

    @property
    def learns(self) -> bool:
        """Whether labels change what it does."""
        return type(self).learn is not MoralPolicy.learn

    @property
    def asks_context(self) -> bool:
        """Whether it needs to be told a context; a simulation without one is then refused."""
        return False

    @property
    def start(self) -> dict[str, float]:
        """The state before the first event, by name; what is not named is 0, the threshold 0.5."""
        return {}

    @property
    def settings(self) -> dict[str, float]:
        """The parameters but for the name, as numbers.

        Raises
        ------
        ParameterError
            When one is no number, or there are more than there is room for.
        """
        owner = type(self).__name__
        flat = {name: value for name, value in self._flat().items() if name != "policy"}
        for name, value in flat.items():
            if not isinstance(value, (int, float)):
                raise ParameterError(f"{owner}.{name}: must be a number (got {value!r})")
        if len(flat) > SETTINGS:
            raise ParameterError(
                f"{owner}: must have at most {SETTINGS} parameters (got {len(flat)})"
            )
        return {name: float(value) for name, value in flat.items()}

    @property
    def rule(self) -> dict[str, Any]:
        """The constants that the compiled rules read, by name.

        Raises
        ------
        ParameterError
            When one of the functions cannot be compiled.
        """
        note(*self.papers)
        settings = {f"setting{i}": value for i, value in enumerate(self.settings.values())}
        return {
            **settings,
            **addresses(type(self), _own_functions(type(self)), tuple(self.settings)),
            "smoothing": float(self.smoothing),
            "by_policy": True,
        }

    @property
    def initial_state(self) -> dict[str, Any]:
        """The state before the first event, as the compiled rules name it.

        Raises
        ------
        ParameterError
            When `start` names what is not in the state, or gives it what is no finite number.
        """
        known = {"threshold": 0.5, "acceptance_rate": 0.5} | dict.fromkeys(self.memory, 0.0)
        start = known | self.start
        for name in start.keys() - known.keys():
            raise ParameterError(
                f"{type(self).__name__}.start: {name!r} is not in the state{nearest(name, known)}"
            )
        for name, value in start.items():
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ParameterError(
                    f"{type(self).__name__}.start: {name!r} must be a finite number (got {value!r})"
                )
        own = {f"memory{i}": start[name] for i, name in enumerate(self.memory)}
        return {"threshold": start["threshold"], "rate": start["acceptance_rate"], **own}

    def replace(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with other values; another `policy` begins from that one's defaults.

        Raises
        ------
        ParameterError
            For an unknown name, a wrong type or a value that is not allowed.
        """
        if not isinstance(values, Mapping) or values.get("policy", self.policy) == self.policy:
            return super().replace(values)
        name = values["policy"]
        if not isinstance(name, str) or name not in POLICIES:
            raise ParameterError(
                f"{type(self).__name__}.policy: {name!r} is not known{nearest(str(name), POLICIES)}"
            )
        policy: Any = POLICIES[name]
        fits = isinstance(policy, type) and issubclass(policy, MoralPolicy)
        if not fits or policy.policy != name:  # an entry point can hold anything
            raise ParameterError(
                f"{type(self).__name__}.policy: {name!r} must stand for a class made by "
                f"moral_policy({name!r}) (got {policy!r})"
            )
        return policy().replace(values)  # type: ignore[no-any-return]


POLICIES: Registry[type[MoralPolicy]] = Registry("policy", "mlsdm.policies")
"""Policies by name."""

P = TypeVar("P", bound=type[MoralPolicy])


@dataclass_transform(frozen_default=True)
def moral_policy(name: str) -> Callable[[P], P]:
    """Make a subclass of `MoralPolicy` a frozen parameter object that is known by this name.

    Raises
    ------
    ParameterError
        When the class is no `MoralPolicy`, has more numbers than there is room for or what is no
        number, or functions that would not be called.
    """
    if not isinstance(name, str) or not name.strip():
        raise ParameterError(
            f'moral_policy: must be given a name, as in @moral_policy("name") (got {name!r})'
        )

    def made(cls: P) -> P:
        if not (isinstance(cls, type) and issubclass(cls, MoralPolicy)):
            raise ParameterError(f"moral_policy: must be given a MoralPolicy (got {cls!r})")
        if cls.rule is not MoralPolicy.rule:
            _check_functions(cls)
        _check_class(cls)
        own = inspect.get_annotations(cls)
        for field in own:
            if not hasattr(cls, field):
                raise ParameterError(f"{cls.__name__}.{field}: must have a default")
        cls.__annotations__ = {**own, "policy": Literal[name]}
        cls.policy = name
        policy: P = parameters(cls)
        if policy.rule is MoralPolicy.rule:
            _ = policy().settings
        return POLICIES.add(name, policy)  # type: ignore[return-value]

    return made


def _check_class(cls: type[MoralPolicy]) -> None:
    if "smoothing" not in inspect.get_annotations(cls):
        as_fraction(f"{cls.__name__}.smoothing", cls.smoothing)
    note(*cls.papers, used=False)
    own = inspect.get_annotations(cls)
    for name, value in vars(cls).items():
        if isinstance(value, (int, float)) and name not in {*own, "smoothing"}:
            raise ParameterError(
                f"{cls.__name__}.{name}: must be annotated to be a parameter, as in "
                f"`{name}: float = {value}`"
            )
    for name in _own_functions(cls):
        function, asked = getattr(cls, name), inspect.signature(getattr(MoralPolicy, name))
        static = isinstance(inspect.getattr_static(cls, name), staticmethod)
        if (
            not static
            or inspect.isgeneratorfunction(function)
            or len(inspect.signature(function).parameters) != len(asked.parameters)
        ):
            raise ParameterError(
                f"{cls.__name__}.{name}: must be a staticmethod that takes "
                f"({', '.join(asked.parameters)}) and returns (got {function!r})"
            )
    memory, owner = cls.memory, f"{cls.__name__}.memory"
    names = isinstance(memory, tuple) and all(isinstance(name, str) for name in memory)
    if not names or len({"threshold", "acceptance_rate", *memory}) != 2 + len(memory):
        raise ParameterError(
            f"{owner}: must be a tuple of names, each once, and neither 'threshold' nor "
            f"'acceptance_rate' (got {memory!r})"
        )
    if len(memory) > MEMORY:
        raise ParameterError(f"{owner}: must have at most {MEMORY} names (got {len(memory)})")


def _own_functions(cls: type[MoralPolicy]) -> tuple[str, ...]:
    """Return which functions are not those of the base, which the rules have at hand."""
    names = ("accept", "adapt", "learn")
    return tuple(name for name in names if getattr(cls, name) is not getattr(MoralPolicy, name))


def _check_functions(cls: type[MoralPolicy]) -> None:
    """Refuse functions where the rule is one that is compiled into the engine."""
    for name in _own_functions(cls):
        raise ParameterError(
            f"{cls.__name__}.{name}: would not be called, {cls.__mro__[1].__name__} has its "
            f"rule in the engine; derive from MoralPolicy"
        )
