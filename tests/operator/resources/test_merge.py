"""How an InferenceService's container and pod adjust a runtime's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_operator.resources.merge import RUNTIME_POD_FIELDS, merge_container, merge_env, merge_pod_spec

Fields = dict[str, Any]


@pytest.mark.parametrize(
    ("runtime", "service", "expected"),
    [
        pytest.param({"args": ["a"]}, {"args": ["b"]}, {"args": ["a", "b"]}, id="arguments-are-joined"),
        pytest.param({"args": ["a"]}, {}, {"args": ["a"]}, id="arguments-of-the-runtime"),
        pytest.param({}, {"args": ["b"]}, {"args": ["b"]}, id="arguments-of-the-service"),
        pytest.param({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}, id="command-is-replaced"),
        pytest.param({"image": "a"}, {"image": "b"}, {"image": "b"}, id="image-is-replaced"),
        pytest.param(
            {"image": "a", "name": "n"},
            {"image": "", "name": ""},
            {"image": "a", "name": "n"},
            id="empty-strings-say-nothing",
        ),
        pytest.param(
            {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}},
            {"resources": {"limits": {"nvidia.com/gpu": 1}}},
            {"resources": {"limits": {"cpu": "1", "nvidia.com/gpu": 1}, "requests": {"cpu": "1"}}},
            id="resources-are-merged",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "2"}]},
            {"env": [{"name": "A", "value": "2"}]},
            id="env-by-name",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "B", "value": "2"}]},
            {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
            id="new-env-before-the-runtimes",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]},
            {"env": [{"name": "B", "value": "2"}, {"name": "C", "value": "2"}]},
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "2"}]},
            id="env-keeps-the-runtimes-order",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "valueFrom": {"x": 1}}]},
            {"env": [{"name": "A", "valueFrom": {"x": 1}}]},
            id="value-from-wins",
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"x": 1}}]},
            {"env": [{"name": "A", "value": "2"}]},
            {"env": [{"name": "A", "value": "2"}]},
            id="value-wins",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "v", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "w", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "w", "mountPath": "/a"}]},
            id="mounts-by-path",
        ),
        pytest.param(
            {"ports": [{"containerPort": 8080, "name": "h2c"}]},
            {"ports": [{"containerPort": 8080, "name": "http1"}]},
            {"ports": [{"containerPort": 8080, "name": "http1"}]},
            id="ports-by-number",
        ),
        pytest.param(
            {"readinessProbe": {"httpGet": {"path": "/"}, "periodSeconds": 5}},
            {"readinessProbe": {"periodSeconds": 1}},
            {"readinessProbe": {"httpGet": {"path": "/"}, "periodSeconds": 1}},
            id="probe-settings-are-merged",
        ),
        pytest.param(
            {"readinessProbe": {"httpGet": {"path": "/"}}},
            {"readinessProbe": {"tcpSocket": {"port": 1}}},
            {"readinessProbe": {"tcpSocket": {"port": 1}}},
            id="another-probe-handler-replaces",
        ),
        pytest.param(
            {"securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}},
            {"securityContext": {"runAsUser": 5, "capabilities": {"drop": ["X"]}}},
            {"securityContext": {"runAsNonRoot": True, "runAsUser": 5, "capabilities": {"drop": ["X"]}}},
            id="security-context-is-merged",
        ),
        pytest.param(
            {"envFrom": [{"a": 1}]}, {"envFrom": [{"b": 1}]}, {"envFrom": [{"b": 1}]}, id="other-lists-are-replaced"
        ),
        pytest.param({"stdin": True}, {"stdin": False}, {"stdin": False}, id="false-is-said"),
    ],
)
def test_container(runtime: Fields, service: Fields, expected: Fields) -> None:
    assert merge_container(runtime, service) == expected


@pytest.mark.parametrize(
    ("runtime", "service", "expected"),
    [
        pytest.param({"hostIPC": True}, {}, {"hostIPC": True}, id="host-ipc-which-kserve-forgets"),
        pytest.param(
            {"nodeSelector": {"a": "1", "b": "1"}},
            {"nodeSelector": {"b": "2"}},
            {"nodeSelector": {"a": "1", "b": "2"}},
            id="node-selector",
        ),
        pytest.param(
            {"tolerations": [{"key": "a"}]},
            {"tolerations": [{"key": "b"}]},
            {"tolerations": [{"key": "b"}]},
            id="tolerations-are-replaced",
        ),
        pytest.param(
            {"affinity": {"nodeAffinity": {"x": 1}}},
            {"affinity": {"podAffinity": {"y": 1}}},
            {"affinity": {"nodeAffinity": {"x": 1}, "podAffinity": {"y": 1}}},
            id="affinity",
        ),
        pytest.param(
            {"volumes": [{"name": "a", "emptyDir": {}}]},
            {"volumes": [{"name": "b", "emptyDir": {}}]},
            {"volumes": [{"name": "b", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]},
            id="volumes-by-name",
        ),
        pytest.param(
            {"volumes": [{"name": "a", "emptyDir": {}}]},
            {"volumes": [{"name": "a", "secret": {"secretName": "s"}}]},
            {"volumes": [{"name": "a", "secret": {"secretName": "s"}}]},
            id="another-volume-source-replaces",
        ),
        pytest.param(
            {"volumes": [{"name": "a", "emptyDir": {"medium": "Memory"}}]},
            {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "1Gi"}}]},
            {"volumes": [{"name": "a", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]},
            id="the-same-volume-source-is-merged",
        ),
        pytest.param(
            {"imagePullSecrets": [{"name": "a"}]},
            {"imagePullSecrets": [{"name": "a"}]},
            {"imagePullSecrets": [{"name": "a"}]},
            id="pull-secrets-by-name",
        ),
        pytest.param({"schedulerName": "x"}, {"schedulerName": "y"}, {"schedulerName": "y"}, id="scheduler"),
        pytest.param(
            {"resourceClaims": [{"name": "g"}]}, {}, {"resourceClaims": [{"name": "g"}]}, id="resource-claims"
        ),
        pytest.param(
            {"serviceAccountName": "not KServe's to take"},
            {"serviceAccountName": "mine"},
            {"serviceAccountName": "mine"},
            id="other-fields-come-from-the-service-alone",
        ),
    ],
)
def test_pod(runtime: Fields, service: Fields, expected: Fields) -> None:
    assert merge_pod_spec(runtime, service) == expected


def test_merge_env_later_wins_in_place() -> None:
    first, second = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}], [{"name": "A", "value": "2"}]
    assert merge_env(first, second) == [{"name": "A", "value": "2"}, {"name": "B", "value": "1"}]


variables = st.lists(
    st.builds(lambda name, value: {"name": name, "value": value}, st.sampled_from("ABCDE"), st.sampled_from("123")),
    unique_by=lambda it: it["name"],
)


@given(variables, variables)
def test_every_variable_survives_once_and_the_services_wins(ours: list[Fields], theirs: list[Fields]) -> None:
    merged = merge_container({"env": ours}, {"env": theirs}).get("env", [])
    expected = {it["name"]: it for it in [*ours, *theirs]}
    assert {it["name"]: it for it in merged} == expected
    assert len(merged) == len(expected)


@given(variables, variables)
def test_both_orders_are_kept_where_they_agree(ours: list[Fields], theirs: list[Fields]) -> None:
    merged = [it["name"] for it in merge_container({"env": ours}, {"env": theirs}).get("env", [])]
    assert [name for name in merged if name in {it["name"] for it in theirs}] == [it["name"] for it in theirs]
    only_ours = [it["name"] for it in ours if it["name"] not in {it["name"] for it in theirs}]
    assert [name for name in merged if name in only_ours] == only_ours


@given(st.dictionaries(st.sampled_from(["image", "workingDir", "imagePullPolicy"]), st.sampled_from(["a", "b"])))
def test_an_empty_service_changes_nothing(container: Fields) -> None:
    assert merge_container(container, {}) == container
    assert merge_container({}, container) == container


def test_inputs_are_not_changed() -> None:
    runtime = {"env": [{"name": "A", "value": "1"}], "args": ["a"], "resources": {"limits": {"cpu": "1"}}}
    service = {"env": [{"name": "A", "value": "2"}], "args": ["b"], "resources": {"limits": {"cpu": "2"}}}
    merge_container(runtime, service)["resources"]["limits"]["cpu"] = "9"
    assert runtime == {"env": [{"name": "A", "value": "1"}], "args": ["a"], "resources": {"limits": {"cpu": "1"}}}
    assert service["args"] == ["b"]


def test_only_kserves_fields_come_from_a_runtime() -> None:
    runtime = dict.fromkeys((*RUNTIME_POD_FIELDS, "runtimeClassName", "dnsPolicy"), "x")
    assert set(merge_pod_spec(runtime, {})) == set(RUNTIME_POD_FIELDS)
