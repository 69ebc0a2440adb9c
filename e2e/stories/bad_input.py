"""What is wrong is refused where the user stands, in words that name the field and what was expected."""

import httpx
import yaml

from e2e import digits
from e2e.context import Context
from e2e.kubectl import KubectlError, Manifest
from e2e.stories import story


@story("bad-input", "bad input: refused at admission, by a condition, or with a 4xx", order=75)
def bad_input(context: Context) -> None:
    """Every refusal names the field; the server stays up."""
    for what, change, said in refused_at_admission():
        service = context.inference_service("refused", "s3://models/digits")
        change(service)
        refusal = refused(context, service)
        assert refusal, f"{what}: was accepted"
        missing = [word for word in said if word.lower() not in refusal.lower()]
        assert not missing, f"{what}: the refusal does not mention {missing}: {refusal}"
    context.note("refused at admission", len(refused_at_admission()))

    service = context.inference_service("odd-scheme", "gopher://models/digits")
    context.kubectl.apply(service)
    told = context.wait_condition("odd-scheme", "gopher")
    context.note("unsupported scheme", f"{told['reason']}: {told['message']}")
    context.kubectl.delete("inferenceservice", "odd-scheme", context.namespace)

    service = context.inference_service("odd-field", "s3://models/digits")
    service["spec"]["predictor"]["model"]["readinessProbe"] = {"httpGet": {"path": "/v2", "port": 8080, "pathh": "/"}}
    context.kubectl.apply(service)
    told = context.wait_condition("odd-field", "pathh")
    context.note("unknown field in a pass-through part", f"{told['reason']}: {told['message']}")
    context.kubectl.delete("inferenceservice", "odd-field", context.namespace)
    bad_requests(context)


def refused(context: Context, service: Manifest) -> str:
    """Return why an apply was refused; an empty text when it was not."""
    try:
        context.kubectl.run("apply", "-f", "-", stdin=yaml.safe_dump(service))
    except KubectlError as refusal:
        return str(refusal)
    context.kubectl.delete("inferenceservice", "refused", context.namespace)
    return ""


def bad_requests(context: Context) -> None:
    """Malformed JSON, a wrong shape, dtype or model name: a 4xx with an error, and the server answers on."""
    context.store.upload({"variants/1/model.joblib": digits.train_variant(context.workspace, 1)})
    context.kubectl.apply(context.inference_service("answers", context.store.uri("variants/1")))
    context.wait_ready("answers")
    host = {"Host": context.host("answers"), "Content-Type": "application/json"}
    infer = "/v2/models/answers/infer"
    wrong = [
        ("malformed JSON", infer, b'{"inputs": [', 400),
        ("wrong shape", infer, b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1,64],"data":[1,2,3]}]}', 400),
        ("wrong dtype", infer, b'{"inputs":[{"name":"x","datatype":"FP65","shape":[1,1],"data":[1]}]}', 400),
        ("wrong features", infer, b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1,3],"data":[1,2,3]}]}', 400),
        ("wrong model", "/v2/models/other/infer", b'{"inputs":[]}', 404),
        ("wrong model, v1", "/v1/models/other:predict", b'{"instances":[]}', 404),
        ("not an object", "/v1/models/answers:predict", b"[1]", 400),
    ]
    for what, path, body, status in wrong:
        answer = httpx.post(f"{context.gateway}{path}", content=body, headers=host, timeout=60)
        assert answer.status_code == status, f"{what}: {answer.status_code} {answer.text}"
        assert answer.json()["error"], f"{what}: {answer.text}"
    answer = context.post("answers", "/v1/models/answers:predict", digits.v1_body(digits.samples(1)))
    assert answer.status_code == 200, answer.text
    context.note("bad requests", f"{len(wrong)} answered 4xx with an error; the server answers on")


def refused_at_admission() -> list[tuple[str, object, list[str]]]:
    """Return (what is wrong, the edit, words that the refusal must contain)."""

    def predictor(**fields: object):
        return lambda service: service["spec"]["predictor"].update(fields)

    def quantity(service: Manifest) -> None:
        service["spec"]["predictor"]["model"]["resources"] = {"limits": {"memory": "12 potatoes"}}

    return [
        ("a percent over 100", predictor(canaryTrafficPercent=101), ["canaryTrafficPercent", "100"]),
        ("a negative percent", predictor(canaryTrafficPercent=-1), ["canaryTrafficPercent", "0"]),
        ("two frameworks", predictor(sklearn={"storageUri": "s3://models/digits"}), ["exactly one"]),
        ("a bad quantity", quantity, ["resources"]),
        ("a wrong type", predictor(minReplicas="many"), ["minReplicas", "integer"]),
        ("an unknown field", predictor(minReplica=1), ["minReplica", "unknown field"]),
        ("min above max", predictor(minReplicas=3, maxReplicas=2), ["minReplicas", "maxReplicas"]),
        ("an unknown scale metric", predictor(scaleMetric="qps"), ["scaleMetric"]),
    ]
