"""The chart: installed, tested, upgraded under traffic, uninstalled."""

import httpx

from e2e import digits
from e2e.context import Context
from e2e.installation import NAMESPACE, RELEASE, Installation
from e2e.stories import story


@story("helm", "helm: install, test, upgrade under traffic, uninstall", order=130)
def helm(context: Context) -> None:
    """No new revision and 0 failed requests by an upgrade; CRDs and services stay after an uninstall."""
    installation = Installation(context.kubectl)
    installation.uninstall()
    installation.install("knativeFeatures.enable=true")
    enforced = (context.kubectl.get("namespace", NAMESPACE) or {})["metadata"]["labels"][
        "pod-security.kubernetes.io/enforce"
    ]
    assert enforced == "restricted", enforced
    context.note("first install", f"one command, in a namespace that enforces {enforced}")
    context.note("helm test", installation.helm("test", RELEASE, "-n", NAMESPACE).strip().splitlines()[-1].strip())

    context.store.upload({"variants/1/model.joblib": digits.train_variant(context.workspace, 1)})
    context.kubectl.apply(context.inference_service("kept", context.store.uri("variants/1")))
    context.wait_ready("kept")
    before = revisions(context)
    with context.prober("kept", "/v1/models/kept:predict", digits.one_digit()) as prober:
        with prober.phase("upgrade"):
            installation.install(
                "knativeFeatures.enable=true", "operator.podAnnotations.upgraded=yes", "builtinRuntimes.upgrade=true"
            )
            context.wait_ready("kept")
            prober.wait_for(250, "upgrade")
        assert revisions(context) == before, f"the upgrade made a revision: {before} -> {revisions(context)}"
        with prober.phase("uninstalled"):
            installation.uninstall()
            prober.wait_for(250, "uninstalled")
        assert context.get("kept") is not None, "the uninstall took the InferenceService along"
    context.note("requests", prober.summary())
    assert not prober.failures(), f"lost requests: {prober.failures()[:5]}"
    answer = httpx.get(f"{context.gateway}/v2/models/kept", headers={"Host": context.host("kept")}, timeout=60)
    assert answer.status_code == 200, answer.text
    installation.install("knativeFeatures.enable=true")
    context.wait_ready("kept")
    context.note("uninstalled and installed again", "CRDs, services and traffic stayed")


def revisions(context: Context) -> list[str]:
    """Return the names of the service's revisions."""
    found = context.kubectl.list("revisions.serving.knative.dev", context.namespace)
    return sorted(revision["metadata"]["name"] for revision in found)
