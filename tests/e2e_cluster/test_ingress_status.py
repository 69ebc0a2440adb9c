from typing import Any

import pytest

from e2e.cluster.ingress.status import make_status
from e2e.cluster.ingress.translate import Held

OLD, NOW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
INGRESS: dict[str, Any] = {"metadata": {"namespace": "shop", "name": "iris", "generation": 3}}


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(one for one in status["conditions"] if one["type"] == kind)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        pytest.param(3, "True", id="Envoy serves it"),
        pytest.param(2, "Unknown", id="Envoy still serves the one before"),
        pytest.param(Held("waiting for Service a/b"), "Unknown", id="held"),
    ],
)
@pytest.mark.parametrize("kind", ["Ready", "NetworkConfigured", "LoadBalancerReady"])
def test_conditions(outcome: int | Held, expected: str, kind: str) -> None:
    assert condition(make_status(INGRESS, outcome, "envoy", NOW), kind)["status"] == expected


def test_a_held_ingress_says_why() -> None:
    status = make_status(INGRESS, Held("waiting for Service a/b"), "envoy", NOW)
    assert condition(status, "Ready")["message"] == "waiting for Service a/b"


@pytest.mark.parametrize(("before", "expected"), [("True", OLD), ("Unknown", NOW)])
def test_the_time_of_a_condition_changes_only_with_its_status(before: str, expected: str) -> None:
    old = {"conditions": [{"type": "Ready", "status": before, "lastTransitionTime": OLD}]}
    status = make_status({**INGRESS, "status": old}, 3, "envoy", NOW)
    assert condition(status, "Ready")["lastTransitionTime"] == expected


def test_both_balancers_are_named() -> None:
    status = make_status(INGRESS, 3, "envoy.ingress.svc", NOW)
    for balancer in ("publicLoadBalancer", "privateLoadBalancer"):
        assert status[balancer] == {"ingress": [{"domainInternal": "envoy.ingress.svc"}]}
    assert status["observedGeneration"] == 3


def test_a_second_look_changes_nothing() -> None:
    first = make_status(INGRESS, 3, "envoy", OLD)
    assert make_status({**INGRESS, "status": first}, 3, "envoy", NOW) == first
