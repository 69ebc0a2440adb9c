"""How each program is built from Go modules; the modules' files are generated in the cache folder."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import settings

_SOURCES = Path(__file__).parent / "go"
Go = Callable[..., str]


@dataclass(frozen=True)
class Module:
    """A Go module of ours that requires what its programs are built from."""

    name: str
    version: str
    requires: str = ""  # the module whose folder holds what is built, "" for one without any
    replaces_staging: bool = False  # Kubernetes: each staging module k8s.io/X is replaced by its published version
    gets: tuple[str, ...] = ()  # packages to resolve for a main of our own


@dataclass(frozen=True)
class Program:
    """One program: the package it is built from, "." for a main of our own under go/."""

    name: str
    module: Module
    package: str = "."
    ldflags: str = ""


_MINOR = settings.KUBERNETES.split(".")[1]
_VERSION = "k8s.io/component-base/version"
_KUBERNETES_FLAGS = (
    f"-X {_VERSION}.gitVersion={settings.KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor={_MINOR}"
)
_KUBERNETES = Module("k8s", settings.KUBERNETES, "k8s.io/kubernetes", replaces_staging=True)
_ETCD = Module("etcd", settings.ETCD, "go.etcd.io/etcd/server/v3")
_KNATIVE = Module("knative", settings.KNATIVE, "knative.dev/serving")
_HELM = Module("helm", settings.HELM, "helm.sh/helm/v4")
_DNS = Module(
    "dns",
    settings.COREDNS,
    "github.com/coredns/coredns",
    gets=("coremain", *(f"plugin/{name}" for name in ("bind", "cache", "errors", "kubernetes", "ready"))),
)
_PAUSE = Module("pause", "v1")

PROGRAMS = {
    program.name: program
    for program in (
        *(
            Program(name, _KUBERNETES, f"k8s.io/kubernetes/cmd/{name}", _KUBERNETES_FLAGS)
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            )
        ),
        Program("etcd", _ETCD, "go.etcd.io/etcd/server/v3"),
        *(
            Program(name, _KNATIVE, f"knative.dev/serving/cmd/{name}")
            for name in ("controller", "autoscaler", "activator", "queue", "webhook")
        ),
        Program("dns", _DNS),
        Program("pause", _PAUSE),
        Program("helm", _HELM, "helm.sh/helm/v4/cmd/helm"),
    )
}


def module_folder(module: Module) -> Path:
    """Where the generated module lies."""
    return settings.cache_root() / "go" / module.name


def prepare(program: Program, go: Go) -> Path:
    """Write the module's go.mod, resolve what the program needs, and return the module's folder."""
    module = program.module
    folder = module_folder(module)
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "version"
    if not stamp.exists() or stamp.read_text() != module.version:
        for old in ("go.mod", "go.sum"):
            (folder / old).unlink(missing_ok=True)
        (folder / "go.mod").write_text(_go_mod(module, go))
        stamp.write_text(module.version)
    if program.package == ".":
        shutil.copy(_SOURCES / module.name / "main.go", folder / "main.go")
        if module.gets:
            go("get", *(f"{module.requires}/{package}@{module.version}" for package in module.gets), cwd=folder)
    else:
        go("get", "-tool", f"{program.package}@{module.version}", cwd=folder)
    return folder


def source_folder(module_path: str, go: Go) -> Path:
    """The folder in Go's module cache of a module that Knative's build uses, such as knative.dev/networking."""
    memory = module_folder(_KNATIVE) / f"{module_path.replace('/', '.')}.folder"
    known = memory.read_text() if memory.exists() else ""
    if known.startswith(f"{_KNATIVE.version} ") and Path(known.split()[1]).exists():
        return Path(known.split()[1])
    folder = prepare(PROGRAMS["controller"], go)
    found = json.loads(go("list", "-m", "-json", module_path, cwd=folder)).get("Dir")
    if not found:
        found = json.loads(go("mod", "download", "-json", module_path, cwd=folder))["Dir"]
    memory.write_text(f"{_KNATIVE.version} {found}")
    return Path(found)


def _go_mod(module: Module, go: Go) -> str:
    text = f"module cluster/{module.name}\n\ngo 1.26\n"
    if not module.replaces_staging:
        return text
    downloaded = json.loads(go("mod", "download", "-json", f"{module.requires}@{module.version}"))
    names = re.findall(r"^\s*(k8s\.io/[a-z-]+) => \./staging", Path(downloaded["GoMod"]).read_text(), re.MULTILINE)
    staging = module.version.replace("v1.", "v0.", 1)
    lines = "".join(f"\t{name} => {name} {staging}\n" for name in names)
    return f"{text}\nrequire {module.requires} {module.version}\n\nreplace (\n{lines})\n"
