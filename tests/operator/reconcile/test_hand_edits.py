"""A Knative Service that somebody else edits: one write puts it back, and the next reconcile writes nothing."""

import asyncio
import copy
import json
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haizen_operator.apply import carry_out
from haizen_operator.kinds import INFERENCE_SERVICE, KNATIVE_SERVICE
from haizen_operator.kube.errors import Conflict
from haizen_operator.plan import decide
from tests.operator.reconcile.cluster_world import World, inference_service
from tests.operator.reconcile.direct import direct
from tests.operator.reconcile.test_whose_it_is import service_of_somebody
from tests.support.control_plane import ControlPlane

Manifest = dict[str, Any]
_names = (f"edited-{number}" for number in count(1))


def applied_by(world: World, manager: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    """Another tool's server-side apply, by force."""
    body = {
        "apiVersion": KNATIVE_SERVICE.api_version,
        "kind": KNATIVE_SERVICE.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    answer = world.http.patch(
        KNATIVE_SERVICE.path(namespace, name),
        content=json.dumps(body),
        params={"fieldManager": manager, "force": "true"},
        headers={"Content-Type": "application/apply-patch+yaml"},
    )
    assert answer.status_code < 400, answer.text
    made: Manifest = answer.json()
    return made


def pod(**fields: Any) -> Manifest:
    return {"template": {"spec": fields}}


def container(**fields: Any) -> Manifest:
    return pod(containers=[{"name": "kserve-container", "image": "example.com/evil:1", **fields}])


EDITS: dict[str, Manifest] = {
    "containerConcurrency": pod(containerConcurrency=3),
    "a timeout": pod(timeoutSeconds=7),
    "the timeout that is wanted": pod(timeoutSeconds=30),
    "a ServiceAccount": pod(serviceAccountName="somebody"),
    "an annotation of the template": {"template": {"metadata": {"annotations": {"hello": "world"}}}},
    "a label of the template": {"template": {"metadata": {"labels": {"hello": "world"}}}},
    "the revision's name": {"template": {"metadata": {"name": "mine-00009"}}},
    "the scale": {"template": {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "9"}}}},
    "the container": container(env=[{"name": "A", "value": "b"}]),
    "a nodeSelector": pod(nodeSelector={"disk": "slow", "colour": "red"}),
    "a toleration": pod(tolerations=[{"key": "a", "operator": "Exists"}]),
    "a volume": pod(volumes=[{"name": "extra", "emptyDir": {}}]),
    "a pull secret": pod(imagePullSecrets=[{"name": "one"}, {"name": "two"}]),
    "traffic": {"traffic": [{"latestRevision": True, "percent": 30}, {"revisionName": "x", "percent": 70}]},
    "an unknown field": {"novelty": {"a": [{"b": 1}]}},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("how", ["edited", "applied"])
async def test_one_write_puts_an_edit_back(
    world: World, control_plane: ControlPlane, namespace: str, edit: Manifest, how: str
) -> None:
    world.install_runtimes()
    world.create(INFERENCE_SERVICE, inference_service("hand", namespace, timeout=30))
    async with direct(control_plane) as operator:
        await operator.settle(namespace, "hand")
        before = world.wait_service("hand", namespace)
        if how == "edited":
            world.merge(KNATIVE_SERVICE, "hand-predictor", namespace, {"spec": edit}, manager="kubectl-edit")
        else:
            applied_by(world, "argocd", "hand-predictor", namespace, edit)
        same = world.wait_service("hand", namespace)["spec"] == before["spec"]
        wrote = await operator.reconcile(namespace, "hand")
        assert wrote["Service"] == (0 if same else 1)
        assert world.wait_service("hand", namespace)["spec"] == before["spec"]
        assert (await operator.reconcile(namespace, "hand"))["Service"] == 0
        events = world.events(namespace)
        assert events.count(("Normal", "DriftCorrected")) == (0 if same else 1)


STEPS = st.lists(
    st.tuples(st.sampled_from(["kubectl-edit", "argocd", "replace"]), st.sampled_from(sorted(EDITS))),
    min_size=1,
    max_size=5,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, respec=st.booleans())
def test_one_write_puts_any_edits_back(
    world: World,
    control_plane: ControlPlane,
    namespace: str,
    steps: list[tuple[str, str]],
    respec: bool,
) -> None:
    """Any edits by several managers, with or without an edit of our own spec at the same time."""
    name = next(_names)
    world.install_runtimes()
    world.create(INFERENCE_SERVICE, inference_service(name, namespace, timeout=30, serviceAccountName="robot"))
    child = f"{name}-predictor"

    async def play() -> None:
        async with direct(control_plane) as operator:
            await operator.settle(namespace, name)
            wanted = world.wait_service(name, namespace)["spec"]
            for manager, what in steps:
                if manager == "argocd":
                    applied_by(world, manager, child, namespace, EDITS[what])
                elif manager == "kubectl-edit":
                    world.merge(KNATIVE_SERVICE, child, namespace, {"spec": EDITS[what]}, manager=manager)
                else:
                    whole = copy.deepcopy(world.wait_service(name, namespace))
                    del whole["metadata"]["managedFields"]
                    whole["spec"] |= {"novelty": what, "traffic": EDITS["traffic"]["traffic"]}
                    world.http.put(
                        KNATIVE_SERVICE.path(namespace, child), json=whole, params={"fieldManager": manager}
                    ).raise_for_status()
            if respec:  # a field goes, one changes
                patch = {"spec": {"predictor": {"timeout": None, "serviceAccountName": "other"}}}
                world.merge(INFERENCE_SERVICE, name, namespace, patch)
            same = not respec and world.wait_service(name, namespace)["spec"] == wanted
            wrote = await operator.reconcile(namespace, name)
            assert wrote["Service"] == (0 if same else 1)
            live = world.wait_service(name, namespace)["spec"]
            if respec:
                assert live["template"]["spec"].get("serviceAccountName") == "other"
                assert not {"timeoutSeconds", "containerConcurrency", "tolerations"} & live["template"]["spec"].keys()
                assert "novelty" not in live
            else:
                assert live == wanted
            assert (await operator.reconcile(namespace, name))["Service"] == 0
            # What was put back by hand is ours like everything else: the next edit takes one write as well.
            patch = {"spec": {"predictor": {"timeout": None, "serviceAccountName": None, "minReplicas": 2}}}
            world.merge(INFERENCE_SERVICE, name, namespace, patch)
            assert (await operator.reconcile(namespace, name))["Service"] == 1
            bare = world.wait_service(name, namespace)["spec"]["template"]["spec"]
            assert not {"timeoutSeconds", "serviceAccountName"} & bare.keys()
            assert (await operator.reconcile(namespace, name))["Service"] == 0

    asyncio.run(play())


async def test_metadata_of_others_is_left_alone(world: World, control_plane: ControlPlane, namespace: str) -> None:
    """A GitOps tool's labels and annotations stay, also when something in the spec is put back."""
    world.install_runtimes()
    world.create(INFERENCE_SERVICE, inference_service("tagged", namespace))
    async with direct(control_plane) as operator:
        await operator.settle(namespace, "tagged")
        theirs = {"labels": {"argocd/instance": "x"}, "annotations": {"note": "hello"}}
        edit = {"metadata": theirs, "spec": pod(containerConcurrency=3)}
        world.merge(KNATIVE_SERVICE, "tagged-predictor", namespace, edit, manager="argocd")
        assert (await operator.reconcile(namespace, "tagged"))["Service"] == 1
        metadata = world.wait_service("tagged", namespace)["metadata"]
        assert metadata["labels"]["argocd/instance"] == "x"
        assert metadata["annotations"]["note"] == "hello"
        assert (await operator.reconcile(namespace, "tagged"))["Service"] == 0


async def test_our_own_metadata_taken_off_comes_back(world: World, control_plane: ControlPlane, namespace: str) -> None:
    world.install_runtimes()
    world.create(INFERENCE_SERVICE, inference_service("stripped", namespace))
    async with direct(control_plane) as operator:
        await operator.settle(namespace, "stripped")
        before = world.wait_service("stripped", namespace)["metadata"]
        world.merge(KNATIVE_SERVICE, "stripped-predictor", namespace, {"metadata": {"annotations": None}})
        assert (await operator.reconcile(namespace, "stripped"))["Service"] == 1
        assert world.wait_service("stripped", namespace)["metadata"]["annotations"] == before["annotations"]
        assert ("Normal", "DriftCorrected") in world.events(namespace)
        assert (await operator.reconcile(namespace, "stripped"))["Service"] == 0


async def test_service_from_a_backup_is_adopted_with_one_write(
    world: World, control_plane: ControlPlane, namespace: str
) -> None:
    """A backup tool creates what we once applied, defaults and all, for an InferenceService with a new uid."""
    world.install_runtimes()
    world.create(INFERENCE_SERVICE, inference_service("saved", namespace, timeout=30))
    async with direct(control_plane) as operator:
        await operator.settle(namespace, "saved")
        saved = world.wait_service("saved", namespace)
        world.delete(INFERENCE_SERVICE, "saved", namespace)
        world.delete(KNATIVE_SERVICE, "saved-predictor", namespace)
        kept = ("name", "namespace", "labels", "annotations")
        metadata = {key: saved["metadata"][key] for key in kept}
        spec = copy.deepcopy(saved["spec"])
        spec["template"]["spec"] |= {"containerConcurrency": 0, "enableServiceLinks": False}  # Knative's defaults
        made = world.create(KNATIVE_SERVICE, {**saved, "metadata": metadata, "spec": spec}, manager="velero-server")
        isvc = world.create(INFERENCE_SERVICE, inference_service("saved", namespace, timeout=30))
        assert (await operator.reconcile(namespace, "saved"))["Service"] == 1
        live = world.wait_service("saved", namespace)
        assert live["metadata"]["uid"] == made["metadata"]["uid"]
        assert [it["uid"] for it in live["metadata"]["ownerReferences"]] == [isvc["metadata"]["uid"]]
        assert live["spec"]["template"]["spec"]["enableServiceLinks"] is False, "else a revision would be made"
        assert (await operator.reconcile(namespace, "saved"))["Service"] == 0


async def test_service_that_appears_before_our_first_apply_is_not_merged(
    world: World, control_plane: ControlPlane, namespace: str
) -> None:
    """Between our look, which finds none, and our apply, somebody creates a Knative Service of that name."""
    world.install_runtimes()
    world.create(INFERENCE_SERVICE, inference_service("raced", namespace))
    async with direct(control_plane) as operator:
        observed = await operator.observer.observe(namespace, "raced")
        assert observed is not None
        theirs = world.create(KNATIVE_SERVICE, service_of_somebody("raced", namespace))
        with pytest.raises(Conflict):
            await carry_out(operator.client, decide(observed))
        assert world.wait_service("raced", namespace) == theirs
        await operator.reconcile(namespace, "raced")
        assert world.condition("raced", namespace)["reason"] == "NotOwned"
        world.delete(KNATIVE_SERVICE, "raced-predictor", namespace)
        assert (await operator.reconcile(namespace, "raced"))["Service"] == 1
        entries = world.wait_service("raced", namespace)["metadata"]["managedFields"]
        assert [(it["manager"], it["operation"]) for it in entries] == [("haizen", "Apply")]
