"""Root causes of pods and Revisions as kubelet, the scheduler and Knative report them."""

# ruff: noqa: E501 (a row is a line)
from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_operator.diagnosis import Rank, count_failing, diagnose, redact
from haizen_operator.reasons import Reason

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
REVISION = "digits-predictor-00002"


def ago(**delta: float) -> str:
    return (NOW - timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(
    *containers: dict[str, Any],
    init: tuple[dict[str, Any], ...] = (),
    name: str = "digits-predictor-00002-deployment-abc",
    revision: str = REVISION,
    conditions: tuple[dict[str, Any], ...] = (),
    started: str = ago(seconds=10),
    **status: Any,
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"serving.knative.dev/revision": revision}},
        "spec": {
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "registry.example/model:v2",
                    "resources": {
                        "limits": {"memory": "512Mi", "nvidia.com/gpu": "1"},
                        "requests": {"cpu": "500m", "memory": "512Mi"},
                    },
                    "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}},
                },
                {"name": "queue-proxy", "image": "gcr.io/knative/queue", "resources": {"requests": {"cpu": "25m"}}},
            ],
            "initContainers": [{"name": "storage-initializer", "image": "dev.local/haizen-runtime:e2e"}],
        },
        "status": {
            "phase": "Pending",
            "startTime": started,
            "conditions": [{"type": "Ready", "status": "False"}, *conditions],
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
            **status,
        },
    }


def waiting(
    reason: str, message: str = "", name: str = "kserve-container", last: dict[str, Any] | None = None
) -> dict[str, Any]:
    state: dict[str, Any] = {
        "name": name,
        "ready": False,
        "restartCount": 3 if last else 0,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    return {**state, "lastState": {"terminated": last}} if last else state


def ended(code: int, reason: str = "Error", message: str = "", name: str = "kserve-container") -> dict[str, Any]:
    return {
        "name": name,
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "reason": reason, "message": message}},
    }


def running(
    since: str,
    name: str = "kserve-container",
    *,
    ready: bool = False,
    restarts: int = 0,
    last: dict[str, Any] | None = None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "ready": ready,
        "restartCount": restarts,
        "state": {"running": {"startedAt": since}},
    }
    return {**found, "lastState": {"terminated": last}} if last else found


def unschedulable(message: str) -> dict[str, Any]:
    return pod(conditions=({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},))


def confession(reason: str, message: str, code: int) -> str:
    return json.dumps({"reason": reason, "message": message, "exitCode": code})


CASES = [
    ("the image is not in the registry", pod(waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/model:v2": ErrImagePull: not found')), Reason.IMAGE_PULL_FAILED, "image registry.example/model:v2 cannot be pulled", None),
    ("the image cannot be pulled at first", pod(waiting("ErrImagePull", "401 Unauthorized")), Reason.IMAGE_PULL_FAILED, "401 Unauthorized", None),
    ("the image's name is no name", pod(waiting("InvalidImageName")), Reason.IMAGE_PULL_FAILED, "InvalidImageName", None),
    ("the node has no GPU", unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."), Reason.UNSCHEDULABLE, "not enough nvidia.com/gpu (the pod asks for 1)", None),
    ("cpu and memory lack", unschedulable("0/3 nodes are available: 1 Insufficient memory, 3 Insufficient cpu."), Reason.UNSCHEDULABLE, "not enough cpu (the pod asks for 0.525); not enough memory (the pod asks for 512Mi)", None),
    ("a taint keeps the pod away", unschedulable("0/2 nodes are available: 2 node(s) had untolerated taint {nvidia.com/gpu: present}. preemption: 0/2"), Reason.UNSCHEDULABLE, "2 node(s) had untolerated taint {nvidia.com/gpu: present}", None),
    ("no node fits the selector", unschedulable("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."), Reason.UNSCHEDULABLE, "2 node(s) didn't match Pod's node affinity/selector", None),
    ("a claim does not exist", unschedulable('persistentvolumeclaim "models" not found'), Reason.UNSCHEDULABLE, 'persistentvolumeclaim "models" not found', None),
    ("the model needs more memory than its limit", pod(waiting("CrashLoopBackOff", last={"exitCode": 137, "reason": "OOMKilled"})), Reason.OUT_OF_MEMORY, "more memory than its limit (512Mi)", 137),
    ("the process crashes in native code", pod(waiting("CrashLoopBackOff", last={"exitCode": 139, "reason": "Error"})), Reason.CRASH_LOOP, "exit code 139, SIGSEGV", 139),
    ("a plain termination message as KServe's servers leave it", pod(waiting("CrashLoopBackOff", last={"exitCode": 1, "reason": "Error", "message": "Traceback\n  File x\nValueError: bad model"})), Reason.CRASH_LOOP, "ValueError: bad model", 1),
    ("the process ended just now", pod(ended(1, message="boom")), Reason.CONTAINER_EXITED, "exit code 1: boom", 1),
    ("it runs again after a crash", pod(running(ago(seconds=2), restarts=1, last={"exitCode": 2, "reason": "Error", "message": "bad flag"})), Reason.CONTAINER_EXITED, "exit code 2: bad flag", 2),
    ("our runtime cannot load the model", pod(ended(3, message=confession("ModelLoadFailed", "model.joblib is not a joblib file", 3))), Reason.MODEL_LOAD_FAILED, "model.joblib is not a joblib file", 3),
    ("our runtime says so between restarts", pod(waiting("CrashLoopBackOff", last={"exitCode": 5, "reason": "Error", "message": confession("UntrustedFormat", "pickle needs --allow-code", 5)})), Reason.UNTRUSTED_FORMAT, "pickle needs --allow-code", 5),
    ("our runtime's line at the end of a log", pod(ended(4, message="INFO start\n" + confession("ChecksumMismatch", "sha256 differs", 4) + "\n")), Reason.CHECKSUM_MISMATCH, "sha256 differs", 4),
    ("the download fails in our init container", pod(waiting("PodInitializing"), init=(ended(4, message=confession("ModelDownloadFailed", "s3://b/m: no such key", 4), name="storage-initializer"),)), Reason.MODEL_DOWNLOAD_FAILED, "s3://b/m: no such key", 4),
    ("the download fails in KServe's init container", pod(waiting("PodInitializing"), init=(waiting("CrashLoopBackOff", name="storage-initializer", last={"exitCode": 1, "reason": "Error", "message": "RuntimeError: Failed to fetch model"}),)), Reason.MODEL_DOWNLOAD_FAILED, "RuntimeError: Failed to fetch model", 1),
    ("another init container fails", pod(waiting("PodInitializing"), init=(ended(7, name="warm-up"),)), Reason.INIT_CONTAINER_FAILED, "init container warm-up ended with exit code 7", 7),
    ("a Secret of the environment is missing", pod(waiting("CreateContainerConfigError", 'secret "storage-config" not found')), Reason.CONTAINER_CONFIG_INVALID, 'secret "storage-config" not found', None),
    ("the command does not exist", pod(waiting("CrashLoopBackOff", last={"exitCode": 128, "reason": "StartError", "message": 'exec: "serve": executable file not found in $PATH'})), Reason.CONTAINER_CANNOT_RUN, "executable file not found", 128),
    ("the container cannot be made", pod(waiting("CreateContainerError", "no space left on device")), Reason.CONTAINER_CANNOT_RUN, "no space left on device", None),
    ("the readiness probe never succeeds", pod(running(ago(minutes=5)), running(ago(minutes=5), "queue-proxy")), Reason.READINESS_PROBE_FAILED, "GET /v2/health/ready on port 8080", None),
    ("the node evicted the pod", pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."), Reason.EVICTED, "low on resource: memory", None),
    ("kubelet did not admit the pod", pod(phase="Failed", reason="UnexpectedAdmissionError", message="Allocate failed"), Reason.ADMISSION_DENIED, "Allocate failed", None),
]  # fmt: skip


@pytest.mark.parametrize(("made", "reason", "words", "code"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_failing_pod(made: dict[str, Any], reason: Reason, words: str, code: int | None) -> None:
    found = diagnose([made], now=NOW)
    assert found is not None
    assert found.failing
    assert (found.reason, found.exit_code, found.revision) == (reason, code, REVISION)
    assert words in found.message


WAITS = [
    ("a pod that is set up", pod(waiting("ContainerCreating"))),
    (
        "a model that is downloaded",
        pod(waiting("PodInitializing"), init=(running(ago(minutes=9), "storage-initializer"),)),
    ),
    ("a server that starts", pod(running(ago(seconds=20)), running(ago(seconds=20), "queue-proxy"))),
    ("a gated pod", pod(conditions=({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"},))),
]


@pytest.mark.parametrize("made", [w[1] for w in WAITS], ids=[w[0] for w in WAITS])
def test_waiting_is_no_failure(made: dict[str, Any]) -> None:
    found = diagnose([made], now=NOW)
    assert found is not None
    assert not found.failing
    assert count_failing([made], now=NOW) == 0


def test_waiting_too_long_is_a_failure() -> None:
    made = pod(waiting("ContainerCreating"))
    made["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "gcs-key"}}]
    early = diagnose([made], now=NOW)
    assert early is not None
    assert not early.failing
    late = diagnose([made], now=NOW + timedelta(minutes=10))
    assert late is not None
    assert (late.reason, late.failing) == (Reason.VOLUME_MOUNT_FAILED, True)
    assert "Secret gcs-key" in late.message


def test_messages_hold_no_durations() -> None:
    made = pod(running(ago(minutes=5)))
    assert diagnose([made], now=NOW) == diagnose([made], now=NOW + timedelta(hours=1))


QUIET = [
    ("a ready pod", {**pod(running(ago(minutes=5), ready=True)), "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    ("a pod on its way out", {**pod(ended(1)), "metadata": {"name": "x", "deletionTimestamp": ago(seconds=1)}}),
]  # fmt: skip


@pytest.mark.parametrize("made", [q[1] for q in QUIET], ids=[q[0] for q in QUIET])
def test_says_nothing(made: dict[str, Any]) -> None:
    assert diagnose([made], now=NOW) is None


def test_the_most_telling_of_many_wins_in_any_order() -> None:
    pods = [
        pod(running(ago(seconds=5)), name="a"),
        pod(waiting("CrashLoopBackOff", last={"exitCode": 1, "reason": "Error"}), name="b"),
        pod(ended(3, message=confession("ModelLoadFailed", "corrupt", 3)), name="c"),
        pod(waiting("ImagePullBackOff"), name="d"),
    ]
    for order in itertools.permutations(pods):
        found = diagnose(order, now=NOW)
        assert found is not None
        assert (found.reason, found.pod, found.rank) == (Reason.MODEL_LOAD_FAILED, "c", Rank.CONFESSION)
    assert count_failing(pods, now=NOW) == 3


def revision(**conditions: tuple[str, str, str]) -> dict[str, Any]:
    listed = [{"type": k, "status": s, "reason": r, "message": m} for k, (s, r, m) in conditions.items()]
    return {"metadata": {"name": REVISION}, "status": {"conditions": listed}}


def test_only_pods_of_the_revision_count() -> None:
    old = pod(ended(1), revision="digits-predictor-00001")
    assert diagnose([old], now=NOW, revision=revision()) is None
    assert count_failing([old], now=NOW, revision=revision()) == 0


REVISIONS = [
    ("the image does not resolve", {"ContainerHealthy": ("False", "ContainerMissing", 'Unable to fetch image "nope:1": failed to resolve image to digest: 404')}, Reason.IMAGE_NOT_FOUND, 'Unable to fetch image "nope:1"'),
    ("a quota is used up", {"ResourcesAvailable": ("False", "FailedCreate", 'pods "x" is forbidden: exceeded quota: small, requested: cpu=1, used: cpu=4, limited: cpu=4')}, Reason.QUOTA_EXCEEDED, "exceeded quota: small"),
    ("pod security refuses", {"ResourcesAvailable": ("False", "FailedCreate", 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true')}, Reason.ADMISSION_DENIED, "violates PodSecurity"),
    ("a webhook refuses", {"ResourcesAvailable": ("False", "FailedCreate", 'admission webhook "policy.example" denied the request: no latest tags')}, Reason.ADMISSION_DENIED, "no latest tags"),
    ("the deadline passed", {"Ready": ("False", "ProgressDeadlineExceeded", "Initial scale was never achieved")}, Reason.REVISION_FAILED, "Initial scale was never achieved"),
    ("Knative quotes a termination message", {"ContainerHealthy": ("False", "ExitCode3", "Container failed with: " + confession("ModelLoadFailed", "corrupt", 3)), "Ready": ("False", "ExitCode3", "x")}, Reason.MODEL_LOAD_FAILED, "corrupt"),
    ("Knative quotes an exit code", {"ContainerHealthy": ("False", "ExitCode1", "Container failed with: boom")}, Reason.CONTAINER_EXITED, "boom"),
]  # fmt: skip


@pytest.mark.parametrize(("conditions", "reason", "words"), [r[1:] for r in REVISIONS], ids=[r[0] for r in REVISIONS])
def test_a_revision_without_pods(conditions: dict[str, tuple[str, str, str]], reason: Reason, words: str) -> None:
    found = diagnose([], now=NOW, revision=revision(**conditions))
    assert found is not None
    assert (found.reason, found.revision, found.failing) == (reason, REVISION, True)
    assert words in found.message


SECRETS = [
    "GET https://acct.blob.core.windows.net/m/x?sv=2020&sig=PLANTED%3D failed",
    "https://user:PLANTED@host/x",
    "Authorization: Bearer PLANTED.abc-def",
    "AWS_SECRET_ACCESS_KEY=PLANTED",
    '{"secret_access_key": "PLANTED"}',
    "password: PLANTED",
    "hf_PLANTEDPLANTEDPLANTED",
    "-----BEGIN RSA PRIVATE KEY-----\nPLANTED\n-----END RSA PRIVATE KEY-----",
    "token='PLANTED with spaces'",
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_reaches_a_message(text: str) -> None:
    assert "PLANTED" not in redact(text)
    for made in (
        pod(ended(1, message=text)),
        pod(waiting("ErrImagePull", text)),
        pod(ended(3, message=confession("ModelLoadFailed", text, 3))),
    ):
        found = diagnose([made], now=NOW)
        assert found is not None
        assert "PLANTED" not in found.message


def test_what_is_no_secret_stays() -> None:
    text = "s3://bucket/models/digits: the key model.joblib does not exist"
    assert redact(text) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["status", "metadata", "state", "waiting", "terminated", "conditions", "containerStatuses", "name", "type", "message"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(
    st.fixed_dictionaries(
        {
            "metadata": st.just({"name": "x"}),
            "status": st.dictionaries(st.sampled_from(["conditions", "containerStatuses", "phase", "reason"]), JSON),
        }
    )
)
def test_an_odd_pod_never_raises(made: dict[str, Any]) -> None:
    diagnose([made], now=NOW)
