"""KServe's order of runtimes, its filters and its messages, row by row."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_operator.api import ClusterServingRuntime, InferenceService, ServingRuntime
from haizen_operator.selection import CLUSTER_KIND, NAMESPACE_KIND, SelectionError, select_runtime


def runtime(
    name: str,
    formats: list[Any] | None = None,
    protocols: list[str] | None = None,
    *,
    created: str = "2026-01-01T00:00:00Z",
    cluster: bool = True,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> ServingRuntime:
    """A runtime; a format is its name, or (name, version, priority, autoSelect)."""
    supported = []
    for entry in formats if formats is not None else ["sklearn"]:
        values = (entry,) if isinstance(entry, str) else entry
        format_name, version, priority, auto = (*values, *(None, None, True)[len(values) - 1 :])
        supported.append({"name": format_name, "version": version, "priority": priority, "autoSelect": auto})
    kind = ClusterServingRuntime if cluster else ServingRuntime
    return kind.from_manifest(
        {
            "metadata": {"name": name, "creationTimestamp": created, "annotations": annotations or {}},
            "spec": {
                "supportedModelFormats": supported,
                "protocolVersions": protocols or [],
                "containers": [{"name": "kserve-container", "image": "x:1"}],
                **spec,
            },
        }
    )


def service(format_name: str = "sklearn", **model: Any) -> InferenceService:
    version = model.pop("version", None)
    worker = model.pop("workerSpec", None)
    predictor: dict[str, Any] = {"model": {"modelFormat": {"name": format_name, "version": version}, **model}}
    if worker is not None:
        predictor["workerSpec"] = worker
    return InferenceService.from_manifest({"metadata": {"name": "iris"}, "spec": {"predictor": predictor}})


@pytest.mark.parametrize(
    ("runtimes", "winner"),
    [
        pytest.param(
            [runtime("a", ["sklearn"], ["v1", "v2"]), runtime("b", ["sklearn"], [])], "a", id="protocol-v1-before-any"
        ),
        pytest.param(
            [runtime("a", ["sklearn"], ["grpc-v1", "v1"]), runtime("b", ["sklearn"], ["v1"])],
            "a",
            id="lowest-protocol-counts-then-name",
        ),
        pytest.param(
            [runtime("a", created="2026-01-01T00:00:00Z"), runtime("b", created="2026-01-02T00:00:00Z")],
            "b",
            id="newest-first",
        ),
        pytest.param([runtime("b"), runtime("a")], "a", id="then-by-name"),
        pytest.param(
            [
                runtime("a", created="2026-01-01T00:00:00Z"),
                runtime("b", [("sklearn", "1", 1)], created="2025-01-01T00:00:00Z"),
            ],
            "b",
            id="a-priority-before-none",
        ),
        pytest.param(
            [runtime("a", [("sklearn", "1", 1)]), runtime("b", [("sklearn", "1", 2)])], "b", id="highest-priority"
        ),
        pytest.param(
            [runtime("a", [("sklearn", "0", 1), ("sklearn", "1", 9)]), runtime("b", [("sklearn", "1", 2)])],
            "b",
            id="priority-of-the-first-entry",
        ),
        pytest.param(
            [runtime("own", cluster=False), runtime("a", [("sklearn", "1", 9)])],
            "own",
            id="namespace-before-cluster-whatever-the-priority",
        ),
        pytest.param([runtime("a", disabled=True), runtime("b")], "b", id="disabled-is-left-out"),
        pytest.param([runtime("a", multiModel=True), runtime("b")], "b", id="multi-model-is-left-out"),
        pytest.param([runtime("a", workerSpec={"containers": []}), runtime("b")], "b", id="multi-node-is-left-out"),
        pytest.param([runtime("a", [("sklearn", "1", 9, False)]), runtime("b")], "b", id="auto-select-off-is-left-out"),
        pytest.param(
            [runtime("a", [("sklearn", "1", 9, None)]), runtime("b")], "b", id="auto-select-unset-is-left-out"
        ),
        pytest.param(
            [runtime("a", ["sklearn"], ["v2"]), runtime("b", ["sklearn"], ["grpc-v1", "v1"])],
            "b",
            id="unset-protocol-means-v1",
        ),
    ],
)
def test_first_runtime_in_kserves_order(runtimes: list[ServingRuntime], winner: str) -> None:
    own = [it for it in runtimes if it.kind == NAMESPACE_KIND]
    cluster = [it for it in runtimes if it.kind == CLUSTER_KIND]
    assert select_runtime(service(), own, cluster).name == winner


@pytest.mark.parametrize(
    ("isvc", "formats", "protocols", "accepted"),
    [
        pytest.param(service(), [("sklearn", "1", None)], ["v1"], True, id="no-version-fits-any"),
        pytest.param(service(version="1"), [("sklearn", "1", None)], ["v1"], True, id="same-version"),
        pytest.param(service(version="1.0"), [("sklearn", "1", None)], ["v1"], False, id="a-version-is-a-label"),
        pytest.param(service(version="1"), ["sklearn"], ["v1"], False, id="version-needs-a-versioned-entry"),
        pytest.param(service("SKLearn"), ["sklearn"], ["v1"], False, id="names-are-case-sensitive"),
        pytest.param(service(protocolVersion="v2"), ["sklearn"], ["v1"], False, id="protocol-not-spoken"),
        pytest.param(service(protocolVersion="grpc-v2"), ["sklearn"], [], True, id="no-protocols-means-all"),
        pytest.param(
            service(workerSpec={}), ["sklearn"], ["v1"], False, id="multi-node-service-needs-a-multi-node-runtime"
        ),
    ],
)
def test_filter(isvc: InferenceService, formats: list[Any], protocols: list[str], accepted: bool) -> None:
    runtimes = [runtime("a", formats, protocols)]
    if accepted:
        assert select_runtime(isvc, [], runtimes).name == "a"
    else:
        with pytest.raises(SelectionError) as caught:
            select_runtime(isvc, [], runtimes)
        assert caught.value.reason == "NoSupportingRuntime"
        assert caught.value.message == "No runtime found to support specified framework/version"
        assert [it.accepted for it in caught.value.considered] == [False]


@pytest.mark.parametrize(
    ("isvc", "given_runtime", "reason", "message"),
    [
        pytest.param(
            service(runtime="gone"),
            runtime("a"),
            "RuntimeNotRecognized",
            "Waiting for runtime to become available",
            id="unknown",
        ),
        pytest.param(
            service(runtime="a"),
            runtime("a", disabled=True),
            "RuntimeDisabled",
            "Specified runtime is disabled",
            id="disabled",
        ),
        pytest.param(
            service(runtime="a", protocolVersion="v2"),
            runtime("a", ["sklearn"], ["v1"]),
            "NoSupportingRuntime",
            "Specified runtime does not support specified protocol version",
            id="protocol",
        ),
        pytest.param(
            service(runtime="a", version="2"),
            runtime("a", [("sklearn", "1", None)]),
            "NoSupportingRuntime",
            "Specified runtime does not support specified framework/version",
            id="version",
        ),
    ],
)
def test_named_runtime_is_refused_in_kserves_words(
    isvc: InferenceService, given_runtime: ServingRuntime, reason: str, message: str
) -> None:
    with pytest.raises(SelectionError) as caught:
        select_runtime(isvc, [], [given_runtime])
    assert (caught.value.reason, caught.value.message) == (reason, message)


@pytest.mark.parametrize(
    ("given_runtime", "why"),
    [
        pytest.param(
            runtime("a", [("sklearn", "1", None, False)]), "auto-select off", id="auto-select-does-not-matter"
        ),
        pytest.param(runtime("a", multiModel=True), "multi-model", id="multi-model-does-not-matter"),
        pytest.param(runtime("a", ["sklearn"], ["v2"]), "protocol unset", id="unset-protocol-does-not-matter"),
    ],
)
def test_named_runtime_is_taken(given_runtime: ServingRuntime, why: str) -> None:
    assert select_runtime(service(runtime="a"), [], [given_runtime]).name == "a", why


def test_named_runtime_of_the_namespace_comes_first() -> None:
    chosen = select_runtime(service(runtime="a"), [runtime("a", cluster=False)], [runtime("a")])
    assert chosen.kind == NAMESPACE_KIND


@pytest.mark.parametrize(
    ("isvc", "given_runtime", "protocol"),
    [
        pytest.param(service(), runtime("a", ["sklearn"], ["v2", "v1"]), "v1", id="lowest-of-the-runtime"),
        pytest.param(service(protocolVersion="v2"), runtime("a", ["sklearn"], ["v2", "v1"]), "v2", id="the-models-own"),
        pytest.param(service(runtime="a"), runtime("a", ["sklearn"], ["grpc-v2", "v2"]), "v2", id="lowest-when-named"),
        pytest.param(service(), runtime("a", ["sklearn"], []), "v1", id="none-said"),
        pytest.param(
            service(runtime="kserve-mlserver"), runtime("kserve-mlserver", ["sklearn"], []), "v2", id="mlserver-by-name"
        ),
        pytest.param(
            service(runtime="a"),
            runtime("a", ["sklearn"], [], annotations={"serving.kserve.io/server-type": "tritonserver"}),
            "v2",
            id="triton-by-annotation",
        ),
    ],
)
def test_protocol_of_the_selection(isvc: InferenceService, given_runtime: ServingRuntime, protocol: str) -> None:
    assert select_runtime(isvc, [], [given_runtime]).protocol_version == protocol


@pytest.mark.parametrize(
    ("other", "why"),
    [
        pytest.param(runtime("z", disabled=True), "it is disabled", id="disabled"),
        pytest.param(runtime("z", multiModel=True), "it is for ModelMesh (multiModel)", id="multi-model"),
        pytest.param(runtime("z", [("onnx", "1", None)]), "it does not load sklearn (it loads: onnx:1)", id="format"),
        pytest.param(
            runtime("z", [("sklearn", None, None, False)]),
            "it loads sklearn but is not to be chosen by itself (autoSelect is not true); name it in model.runtime",
            id="auto-select",
        ),
        pytest.param(
            runtime("z", ["sklearn"], ["v2"]),
            "it does not speak v1 (the default when protocolVersion is left out) (it speaks: v2)",
            id="protocol",
        ),
        pytest.param(
            runtime("z", [("sklearn", None, 2)], ["v1"]),
            "it would do, but its priority (2) is lower than a's (3)",
            id="priority",
        ),
        pytest.param(
            runtime("z", [("sklearn", None, 3)], ["v1"], created="2025-01-01T00:00:00Z"),
            "it would do, but a is newer",
            id="age",
        ),
        pytest.param(runtime("z", [("sklearn", None, 3)], ["v1"]), "it would do, but a comes first by name", id="name"),
    ],
)
def test_every_candidate_says_why(other: ServingRuntime, why: str) -> None:
    chosen = select_runtime(service(), [], [runtime("a", [("sklearn", None, 3)], ["v1"]), other])
    assert chosen.considered[0].name == "a"
    assert chosen.considered[0].accepted
    assert chosen.considered[1].name == "z"
    assert chosen.considered[1].why == why


def test_custom_container_needs_no_runtime() -> None:
    isvc = InferenceService.from_manifest({"metadata": {"name": "x"}, "spec": {"predictor": {"containers": [{}]}}})
    with pytest.raises(ValueError, match="custom container"):
        select_runtime(isvc, [], [runtime("a")])


@given(
    st.permutations([runtime("a"), runtime("b", [("sklearn", "1", 2)]), runtime("c", created="2026-02-01T00:00:00Z")])
)
def test_order_of_the_lists_has_no_say(runtimes: list[ServingRuntime]) -> None:
    chosen = select_runtime(service(), [], runtimes)
    assert [it.name for it in chosen.considered] == ["b", "c", "a"]
