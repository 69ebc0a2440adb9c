"""The rule table: one row a rule, from which both the CRDs' CEL rules and the offline validator are made.

A row is never stricter than KServe's webhook (a percentage outside 0..100 and two implementations at once aside), so
that every manifest KServe takes is taken here. What depends on annotations is in ``api.annotations``: CEL in a CRD
sees none.
"""

from haizen_operator.api.rules import component, inference_service, predictor, serving_runtime
from haizen_operator.api.rules.rule import Manifest, Rule, TransitionRule

RULES: tuple[Rule, ...] = (
    *inference_service.RULES,
    *component.RULES,
    *predictor.RULES,
    *serving_runtime.RULES,
)
TRANSITIONS: tuple[TransitionRule, ...] = (*inference_service.TRANSITIONS, *serving_runtime.TRANSITIONS)

__all__ = ["RULES", "TRANSITIONS", "Manifest", "Rule", "TransitionRule"]
