"""Everything that a set of YAML files holds, sorted by what it is, and checked with the operator's own rules."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pydantic

from haizen_cli.documents import Document
from haizen_cli.findings import Finding
from haizen_operator import names
from haizen_operator.api import ClusterServingRuntime, InferenceService, ServingRuntime
from haizen_operator.api.validation import validate_manifest
from haizen_operator.config import DEFAULT_RUNTIME_IMAGE, ConfigError, OperatorConfig
from haizen_operator.runtimes import load_builtin_runtimes

SERVING_KINDS = ("InferenceService", "ServingRuntime", "ClusterServingRuntime")
"""The kinds of serving.kserve.io that haizen reads."""

SUPPORT_KINDS = ("Secret", "ServiceAccount", "ConfigMap")
"""Core kinds that are used when they stand in the same files."""


@dataclass(frozen=True)
class Service:
    """An InferenceService and the document it came from."""

    document: Document
    isvc: InferenceService

    @property
    def namespace(self) -> str:
        """The namespace, ``default`` when the YAML names none."""
        return self.document.namespace


@dataclass(frozen=True)
class Workspace:
    """The objects of a set of files.

    Attributes:
        services: The InferenceServices that are valid, in order.
        namespace_runtimes: The ServingRuntimes with their namespaces.
        cluster_runtimes: The ClusterServingRuntimes of the files, then the built-in ones that they do not replace.
        support: The Secrets, ServiceAccounts and ConfigMaps.
        ignored: Documents of other kinds.
        findings: What is wrong, in order of the files.
        config: The operator's configuration (KServe's ConfigMap ``inferenceservice-config``, if it is in the files).
    """

    services: tuple[Service, ...] = ()
    namespace_runtimes: tuple[tuple[str, ServingRuntime], ...] = ()
    cluster_runtimes: tuple[ClusterServingRuntime, ...] = ()
    support: tuple[Document, ...] = ()
    ignored: tuple[Document, ...] = ()
    findings: tuple[Finding, ...] = ()
    config: OperatorConfig = field(default_factory=OperatorConfig)

    def runtimes_of(self, namespace: str) -> list[ServingRuntime]:
        """Return the ServingRuntimes of a namespace."""
        return [runtime for home, runtime in self.namespace_runtimes if home == namespace]

    def objects(self, kind: str, namespace: str) -> list[dict[str, Any]]:
        """Return the Secrets, ServiceAccounts or ConfigMaps of a namespace."""
        return [d.content for d in self.support if d.kind == kind and d.namespace == namespace]


def check(document: Document) -> list[Finding]:
    """Return what is wrong with one document; nothing for kinds that haizen does not read."""
    if document.kind not in SERVING_KINDS or document.api_group != names.SERVING_GROUP:
        return []
    return [
        Finding(document.file, document.line(problem.field), document.title, problem.field, problem.message)
        for problem in validate_manifest(document.content)
    ]


def gather(documents: Sequence[Document], *, with_builtin: bool = True) -> Workspace:
    """Sort and check documents; what is invalid is in ``findings`` and nowhere else."""
    services: list[Service] = []
    namespace_runtimes: list[tuple[str, ServingRuntime]] = []
    cluster_runtimes: list[ClusterServingRuntime] = []
    support: list[Document] = []
    ignored: list[Document] = []
    findings: list[Finding] = []
    config = OperatorConfig()
    seen: dict[tuple[str, str, str], Document] = {}
    for document in documents:
        if not _is_known(document):
            ignored.append(document)
            continue
        if document.kind in SUPPORT_KINDS:
            support.append(document)
            if document.kind == "ConfigMap" and document.name == names.KSERVE_CONFIG_MAP:
                try:
                    config = OperatorConfig.from_config_map(document.content.get("data"))
                except ConfigError as error:
                    findings.append(_finding(document, "data", str(error)))
            continue
        found = check(document) or _given_twice(document, seen)
        if found:
            findings += found
            continue
        try:
            if document.kind == "InferenceService":
                services.append(Service(document, InferenceService.from_manifest(_with_namespace(document))))
            elif document.kind == "ServingRuntime":
                namespace_runtimes.append((document.namespace, ServingRuntime.from_manifest(document.content)))
            else:
                cluster_runtimes.append(ClusterServingRuntime.from_manifest(document.content))
        except pydantic.ValidationError as error:
            findings += [
                _finding(document, ".".join(str(part) for part in line["loc"]), line["msg"]) for line in error.errors()
            ]
    if with_builtin:
        named = {runtime.metadata.name for runtime in cluster_runtimes}
        cluster_runtimes += [
            runtime for runtime in builtin_runtimes(config.runtime_image) if runtime.metadata.name not in named
        ]
    return Workspace(
        tuple(services),
        tuple(namespace_runtimes),
        tuple(cluster_runtimes),
        tuple(support),
        tuple(ignored),
        tuple(findings),
        config,
    )


def builtin_runtimes(image: str = DEFAULT_RUNTIME_IMAGE) -> list[ClusterServingRuntime]:
    """Return the runtimes that come with haizen, in order of name."""
    return [ClusterServingRuntime.from_manifest(manifest) for manifest in load_builtin_runtimes(image)]


def _is_known(document: Document) -> bool:
    if document.kind in SERVING_KINDS:
        return document.api_group == names.SERVING_GROUP
    return document.kind in SUPPORT_KINDS and document.api_group == ""


def _given_twice(document: Document, seen: dict[tuple[str, str, str], Document]) -> list[Finding]:
    namespace = "" if document.kind == "ClusterServingRuntime" else document.namespace
    first = seen.setdefault((document.kind, namespace, document.name), document)
    if first is document:
        return []
    return [
        _finding(document, "metadata.name", f"{document.title} is given twice; the first one is at {first.where()}")
    ]


def _with_namespace(document: Document) -> dict[str, Any]:
    content = copy.deepcopy(document.content)
    content.setdefault("metadata", {}).setdefault("namespace", document.namespace)
    return content


def _finding(document: Document, field_path: str, message: str) -> Finding:
    return Finding(document.file, document.line(field_path), document.title, field_path, message)
