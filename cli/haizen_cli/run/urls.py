"""The URLs of a service, and a curl line that works when pasted."""

import json
import shlex

from haizen_cli.run.routing import PATH_PREFIX, ServiceKey
from haizen_cli.samples import SAMPLE_ANNOTATION
from haizen_cli.workspace import Service
from haizen_operator.selection import Selection


def base_urls(key: ServiceKey, gateway: str, *, only_one: bool) -> list[tuple[str, str]]:
    """Return what a service's base URLs are for, and the URLs: the shortest that works first.

    Args:
        gateway: The gateway's own URL, such as ``http://127.0.0.1:8080``.
        only_one: Whether it is the only service, so that plain paths reach it.
    """
    port = gateway.rpartition(":")[2]
    found = [("plain path", gateway)] if only_one else []
    found.append(("path", f"{gateway}{PATH_PREFIX}/{key.namespace}/{key.name}"))
    found.append(("Host", f"http://{key.name}.{key.namespace}.localhost:{port}"))
    return found


def predict_path(key: ServiceKey, selection: Selection | None) -> str:
    """Return the path of predictions in the protocol that the service speaks."""
    if selection is not None and selection.protocol_version == "v2":
        return f"/v2/models/{key.name}/infer"
    return f"/v1/models/{key.name}:predict"


def curl_line(service: Service, key: ServiceKey, selection: Selection | None, base: str) -> tuple[str, str]:
    """Return what a curl line shows, and the line, ready for a shell.

    A sample gets a real row of its data; for any other model only its metadata can be asked for without knowing it.
    """
    if service.isvc.metadata.annotations.get(SAMPLE_ANNOTATION) != "digits":
        return "the model's metadata", shlex.join(["curl", "-s", f"{base}/v2/models/{key.name}"])
    from haizen_cli.samples.digits import held_out_digits

    rows, answers = held_out_digits(1)
    row = [int(value) for value in rows[0]]
    path = predict_path(key, selection)
    if path.startswith("/v2"):
        tensor = {"name": "digits", "shape": [1, len(row)], "datatype": "FP32", "data": row}
        body = json.dumps({"inputs": [tensor]}, separators=(",", ":"))
    else:
        body = json.dumps({"instances": [row]}, separators=(",", ":"))
    line = shlex.join(["curl", "-s", base + path, "-H", "Content-Type: application/json", "-d", body])
    return f"a handwritten {answers[0]}", line
