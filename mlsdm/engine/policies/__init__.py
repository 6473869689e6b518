"""What decides which events pass: the homeostatic filter is one policy among several."""

from mlsdm.engine.policies.contextual import ContextualParams
from mlsdm.engine.policies.fixed import FixedParams
from mlsdm.engine.policies.homeostatic import MoralParams, as_homeostatic
from mlsdm.engine.policies.policy import POLICIES, MoralPolicy, moral_policy
from mlsdm.engine.policies.quantile import ProportionalIntegralParams, QuantileParams
from mlsdm.engine.policies.risk import RiskParams

__all__ = [
    "POLICIES",
    "ContextualParams",
    "FixedParams",
    "MoralParams",
    "MoralPolicy",
    "ProportionalIntegralParams",
    "QuantileParams",
    "RiskParams",
    "as_homeostatic",
    "moral_policy",
]
