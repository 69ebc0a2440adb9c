"""Rules for every component: replicas, concurrency, traffic, logging, several models.

KServe's rules (``ComponentExtensionSpec.Validate`` and ``validateMultipleStorageURIs``), unless said otherwise.
"""

from typing import Any

from haizen_operator.api.rules.examples import SERVER, SKLEARN, model_service, service
from haizen_operator.api.rules.rule import Rule, env_names, has

_DEFAULT_MOUNT = "/mnt/models"


def _mount(entry: Any) -> str:
    return str(entry.get("mountPath") or _DEFAULT_MOUNT)


def _first_folder(path: str) -> str:
    return path.strip("/").partition("/")[0]


def _share_a_parent(component: Any) -> bool:
    entries = component.get("storageUris") or []
    return len({_first_folder(_mount(entry)) for entry in entries if not _is_volume(entry)}) <= 1


def _volumes_apart(component: Any) -> bool:
    entries = component.get("storageUris") or []
    volumes = [_mount(entry) for entry in entries if _is_volume(entry)]
    # KServe compares volumes only where at least two other models are there.
    return len(entries) - len(volumes) <= 1 or len(set(volumes)) == len(volumes)


def _is_volume(entry: Any) -> bool:
    return str(entry["uri"]).startswith("pvc://")


def _server_names_storage(component: Any) -> bool:
    return any(
        container.get("name") == "kserve-container" and "STORAGE_URI" in env_names(container)
        for container in component.get("containers") or []
    )


_MOUNT = f"(has(u.mountPath) ? u.mountPath : '{_DEFAULT_MOUNT}')"
_V_MOUNT = f"(has(v.mountPath) ? v.mountPath : '{_DEFAULT_MOUNT}')"
_IS_VOLUME = "u.uri.startsWith('pvc://')"
_V_IS_VOLUME = "v.uri.startsWith('pvc://')"

RULES = (
    Rule(
        id="min-replicas",
        type="ComponentSpec",
        field=".minReplicas",
        cel="!has(self.minReplicas) || self.minReplicas >= 0",
        holds=lambda c: not has(c, "minReplicas") or c["minReplicas"] >= 0,
        message="minReplicas must be 0 (scale to zero when idle) or more",
        accepted=model_service(minReplicas=0),
        refused=model_service(minReplicas=-1),
    ),
    Rule(
        id="max-replicas",
        type="ComponentSpec",
        field=".maxReplicas",
        cel="!has(self.maxReplicas) || self.maxReplicas >= 0",
        holds=lambda c: not has(c, "maxReplicas") or c["maxReplicas"] >= 0,
        message="maxReplicas must be 0 (no limit) or more",
        accepted=model_service(maxReplicas=0),
        refused=model_service(maxReplicas=-1, minReplicas=0),
    ),
    Rule(
        id="replicas-in-order",
        type="ComponentSpec",
        field=".maxReplicas",
        cel="!has(self.maxReplicas) || self.maxReplicas <= 0 "
        "|| (has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
        holds=lambda c: (c.get("maxReplicas") or 0) <= 0 or c.get("minReplicas", 1) <= c["maxReplicas"],
        message="maxReplicas must be 0 (no limit) or at least minReplicas, which is 1 if left out",
        accepted=model_service(minReplicas=2, maxReplicas=2),
        refused=model_service(minReplicas=3, maxReplicas=2),
    ),
    Rule(
        id="container-concurrency",
        type="ComponentSpec",
        field=".containerConcurrency",
        cel="!has(self.containerConcurrency) || self.containerConcurrency >= 0",
        holds=lambda c: not has(c, "containerConcurrency") or c["containerConcurrency"] >= 0,
        message="containerConcurrency must be 0 (no limit) or more",
        accepted=model_service(containerConcurrency=0),
        refused=model_service(containerConcurrency=-1),
    ),
    Rule(  # our own rule: KServe lets Knative refuse it later
        id="canary-traffic-percent",
        type="ComponentSpec",
        field=".canaryTrafficPercent",
        cel="!has(self.canaryTrafficPercent) || (self.canaryTrafficPercent >= 0 && self.canaryTrafficPercent <= 100)",
        holds=lambda c: not has(c, "canaryTrafficPercent") or 0 <= c["canaryTrafficPercent"] <= 100,
        message="canaryTrafficPercent must be a percentage from 0 to 100",
        accepted=model_service(canaryTrafficPercent=100),
        refused=model_service(canaryTrafficPercent=101),
    ),
    Rule(
        id="logger-mode",
        type="LoggerSpec",
        cel="has(self.mode)",
        holds=lambda logger: has(logger, "mode"),
        message="mode of a logger must be set: all, request or response",
        accepted=model_service(logger={"url": "http://sink", "mode": "all"}),
        refused=model_service(logger={"url": "http://sink"}),
    ),
    Rule(
        id="logger-storage",
        type="LoggerStorage",
        cel="has(self.path) && has(self.parameters) && has(self.key)",
        holds=lambda storage: has(storage, "path") and has(storage, "parameters") and has(storage, "key"),
        message="storage of a logger must set all of path, parameters and key",
        accepted=model_service(
            logger={"mode": "all", "storage": {"path": "/logs", "parameters": {"type": "s3"}, "key": "default_s3"}}
        ),
        refused=model_service(logger={"mode": "all", "storage": {"path": "/logs", "key": "default_s3"}}),
    ),
    Rule(
        id="mount-path",
        type="StorageUri",
        field=".mountPath",
        in_canary=False,
        cel="!has(self.mountPath) || (self.mountPath != '/' && !self.mountPath.contains('..'))",
        holds=lambda entry: (
            not has(entry, "mountPath") or (entry["mountPath"] != "/" and ".." not in entry["mountPath"])
        ),
        message="mountPath must be an absolute path below /, without ..",
        accepted=service({"sklearn": {}, "storageUris": [{"uri": "s3://m/a", "mountPath": "/mnt/models/a"}]}),
        refused=service({"sklearn": {}, "storageUris": [{"uri": "s3://m/a", "mountPath": "/mnt/../etc"}]}),
    ),
    Rule(
        id="mount-paths-share-a-parent",
        type="ComponentSpec",
        field=".storageUris",
        in_canary=False,
        cel=f"!has(self.storageUris) || self.storageUris.all(u, {_IS_VOLUME} || self.storageUris.all(v, "
        f"{_V_IS_VOLUME} || {_V_MOUNT}.find('[^/]+') == {_MOUNT}.find('[^/]+')))",
        holds=_share_a_parent,
        message="the mountPaths of storageUris (pvc:// aside) must lie below one common folder, such as /mnt/models",
        accepted=service(
            {"sklearn": {}, "storageUris": [{"uri": "s3://m/a"}, {"uri": "s3://m/b", "mountPath": "/mnt/b"}]}
        ),
        refused=service(
            {"sklearn": {}, "storageUris": [{"uri": "s3://m/a"}, {"uri": "s3://m/b", "mountPath": "/opt/b"}]}
        ),
    ),
    Rule(
        id="volume-mounts-apart",
        type="ComponentSpec",
        field=".storageUris",
        in_canary=False,
        cel=f"!has(self.storageUris) || self.storageUris.filter(u, !{_IS_VOLUME}).size() < 2 "
        f"|| self.storageUris.all(u, !{_IS_VOLUME} "
        f"|| self.storageUris.filter(v, {_V_IS_VOLUME} && {_V_MOUNT} == {_MOUNT}).size() == 1)",
        holds=_volumes_apart,
        message="the mountPaths of pvc:// URIs in storageUris must differ from each other",
        accepted=service(
            {
                "sklearn": {},
                "storageUris": [
                    {"uri": "s3://m/a"},
                    {"uri": "s3://m/b", "mountPath": "/mnt/b"},
                    {"uri": "pvc://claim/a", "mountPath": "/data/a"},
                    {"uri": "pvc://claim/b", "mountPath": "/data/b"},
                ],
            }
        ),
        refused=service(
            {
                "sklearn": {},
                "storageUris": [
                    {"uri": "s3://m/a"},
                    {"uri": "s3://m/b", "mountPath": "/mnt/b"},
                    {"uri": "pvc://claim/a", "mountPath": "/data"},
                    {"uri": "pvc://claim/b", "mountPath": "/data"},
                ],
            }
        ),
    ),
    Rule(
        id="storage-uris-or-env",
        type="ComponentSpec",
        field=".storageUris",
        in_canary=False,
        cel="!has(self.storageUris) || !has(self.containers) || !self.containers.exists(c, has(c.name) "
        "&& c.name == 'kserve-container' && has(c.env) && c.env.exists(e, has(e.name) && e.name == 'STORAGE_URI'))",
        holds=lambda c: not has(c, "storageUris") or not _server_names_storage(c),
        message="storageUris must be left out where the container kserve-container has the variable STORAGE_URI",
        accepted=service({"containers": [SERVER], "storageUris": [{"uri": "s3://m/a"}]}),
        refused=service(
            {
                "containers": [{**SERVER, "env": [{"name": "STORAGE_URI", "value": "s3://m/b"}]}],
                "storageUris": [{"uri": "s3://m/a"}],
            }
        ),
    ),
    Rule(
        id="transformer-containers",
        type="TransformerSpec",
        field=".containers",
        cel="has(self.containers) && self.containers.size() > 0",
        holds=lambda c: bool(c.get("containers")),
        message="containers of a transformer must hold at least one container",
        accepted=service({"model": SKLEARN}, transformer={"containers": [SERVER]}),
        refused=service({"model": SKLEARN}, transformer={"minReplicas": 1}),
    ),
    Rule(
        id="explainer-implementation",
        type="ExplainerSpec",
        cel="has(self.art) != (has(self.containers) && self.containers.size() > 0)",
        holds=lambda c: has(c, "art") != bool(c.get("containers")),
        message="an explainer must have exactly one of art and containers",
        accepted=service({"model": SKLEARN}, explainer={"art": {"type": "SquareAttack"}}),
        refused=service({"model": SKLEARN}, explainer={"art": {"type": "SquareAttack"}, "containers": [SERVER]}),
    ),
    Rule(
        id="explainer-storage",
        type="ExplainerSpec",
        field=".storageUris",
        cel="!has(self.storageUris) || !has(self.art) || !has(self.art.storageUri)",
        holds=lambda c: not (has(c, "storageUris") and has(c, "art", "storageUri")),
        message="storageUris must be left out where art.storageUri is set",
        accepted=service({"model": SKLEARN}, explainer={"art": {}, "storageUris": [{"uri": "s3://m/a"}]}),
        refused=service(
            {"model": SKLEARN}, explainer={"art": {"storageUri": "s3://m/b"}, "storageUris": [{"uri": "s3://m/a"}]}
        ),
    ),
)
