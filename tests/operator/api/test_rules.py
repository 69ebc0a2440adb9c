"""Every rule, through a real kube-apiserver and through the offline validator: same verdict, field and message."""

from typing import Any

import pytest

from haizen_operator.api.rules import RULES, TRANSITIONS, Rule, TransitionRule
from haizen_operator.api.validation import admission_problems, validate_manifest
from tests.support.serving_api import ServingApi, refusals

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
each_transition = pytest.mark.parametrize("rule", TRANSITIONS, ids=lambda rule: rule.id)


@each_rule
def test_the_api_server_accepts_the_right_example(rule: Rule, serving_api: ServingApi) -> None:
    assert refusals(serving_api.try_create(rule.accepted, strict=True)) == []


@each_rule
def test_the_offline_validator_accepts_the_right_example(rule: Rule) -> None:
    assert admission_problems(rule.accepted) == []


@each_rule
def test_both_refuse_the_wrong_example_in_the_same_words(rule: Rule, serving_api: ServingApi) -> None:
    offline = admission_problems(rule.refused)
    online = refusals(serving_api.try_create(rule.refused))

    assert rule.message in [problem.message for problem in offline]
    assert _as_said_online(online) == sorted((problem.field, problem.message) for problem in offline)


@each_transition
def test_both_allow_the_right_change(rule: TransitionRule, serving_api: ServingApi) -> None:
    stored = serving_api.store(rule.before)
    try:
        assert refusals(serving_api.try_update(stored, rule.accepted)) == []
    finally:
        serving_api.delete(rule.before)
    assert admission_problems(rule.accepted, previous=rule.before) == []


@each_transition
def test_both_refuse_the_wrong_change_in_the_same_words(rule: TransitionRule, serving_api: ServingApi) -> None:
    offline = admission_problems(rule.refused, previous=rule.before)
    stored = serving_api.store(rule.before)
    try:
        online = refusals(serving_api.try_update(stored, rule.refused))
    finally:
        serving_api.delete(rule.before)

    assert [problem.message for problem in offline] == [rule.message]
    assert _as_said_online(online) == [(problem.field, problem.message) for problem in offline]


@each_transition
def test_a_change_is_no_matter_for_a_new_object(rule: TransitionRule) -> None:
    assert admission_problems(rule.refused) == []


def test_rules_have_names_of_their_own() -> None:
    names = [rule.id for rule in (*RULES, *TRANSITIONS)]

    assert sorted(set(names)) == sorted(names)


def test_accepted_examples_need_no_second_look() -> None:
    pairs: list[tuple[str, Any]] = [(rule.id, validate_manifest(rule.accepted)) for rule in RULES]

    assert [(name, problems) for name, problems in pairs if problems] == []


def _as_said_online(online: list[Any]) -> list[tuple[str, str]]:
    """(field, message) without the "Invalid value: ...: " that the API server puts in front."""
    messages = [rule.message for rule in (*RULES, *TRANSITIONS)]
    said = []
    for refusal in online:
        message = next((text for text in messages if refusal.message.endswith(text)), refusal.message)
        said.append((refusal.field, message))
    return sorted(said)
