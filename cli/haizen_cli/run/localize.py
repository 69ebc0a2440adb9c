"""Translates the container that the operator would run in a pod into a process on this machine. Pure."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haizen_cli.errors import CliError
from haizen_operator import names

Manifest = Mapping[str, Any]

RUNTIME_REPOSITORY = "haizen-runtime"
"""The last part of our image's name: any registry, tag or digest may hold it."""

READY_PATH = "/v2/health/ready"
"""The path that the built-in runtimes' readiness probe asks for."""

_OWN_PORT_OPTIONS = ("http_port", "host")
_POD_VARIABLES = frozenset((names.ENV_STORAGE_URI, names.ENV_STORAGE_URIS, "PORT", "HOME"))
_EXPANSION = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")


@dataclass(frozen=True)
class Download:
    """A model to be fetched: from where, and where the container expects it."""

    uri: str
    mount_path: str


@dataclass(frozen=True)
class LocalContainer:
    """What is known of a process before its port and its model folder are.

    Attributes:
        arguments: The runtime's arguments, with the container's own paths.
        environment: The variables that the container sets, on top of the user's own.
        fetch_environment: The same for its downloads (an init container may have credentials of its own).
        downloads: The models it needs.
        ready_path: The path of its readiness probe.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    fetch_environment: dict[str, str] = field(repr=False)
    downloads: tuple[Download, ...]
    ready_path: str = READY_PATH

    def arguments_for(self, port: int, folders: Mapping[str, Path]) -> tuple[str, ...]:
        """Return the arguments for a port of this machine, and with each mount path replaced by its folder here."""
        return (*(relocate(argument, folders) for argument in self.arguments), f"--http_port={port}")

    def environment_for(self, folders: Mapping[str, Path]) -> dict[str, str]:
        """Return the variables with each mount path replaced by its folder here."""
        return {name: relocate(value, folders) for name, value in self.environment.items()}


def localize(
    template: Manifest, *, secrets: Iterable[Manifest], config_maps: Iterable[Manifest], user: Mapping[str, str]
) -> LocalContainer:
    """Translate a Knative Service's template.

    Args:
        template: ``spec.template`` of the Knative Service.
        secrets: The Secrets that came with the YAML (of the service's namespace).
        config_maps: The ConfigMaps that came with the YAML.
        user: The user's own environment, where variables from a Secret that did not come along are looked up.

    Raises:
        CliError: the container cannot run without a cluster; the message says why and what can be done.
    """
    spec = template["spec"]
    container = main_container(spec)
    refuse_foreign_image(container)
    refuse_cluster_volumes(spec)
    secrets, config_maps = list(secrets), list(config_maps)

    def variables(of: Manifest) -> dict[str, str]:
        return resolve_environment(of.get("env") or [], of.get("envFrom") or [], secrets, config_maps, user)

    environment = variables(container)
    fetch_environment: dict[str, str] = {}
    for initializer in initializers(spec):
        fetch_environment |= _usable(variables(initializer), initializer)
    arguments = [expand(str(argument), environment) for argument in container.get("args") or []]
    return LocalContainer(
        arguments=tuple(without_option([*_arguments_of_command(container), *arguments], _OWN_PORT_OPTIONS)),
        environment=_usable(environment, container),
        fetch_environment={**fetch_environment, **_usable(environment, container)},
        downloads=tuple(downloads_of(spec, environment)),
        ready_path=_ready_path(container),
    )


def main_container(pod: Manifest) -> Manifest:
    """Return the container that serves: ``kserve-container``, or the only one."""
    containers: Sequence[Manifest] = pod.get("containers") or []
    for container in containers:
        if container.get("name") == names.CONTAINER_PREDICTOR:
            break
    else:
        container = containers[0]
    others = [str(other.get("name") or other.get("image")) for other in containers if other is not container]
    if others:
        raise CliError(
            f"the pod has further containers ({', '.join(others)}); `haizen run` starts haizen's own runtime only",
            fix="Take them out for a local run, or apply the YAML to a cluster.",
        )
    return container


def refuse_foreign_image(container: Manifest) -> None:
    """Raise CliError unless the container runs haizen's own runtime, which needs no image here."""
    image = str(container.get("image") or "")
    repository = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    if repository != RUNTIME_REPOSITORY:
        raise CliError(
            f"the image {image!r} is not haizen's runtime, and `haizen run` starts no containers",
            fix="Use a runtime whose image is haizen-runtime (the built-in ones are), apply the YAML to a cluster, "
            "or run the image yourself with Docker.",
        )


def refuse_cluster_volumes(pod: Manifest) -> None:
    """Raise CliError when the pod needs a volume that only a cluster has."""
    for volume in pod.get("volumes") or []:
        if claim := volume.get("persistentVolumeClaim"):
            raise CliError(
                f"pvc://{claim.get('claimName', '')} is a volume of a cluster; this machine has no such volume",
                fix="Give the path of the files on this machine as storageUri (relative to the YAML file, or file:///...).",
            )


def downloads_of(pod: Manifest, environment: Mapping[str, str]) -> list[Download]:
    """Return the models that the pod would download: by the runtime itself, or by its init container."""
    found = []
    uri = environment.get(names.ENV_STORAGE_URI)
    if uri and uri != names.MODEL_DIR:  # a custom container is told the folder that its init container filled
        found.append(Download(uri, names.MODEL_DIR))
    several = json.loads(environment.get(names.ENV_STORAGE_URIS) or "[]")
    found += [Download(item["uri"], item.get("mountPath") or names.MODEL_DIR) for item in several]
    for initializer in initializers(pod):
        pairs = [str(argument) for argument in initializer.get("args") or [] if not str(argument).startswith("-")]
        pairs = pairs[1:] if pairs[:1] == ["download"] else pairs
        found += [Download(source, path) for source, path in zip(pairs[::2], pairs[1::2], strict=False)]
    return [
        download if "://" in download.uri else Download(f"file://{download.uri}", download.mount_path)
        for download in found
    ]


def initializers(pod: Manifest) -> list[Manifest]:
    """Return the init containers that download models."""
    return [
        container
        for container in pod.get("initContainers") or []
        if str(container.get("name")).startswith(names.CONTAINER_STORAGE_INITIALIZER)
    ]


def resolve_environment(
    env: Sequence[Manifest],
    env_from: Sequence[Manifest],
    secrets: Iterable[Manifest],
    config_maps: Iterable[Manifest],
    user: Mapping[str, str],
) -> dict[str, str]:
    """Return a container's variables with references to Secrets and ConfigMaps of the YAML resolved.

    Raises:
        CliError: a variable refers to something that is neither in the YAML nor in the user's own environment.
    """
    sources = {
        "secretKeyRef": ("Secret", {str(s["metadata"]["name"]): secret_data(s) for s in secrets}),
        "configMapKeyRef": (
            "ConfigMap",
            {str(c["metadata"]["name"]): {k: str(v) for k, v in (c.get("data") or {}).items()} for c in config_maps},
        ),
    }
    found: dict[str, str] = {}
    for entry in env_from:
        for kind, source in (("secretRef", "secretKeyRef"), ("configMapRef", "configMapKeyRef")):
            if reference := entry.get(kind):
                values = sources[source][1].get(str(reference.get("name")), {})
                found.update({f"{entry.get('prefix') or ''}{key}": value for key, value in values.items()})
    for entry in env:
        name = str(entry["name"])
        if (value := entry.get("value")) is not None:
            found[name] = expand(str(value), found)
            continue
        origin = entry.get("valueFrom") or {}
        for source, (kind, objects) in sources.items():
            if (reference := origin.get(source)) is None:
                continue
            held = objects.get(str(reference.get("name")), {}).get(str(reference.get("key")))
            if held is not None:
                found[name] = held
            elif name not in user and not reference.get("optional"):
                raise CliError(
                    f"the variable {name} comes from {kind} {reference.get('name')!r}, key {reference.get('key')!r}, "
                    "which is not in the YAML",
                    fix=f"Add the {kind} to the file, or set {name} in your shell.",
                )
    return found


def secret_data(secret: Manifest) -> dict[str, str]:
    """Return a Secret's values as text: ``stringData`` over decoded ``data``."""
    found = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(str(value), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            name = secret["metadata"]["name"]
            raise CliError(f"Secret {name!r}: data.{key} is not base64 of UTF-8 text", fix="Use stringData.") from error
    found.update({key: str(value) for key, value in (secret.get("stringData") or {}).items()})
    return found


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` as Kubernetes does: unknown names stay as they are, ``$$`` is one ``$``."""

    def replacement(found: re.Match[str]) -> str:
        if found[1] is None:
            return "$"
        return environment.get(found[1], found[0])

    return _EXPANSION.sub(replacement, text)


def relocate(text: str, folders: Mapping[str, Path]) -> str:
    """Replace each mount path in a text by its folder on this machine; the longest path first."""
    if not folders:
        return text
    mounts = "|".join(re.escape(mount) for mount in sorted(folders, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({mounts})(?![\w.-])", lambda found: str(folders[found[1]]), text)


def without_option(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """Leave out options, in both spellings (``_`` and ``-``) and both forms (``--a=1`` and ``--a 1``)."""
    kept: list[str] = []
    skip_value = False
    for argument in arguments:
        if skip_value:
            skip_value = False
            if not argument.startswith("--"):
                continue
        name, equals, _ = argument.partition("=")
        if name.startswith("--") and name[2:].replace("-", "_") in options:
            skip_value = not equals
            continue
        kept.append(argument)
    return kept


def _arguments_of_command(container: Manifest) -> list[str]:
    command = [str(part) for part in container.get("command") or []]
    if not command or command[0].rpartition("/")[2] in {"haizen-runtime"}:
        return command[1:]
    raise CliError(
        f"the container's command {command[0]!r} is not haizen-runtime, and `haizen run` starts nothing else",
        fix="Leave `command` out; `args` are passed on.",
    )


def _usable(environment: Mapping[str, str], container: Manifest) -> dict[str, str]:
    """Leave out the variables that mean something in a pod only."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _POD_VARIABLES and not _is_mounted_file(value, container)
    }


def _is_mounted_file(value: str, container: Manifest) -> bool:
    """Whether a value names a file of a mounted Secret or ConfigMap: the user's own variable stands in for it here."""
    mounts = [str(mount.get("mountPath", "")).rstrip("/") for mount in container.get("volumeMounts") or []]
    return any(
        mount and mount not in {names.MODEL_DIR, names.TMP_DIR} and value.startswith(f"{mount}/") for mount in mounts
    )


def _ready_path(container: Manifest) -> str:
    probe = (container.get("readinessProbe") or {}).get("httpGet") or {}
    return str(probe.get("path") or READY_PATH)
