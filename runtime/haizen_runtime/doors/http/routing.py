"""Paths to endpoints. Pure, and bounded in memory whatever names the wire brings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Match:
    """Which endpoint a path means, with the model's name and version when it has them."""

    endpoint: str
    methods: tuple[str, ...]
    model: str = ""
    version: str | None = None


GET = ("GET", "HEAD")
POST = ("POST",)

FIXED = {
    "/": Match("root", GET),
    "/metrics": Match("metrics", GET),
    "/healthz": Match("live", GET),
    "/docs": Match("docs", GET),
    "/openapi.json": Match("openapi", GET),
    "/ping": Match("ready", GET),
    "/invocations": Match("sagemaker.invoke", POST),
    "/v1/models": Match("v1.models", GET),
    "/v2": Match("v2.server", GET),
    "/v2/": Match("v2.server", GET),
    "/v2/health/live": Match("live", GET),
    "/v2/health/ready": Match("ready", GET),
    "/v2/models": Match("v2.models", GET),
    "/v2/models/stats": Match("v2.stats", GET),
    "/v2/repository/index": Match("v2.index", POST),
}


@lru_cache(maxsize=1024)
def match(path: str) -> Match | None:
    """The endpoint of a (percent-decoded) path, or None."""
    fixed = FIXED.get(path)
    if fixed is not None:
        return fixed
    if path.startswith("/v2/models/"):
        return _v2_model(path[len("/v2/models/") :].split("/"))
    if path.startswith("/v2/repository/models/"):
        name, _, verb = path[len("/v2/repository/models/") :].partition("/")
        return Match(f"v2.{verb}", POST, name) if name and verb in ("load", "unload") else None
    if path.startswith("/v1/models/"):
        return _v1_model(path[len("/v1/models/") :])
    return None


def _v1_model(rest: str) -> Match | None:
    """KServe's paths, and TF Serving's with a version."""
    path, colon, verb = rest.rpartition(":")
    parts = (path if colon else rest).split("/")
    name, version = parts[0], None
    if not name:
        return None
    if len(parts) >= 3 and parts[1] == "versions" and parts[2]:
        version = parts[2]
        del parts[1:3]
    if len(parts) == 1:
        if not colon:
            return Match("v1.model", GET, name, version)
        return Match(f"v1.{verb}", POST, name, version) if verb in ("predict", "explain") else None
    return Match("v1.metadata", GET, name, version) if not colon and parts[1:] == ["metadata"] else None


def _v2_model(parts: list[str]) -> Match | None:
    name, rest = parts[0], parts[1:]
    version: str | None = None
    if not name:
        return None
    if len(rest) >= 2 and rest[0] == "versions" and rest[1]:
        version, rest = rest[1], rest[2:]
    if not rest:
        return Match("v2.model", GET, name, version)
    if rest == ["config"]:
        return Match("v2.config", GET, name, version)
    if rest == ["stats"]:
        return Match("v2.model_stats", GET, name, version)
    if rest == ["ready"]:
        return Match("v2.model_ready", GET, name, version)
    if len(rest) == 1 and rest[0] in ("infer", "generate", "generate_stream"):
        return Match(f"v2.{rest[0]}", POST, name, version)
    return None
