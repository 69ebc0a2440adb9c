"""Bounds of a fetch: sizes in bytes, times in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

STORAGE_PREFIX = "HAIZEN_STORAGE_"
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class AddressPolicy:
    """Which network addresses a URI or a redirect may lead to.

    Link-local, metadata, multicast and unspecified addresses are always refused: no model lives there, and the
    credentials of the node do. Private and loopback addresses are allowed by default, because MinIO in the cluster
    and a server on the laptop are the usual sources.
    """

    allow_private: bool = True
    """Whether a model may come from a private address, such as a store in the cluster."""
    allow_loopback: bool = True
    """Whether a model may come from this machine itself."""


@dataclass(frozen=True)
class Limits:
    """How a fetch behaves; every field can be set as ``HAIZEN_STORAGE_<FIELD>`` in the environment."""

    concurrency: int = 8
    """Connections used at once, over all files of one model."""
    part_bytes: int = 32 * MIB
    """Files larger than this are fetched as parallel ranges of this size."""
    connect_timeout: float = 15.0
    """Longest wait for a connection."""
    read_timeout: float = 30.0
    """Longest wait for the next bytes of an open connection."""
    stall_seconds: float = 30.0
    """Window over which ``min_bytes_per_second`` is judged."""
    min_bytes_per_second: int = 4096
    """A connection slower than this over a whole window is given up and tried again."""
    attempts: int = 6
    """Tries in a row without progress before a file fails."""
    backoff_seconds: float = 0.5
    """Wait before the second try; doubled before each further one, the upper half of it at random."""
    backoff_cap_seconds: float = 20.0
    """Longest wait between tries, also where the server asks for more."""
    max_redirects: int = 5
    """Redirects that are followed."""
    max_restarts: int = 3
    """How often the source may change under the download before it fails."""
    max_bytes: int = 0
    """Largest model in bytes as stored at the source; 0 means no bound but the free space."""
    max_files: int = 100_000
    """Most files of a model."""
    max_unpacked_bytes: int = 512 * GIB
    """Most bytes that an archive may unpack to."""
    max_unpack_ratio: int = 100
    """Unpacked bytes per archive byte, judged once more than 64 MiB came out."""
    lock_timeout: float = 3600.0
    """Longest wait for another process that downloads to the same place."""
    addresses: AddressPolicy = field(default_factory=AddressPolicy)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Limits":
        """Read ``HAIZEN_STORAGE_*``; raises ValueError that names the variable and what it should hold."""
        values: dict[str, int | float | AddressPolicy] = {}
        for item in fields(cls):
            name = f"{STORAGE_PREFIX}{item.name.upper()}"
            text = environ.get(name, "").strip()
            if item.name == "addresses" or not text:
                continue
            convert = int if item.type is int else float
            try:
                number = convert(text)
            except ValueError:
                kind = "a whole number" if convert is int else "a number"
                raise ValueError(f"{name} is {text!r}; it must be {kind}") from None
            smallest = (
                0 if item.name in ("max_bytes", "max_restarts", "min_bytes_per_second", "max_redirects") else 1e-3
            )
            if not smallest <= number < float("inf"):
                raise ValueError(f"{name} is {text!r}; it must be {'at least 0' if smallest == 0 else 'above 0'}")
            values[item.name] = number
        values["addresses"] = AddressPolicy(
            allow_private=_flag(environ, "HAIZEN_STORAGE_ALLOW_PRIVATE", True),
            allow_loopback=_flag(environ, "HAIZEN_STORAGE_ALLOW_LOOPBACK", True),
        )
        return cls(**values)  # type: ignore[arg-type]


def _flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    if not text:
        return default
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{name} is {text!r}; it must be true or false")


def backoff_delay(attempt: int, limits: Limits, jitter: float, retry_after: float | None = None) -> float:
    """Return the seconds to wait before try ``attempt`` + 1 (``attempt`` counts from 1, ``jitter`` is in [0, 1)).

    Exponential with jitter over the upper half, so that replicas do not come back together; the server's
    Retry-After is a lower bound up to the cap.
    """
    ceiling = min(limits.backoff_cap_seconds, limits.backoff_seconds * 2.0 ** (attempt - 1))
    delay = ceiling * (0.5 + jitter / 2)
    if retry_after is not None:
        delay = max(delay, min(retry_after, limits.backoff_cap_seconds))
    return delay
