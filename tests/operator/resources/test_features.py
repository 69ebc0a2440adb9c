"""Which flags of Knative a pod needs, and what is said when they are off."""

from typing import Any

import pytest

from haizen_operator.config import KnativeSettings
from haizen_operator.resources.features import knative_problems, missing_features, refused_fields

SERVER = {"name": "kserve-container", "ports": [{"containerPort": 8080}]}
P = "kubernetes.podspec-"
CLAIM = {"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}}
WRITTEN = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}


@pytest.mark.parametrize(
    ("pod", "flags"),
    [
        pytest.param({}, [], id="nothing-special"),
        pytest.param(
            {"initContainers": [{"name": "storage-initializer"}]}, [f"{P}init-containers"], id="init-container"
        ),
        pytest.param({"volumes": [CLAIM]}, [f"{P}persistent-volume-claim"], id="claim"),
        pytest.param(
            {"volumes": [WRITTEN]},
            [f"{P}persistent-volume-claim", f"{P}persistent-volume-write"],
            id="claim-written-to",
        ),
        pytest.param({"volumes": [{"name": "v", "emptyDir": {}}]}, [], id="empty-dir-is-on"),
        pytest.param({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, [f"{P}volumes-hostpath"], id="host-path"),
        pytest.param({"volumes": [{"name": "v", "csi": {}}]}, [f"{P}volumes-csi"], id="csi"),
        pytest.param({"volumes": [{"name": "v", "image": {}}]}, [f"{P}volumes-image"], id="image-volume"),
        *(
            pytest.param({field: value}, [P + flag], id=flag)
            for field, value, flag in [
                ("nodeSelector", {"a": "b"}, "nodeselector"),
                ("tolerations", [{"key": "a"}], "tolerations"),
                ("affinity", {"nodeAffinity": {}}, "affinity"),
                ("runtimeClassName", "nvidia", "runtimeclassname"),
                ("priorityClassName", "high", "priorityclassname"),
                ("schedulerName", "volcano", "schedulername"),
                ("topologySpreadConstraints", [{}], "topologyspreadconstraints"),
                ("hostAliases", [{}], "hostaliases"),
                ("dnsPolicy", "None", "dnspolicy"),
                ("dnsConfig", {"nameservers": []}, "dnsconfig"),
                ("securityContext", {"fsGroup": 1}, "securitycontext"),
                ("shareProcessNamespace", True, "shareprocessnamespace"),
                ("hostIPC", True, "hostipc"),
                ("hostPID", True, "hostpid"),
                ("hostNetwork", True, "hostnetwork"),
            ]
        ),
        pytest.param({"nodeSelector": {}}, [], id="an-empty-field-needs-nothing"),
        pytest.param({"containers": [SERVER, {"name": "b", "readinessProbe": {}}]}, [], id="a-second-container-is-on"),
        pytest.param(
            {"containers": [SERVER, {"name": "b", "readinessProbe": {"exec": {}}}]},
            ["multi-container-probing"],
            id="a-probe-of-a-sidecar",
        ),
        pytest.param(
            {"containers": [{**SERVER, "env": [{"name": "A", "valueFrom": {"fieldRef": {}}}]}]},
            [f"{P}fieldref"],
            id="field-ref",
        ),
        pytest.param(
            {"containers": [{**SERVER, "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}]},
            ["kubernetes.containerspec-addcapabilities"],
            id="capability",
        ),
        pytest.param(
            {"containers": [{**SERVER, "volumeMounts": [{"mountPropagation": "HostToContainer"}]}]},
            [f"{P}volumes-mount-propagation"],
            id="mount-propagation",
        ),
    ],
)
def test_flags(pod: dict[str, Any], flags: list[str]) -> None:
    pod = {"containers": [SERVER], **pod}
    found = missing_features(pod, {})
    assert [problem.setting for problem in found] == flags
    assert all(problem.setting in problem.message for problem in found)
    assert missing_features(pod, dict.fromkeys(flags, "enabled")) == []
    assert missing_features(pod, None) == []


@pytest.mark.parametrize(
    ("pod", "features", "missing"),
    [
        pytest.param({"nodeSelector": {"a": "b"}}, {f"{P}nodeselector": "allowed"}, 0, id="allowed-does"),
        pytest.param({"initContainers": [{}]}, {f"{P}init-containers": "allowed"}, 1, id="allowed-does-not-do"),
        pytest.param({"initContainers": [{}]}, {f"{P}init-containers": "Enabled"}, 0, id="case-has-no-say"),
        pytest.param(
            {"volumes": [{"name": "v", "emptyDir": {}}]}, {f"{P}volumes-emptydir": "disabled"}, 1, id="switched-off"
        ),
        pytest.param({"containers": [SERVER, {}]}, {"multi-container": "disabled"}, 1, id="multi-container-off"),
        pytest.param(
            {"securityContext": {"fsGroup": 1}}, {"secure-pod-defaults": "enabled"}, 0, id="secure-pod-defaults"
        ),
    ],
)
def test_values_of_flags(pod: dict[str, Any], features: dict[str, str], missing: int) -> None:
    assert len(missing_features({"containers": [SERVER], **pod}, features)) == missing


def test_the_message_names_the_field_the_flag_and_the_config_map() -> None:
    (problem,) = missing_features({"containers": [SERVER], "initContainers": [{"name": "storage-initializer"}]}, {})
    assert problem.message == (
        'init container storage-initializer needs kubernetes.podspec-init-containers: "enabled" '
        "in ConfigMap config-features of namespace knative-serving"
    )


@pytest.mark.parametrize(
    ("pod", "fields"),
    [
        pytest.param({}, [], id="none"),
        pytest.param(
            {"terminationGracePeriodSeconds": 5, "nodeName": "a"},
            ["nodeName", "terminationGracePeriodSeconds"],
            id="pod",
        ),
        pytest.param(
            {"containers": [{"name": "a", "lifecycle": {"preStop": {}}, "tty": False}]}, ["a.lifecycle"], id="container"
        ),
        pytest.param({"resourceClaims": [{"name": "g"}]}, ["resourceClaims"], id="dynamic-resources"),
    ],
)
def test_what_knative_never_allows(pod: dict[str, Any], fields: list[str]) -> None:
    assert refused_fields({"containers": [SERVER], **pod}) == fields


@pytest.mark.parametrize(
    ("pod", "annotations", "settings"),
    [
        pytest.param({"timeoutSeconds": 600}, {}, [], id="timeout-within"),
        pytest.param({"timeoutSeconds": 601}, {}, ["max-revision-timeout-seconds"], id="timeout-above"),
        pytest.param(
            {}, {"autoscaling.knative.dev/initial-scale": "0"}, ["allow-zero-initial-scale"], id="initial-scale"
        ),
        pytest.param({"nodeSelector": {"a": "b"}}, {}, [f"{P}nodeselector"], id="flag"),
    ],
)
def test_problems(pod: dict[str, Any], annotations: dict[str, str], settings: list[str]) -> None:
    service = {"spec": {"template": {"spec": {"containers": [SERVER], **pod}}}}
    found = knative_problems(service, annotations, KnativeSettings(features={}))
    assert [problem.setting for problem in found] == settings
